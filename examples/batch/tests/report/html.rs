//! Reads a page strictly: what a browser would mend is an error here.

use std::collections::{BTreeMap, BTreeSet};

use html5gum::{Token, Tokenizer};

use crate::support::TestResult;

/// Elements that have no end.
const VOID: [&str; 2] = ["br", "meta"];

/// A page.
#[derive(Debug, Default)]
pub(crate) struct Html {
    /// Its elements in their order, each with the depth at which it is.
    pub(crate) elements: Vec<(usize, String)>,
    /// What they say, without the style.
    pub(crate) text: String,
    /// The values of all attributes of a name.
    pub(crate) attributes: BTreeMap<String, Vec<String>>,
}

impl Html {
    /// Fails where the page is not well-formed, an id is there twice, or a label names an id that is not there.
    pub(crate) fn read(page: &str) -> TestResult<Self> {
        if !page.starts_with("<!DOCTYPE html>") {
            return Err("no document type".into());
        }
        let mut html = Self::default();
        let mut open: Vec<String> = Vec::new();
        for Ok(token) in Tokenizer::new(page) {
            match token {
                Token::StartTag(tag) => {
                    let name = String::from_utf8(tag.name.0)?;
                    html.elements.push((open.len(), name.clone()));
                    for (name, value) in tag.attributes {
                        let value = String::from_utf8(value.value.0)?;
                        let values = html.attributes.entry(String::from_utf8(name.0)?);
                        values.or_default().push(value);
                    }
                    if !VOID.contains(&name.as_str()) {
                        open.push(name);
                    }
                }
                Token::EndTag(tag) => {
                    let name = String::from_utf8(tag.name.0)?;
                    if open.pop().as_ref() != Some(&name) {
                        return Err(format!("{name} ends and is not open").into());
                    }
                }
                Token::String(text) if open.last().is_some_and(|name| name == "style") => {
                    if text.value.0.contains(&b'<') {
                        return Err("an element in the style".into());
                    }
                }
                Token::String(text) => html.text.push_str(std::str::from_utf8(&text.value.0)?),
                Token::Comment(_) => return Err("a comment".into()),
                Token::Doctype(_) => {}
                Token::Error(error) => return Err(format!("{:?}", error.value).into()),
            }
        }
        match open.as_slice() {
            [] => {}
            open => return Err(format!("{open:?} do not end").into()),
        }
        let ids = html.values("id");
        let distinct: BTreeSet<_> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "an id is there twice");
        for label in html.values("aria-labelledby") {
            for id in label.split(' ') {
                assert!(distinct.contains(&id.to_owned()), "no {id}");
            }
        }
        Ok(html)
    }

    /// The values of all attributes of a name.
    pub(crate) fn values(&self, name: &str) -> &[String] {
        self.attributes.get(name).map_or(&[], Vec::as_slice)
    }

    /// Fails where the page could load or run something.
    pub(crate) fn assert_inert(&self) {
        for element in [
            "script", "link", "img", "iframe", "object", "form", "use", "image",
        ] {
            assert!(
                !self.elements.iter().any(|(_, name)| name == element),
                "{element}"
            );
        }
        for (name, values) in &self.attributes {
            assert!(
                !name.starts_with("on") && name != "src" && name != "style",
                "{name}"
            );
            if name == "href" {
                assert!(
                    values.iter().all(|value| value.starts_with('#')),
                    "{values:?}"
                );
            }
        }
        let policy = self.values("content").iter();
        let policy = policy.filter(|value| value.starts_with("default-src 'none'"));
        assert_eq!(policy.count(), 1, "a policy");
    }
}

#[test]
fn what_a_browser_would_mend_is_an_error() {
    for page in [
        "<p></p>",
        "<!DOCTYPE html><p>",
        "<!DOCTYPE html><p></b></p>",
        "<!DOCTYPE html><p a=1 a=2></p>",
        "<!DOCTYPE html><p>\u{0}</p>",
        "<!DOCTYPE html><!-- a --><p></p>",
    ] {
        assert!(Html::read(page).is_err(), "{page}");
    }
    let good =
        Html::read("<!DOCTYPE html><p id=\"a\">1 &lt; 2<br>3</p>").expect("it is well-formed");
    assert_eq!((good.text.as_str(), good.elements.len()), ("1 < 23", 2));
}
