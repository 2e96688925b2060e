use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, char::canonical_combining_class};

use super::classes::{Classes, Normal};

/// The text in NFC, as the vocabulary wants it. Borrowed where it is so already.
pub(super) fn nfc<'a>(classes: &Classes, text: &'a str) -> Cow<'a, str> {
    if text.is_ascii() || is_nfc(classes, text) {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

fn is_nfc(classes: &Classes, text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    // Nothing before the last inert character acts on what follows.
    let mut inert = 0;
    let mut last_class = 0;
    while let Some(&lead) = bytes.get(at) {
        let start = at;
        let lead = classes.lead(lead);
        at += lead.length();
        if lead.is_inert() {
            (inert, last_class) = (start, 0);
            continue;
        }
        let character = text[start..].chars().next().unwrap_or_default();
        let class = match classes.normal(character) {
            Normal::Inert => {
                (inert, last_class) = (start, 0);
                continue;
            }
            Normal::Mark => canonical_combining_class(character),
            Normal::Unstable => 0,
        };
        // Marks are ordered by their classes.
        if class != 0 && class >= last_class {
            last_class = class;
            continue;
        }
        let rest = &text[at..];
        let next = rest.find(|next| classes.normal(next) == Normal::Inert);
        at += next.unwrap_or(rest.len());
        let part = &text[inert..at];
        if !part.nfc().eq(part.chars()) {
            return false;
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::{borrow::Cow, sync::LazyLock};

    use proptest::prelude::*;
    use unicode_normalization::UnicodeNormalization;

    use super::{Classes, nfc as nfc_with};

    fn nfc(text: &str) -> Cow<'_, str> {
        static CLASSES: LazyLock<Classes> = LazyLock::new(Classes::new);
        nfc_with(&CLASSES, text)
    }

    #[test]
    fn decomposed_letters_are_composed() {
        assert_eq!(nfc("e\u{301}"), "é");
        assert_eq!(nfc("か\u{3099}"), "が");
        assert_eq!(nfc("\u{1112}\u{1161}\u{11ab}"), "한");
        assert_eq!(nfc("\u{212b}"), "Å");
    }

    #[test]
    fn composed_texts_are_borrowed() {
        for text in [
            "",
            "plain",
            "é ü",
            "中文，",
            "한국어",
            "русский",
            "🦀",
            "עברית",
            "ไทย",
        ] {
            assert!(matches!(nfc(text), Cow::Borrowed(_)), "{text}");
        }
    }

    proptest! {
        #[test]
        fn same_as_the_full_pass(text in "[a-zé中か가क\u{93c}\u{94d}ท\u{e39}\u{e48}\u{300}-\u{345}\u{3099}\u{1100}-\u{1175}\u{11a8}\u{391}\u{37e}א\u{5b0}-\u{5c7}\u{1d15e}\u{1d165}]{0,24}") {
            prop_assert_eq!(nfc(&text).into_owned(), text.nfc().collect::<String>());
        }
    }
}
