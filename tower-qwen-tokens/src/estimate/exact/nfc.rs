use std::borrow::Cow;

use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

/// The text in NFC, as the vocabulary wants it. Borrowed where it is so already.
pub(super) fn nfc(text: &str) -> Cow<'_, str> {
    // From the cheapest test to the dearest: nearly every text ends at the first two.
    if text.is_ascii()
        || text.chars().all(is_inert)
        || is_nfc_quick(text.chars()) == IsNormalized::Yes
    {
        Cow::Borrowed(text)
    } else {
        Cow::Owned(text.nfc().collect())
    }
}

/// Whether NFC neither changes, moves nor combines the character: the common ones, without a look into tables.
fn is_inert(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{2ff}'
            | '\u{391}'..='\u{3ff}'
            | '\u{400}'..='\u{482}'
            | '\u{2010}'..='\u{2027}'
            | '\u{3001}'..='\u{3029}'
            | '\u{3041}'..='\u{3096}'
            | '\u{30a1}'..='\u{30ff}'
            | '\u{3400}'..='\u{4dbf}'
            | '\u{4e00}'..='\u{9fff}'
            | '\u{ac00}'..='\u{d7a3}'
            | '\u{ff01}'..='\u{ffef}'
            | '\u{1f300}'..='\u{1faff}'
    )
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;
    use unicode_normalization::{
        IsNormalized, UnicodeNormalization, char::canonical_combining_class, is_nfc_quick,
    };

    use super::{is_inert, nfc};

    #[test]
    fn inert_characters_are_so_in_the_tables() {
        let mut inert = 0;
        for character in ('\0'..=char::MAX).filter(|&character| is_inert(character)) {
            let quick = is_nfc_quick(std::iter::once(character));
            assert_eq!(quick, IsNormalized::Yes, "{character:?}");
            assert_eq!(canonical_combining_class(character), 0, "{character:?}");
            inert += 1;
        }
        assert!(inert > 40_000);
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
        fn same_as_the_full_pass(text in "[a-zé中か가\u{300}-\u{345}\u{3099}\u{1100}-\u{1175}\u{11a8}\u{391}\u{37e}א\u{5b0}-\u{5c7}]{0,24}") {
            prop_assert_eq!(nfc(&text).into_owned(), text.nfc().collect::<String>());
        }
    }
}
