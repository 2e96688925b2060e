//! Prompts made of a text with places for fields.

use std::{borrow::Cow, fmt};

/// A text in which `{name}` stands for a field; `{{` and `}}` are braces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Field(String),
}

/// Why a text is no template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BadTemplate {
    /// A brace opens that nothing closes.
    Open,
    /// A brace closes that nothing opened.
    Close,
    /// Braces with nothing between them.
    Empty,
    /// It has a place for no field.
    NoField,
}

impl Template {
    pub(super) fn parse(text: &str) -> Result<Self, BadTemplate> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            plain.push_str(&rest[..at]);
            let brace = &rest[at..=at];
            rest = &rest[at + 1..];
            if let Some(after) = rest.strip_prefix(brace) {
                plain.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(BadTemplate::Close);
            }
            let (name, after) = rest.split_once('}').ok_or(BadTemplate::Open)?;
            let name = name.trim();
            if name.is_empty() {
                return Err(BadTemplate::Empty);
            }
            if name.contains(['{', '\n']) {
                return Err(BadTemplate::Open);
            }
            parts.push(Part::Text(std::mem::take(&mut plain)));
            parts.push(Part::Field(name.to_owned()));
            rest = after;
        }
        if parts.is_empty() {
            return Err(BadTemplate::NoField);
        }
        plain.push_str(rest);
        parts.push(Part::Text(plain));
        parts.retain(|part| !matches!(part, Part::Text(text) if text.is_empty()));
        Ok(Self { parts })
    }

    /// The text with the fields in their places, each as `of` gives it.
    pub(super) fn render<'a, E>(
        &self,
        mut of: impl FnMut(&str) -> Result<Cow<'a, str>, E>,
    ) -> Result<String, E> {
        let mut rendered = String::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => rendered.push_str(text),
                Part::Field(name) => rendered.push_str(&of(name)?),
            }
        }
        Ok(rendered)
    }

    /// The names of its fields.
    pub(super) fn fields(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Field(name) => Some(name.as_str()),
            Part::Text(_) => None,
        })
    }
}

impl fmt::Display for BadTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Open => "a `{` has no `}`: write `{{` for a brace",
            Self::Close => "a `}` has no `{`: write `}}` for a brace",
            Self::Empty => "`{}` names no field: write `{{}}` for braces",
            Self::NoField => "it names no field, such as `{text}`",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn rendered(template: &str, value: &str) -> Result<String, BadTemplate> {
        let template = Template::parse(template)?;
        let render = template.render(|_| Ok::<_, Infallible>(Cow::Owned(value.to_owned())));
        Ok(render.unwrap_or_else(|never| match never {}))
    }

    #[test]
    fn fields_stand_in_their_places_and_doubled_braces_are_braces() {
        for (template, expected) in [
            ("{a}", Ok("x{y}")),
            ("Say {a}, { b }!", Ok("Say x{y}, x{y}!")),
            ("{{\"k\": {a}}}", Ok("{\"k\": x{y}}")),
            ("{{a}}", Err(BadTemplate::NoField)),
            ("none", Err(BadTemplate::NoField)),
            ("{a", Err(BadTemplate::Open)),
            ("{a {b}", Err(BadTemplate::Open)),
            ("a} {b}", Err(BadTemplate::Close)),
            ("{} {b}", Err(BadTemplate::Empty)),
        ] {
            let found = rendered(template, "x{y}");
            assert_eq!(found.as_deref().map_err(|bad| *bad), expected, "{template}");
        }
        let template = Template::parse("{a}{b} and {a}").expect("a template");
        assert_eq!(template.fields().collect::<Vec<_>>(), ["a", "b", "a"]);
    }

    proptest! {
        #[test]
        fn any_text_can_be_written_around_a_field(before in any::<String>(), after in any::<String>(), value in any::<String>()) {
            let doubled = |text: &str| text.replace('{', "{{").replace('}', "}}");
            let template = format!("{}{{a}}{}", doubled(&before), doubled(&after));
            prop_assert_eq!(rendered(&template, &value), Ok(before + &value + &after));
        }

        #[test]
        fn nothing_is_too_odd_to_be_read(text in any::<String>()) {
            let _ = Template::parse(&text);
        }
    }
}
