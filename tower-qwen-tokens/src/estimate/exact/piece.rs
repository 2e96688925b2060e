use regex::Regex;

/// The pattern of the vocabulary, but for `\s+(?!\S)|\s+` at its end: `regex` has no look-ahead, so [`Pieces::first`] sees to it.
const PATTERN: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+";

/// Cuts a text into the pieces that are encoded each by itself, as the vocabulary's own library does.
#[derive(Debug, Clone)]
pub(super) struct Pieces {
    pattern: Regex,
}

impl Pieces {
    pub(super) fn new() -> Self {
        Self {
            pattern: Regex::new(PATTERN).expect("a constant pattern is valid"),
        }
    }

    /// The first piece of a text, and what follows.
    pub(super) fn first<'a>(&self, text: &'a str) -> (&'a str, &'a str) {
        // Some branch of the pattern takes any first character, so it never fails on a text.
        let end = self.pattern.find(text).map_or(text.len(), |m| m.end());
        let (piece, rest) = text.split_at(end);
        let mut spaces = piece.chars();
        match spaces.next_back() {
            // A run of spaces leaves its last one to what follows.
            Some(last)
                if !rest.is_empty()
                    && !matches!(last, '\r' | '\n')
                    && !spaces.as_str().is_empty()
                    && piece.chars().all(char::is_whitespace) =>
            {
                text.split_at(spaces.as_str().len())
            }
            _ => (piece, rest),
        }
    }

    /// Whether a text may have a piece of this length: true whenever it has. Unit: bytes.
    ///
    /// Looks at the first word after every half length only, so that ordinary text costs next to nothing.
    pub(super) fn has_long(&self, text: &str, length: usize) -> bool {
        let mut rest = text;
        while rest.len() >= length / 2 {
            let (stretch, after) = rest.split_at(rest.floor_char_boundary(length / 2));
            // A piece of the full length covers one of these stretches whole.
            if self.first(stretch).0 == stretch || stretch.trim_start().is_empty() {
                return true;
            }
            rest = after;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::Pieces;

    fn pieces(text: &str) -> Vec<&str> {
        let pieces = Pieces::new();
        let mut rest = text;
        let mut all = Vec::new();
        while !rest.is_empty() {
            let (piece, after) = pieces.first(rest);
            all.push(piece);
            rest = after;
        }
        all
    }

    #[test]
    fn words_take_the_space_before_them() {
        assert_eq!(pieces("a  b"), ["a", " ", " b"]);
        assert_eq!(pieces("it's  12\n"), ["it", "'s", " ", " ", "1", "2", "\n"]);
        assert_eq!(pieces("\t\t=="), ["\t", "\t", "=="]);
        assert_eq!(pieces("a \n\n  b  "), ["a", " \n\n", " ", " b", "  "]);
        assert_eq!(pieces("==\n\n x"), ["==\n\n", " x"]);
    }

    #[test]
    fn long_pieces_are_found_wherever_they_stand() {
        let pieces = Pieces::new();
        let sparse = format!("\n{}", " ".repeat(700));
        for run in ["a", "中", " ", "\n", "=", "\u{301}", " \n", &sparse] {
            for before in [0, 1, 700, 1023, 1024, 5000] {
                let text = format!("{}{}!", "word ".repeat(before / 5), run.repeat(2100));
                assert!(pieces.has_long(&text, 2048), "{run:?} after {before}");
            }
        }
    }

    #[test]
    fn ordinary_texts_have_none() {
        let pieces = Pieces::new();
        for text in [
            "",
            "a ",
            "two words, and more. ",
            "0123456789",
            "中文，没有空格。",
        ] {
            assert!(!pieces.has_long(&text.repeat(20_000 / (text.len() + 1)), 2048));
        }
        assert!(!pieces.has_long(&"a".repeat(1000), 2048));
    }
}
