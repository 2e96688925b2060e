use super::weights::WEIGHTS;

/// Weights are in this part of a token.
const UNIT: u64 = 1024;
/// Words from this length on share a weight, and each further letter has its own. Unit: letters.
const LONGEST: usize = 16;

/// Places in the table of weights. Those of words are the first of [`LONGEST`] places, one for each length.
pub(super) mod kind {
    use super::LONGEST;

    pub(in crate::estimate) const WORD_AFTER_SPACE: usize = 0;
    pub(in crate::estimate) const WORD: usize = LONGEST;
    pub(in crate::estimate) const CAPITALS: usize = 2 * LONGEST;
    pub(in crate::estimate) const FURTHER_LETTER: usize = 3 * LONGEST;
    pub(in crate::estimate) const ACCENTED: usize = FURTHER_LETTER + 1;
    pub(in crate::estimate) const SHORT_PIECE: usize = ACCENTED + 1;
    pub(in crate::estimate) const WORD_AFTER_DIGIT: usize = SHORT_PIECE + 1;
    pub(in crate::estimate) const DIGIT: usize = WORD_AFTER_DIGIT + 1;
    pub(in crate::estimate) const LONE_SPACE: usize = DIGIT + 1;
    pub(in crate::estimate) const SPACES: usize = LONE_SPACE + 1;
    pub(in crate::estimate) const NEWLINES: usize = SPACES + 1;
    pub(in crate::estimate) const NEWLINES_AFTER_MARK: usize = NEWLINES + 1;
    pub(in crate::estimate) const MARK: usize = NEWLINES_AFTER_MARK + 1;
    pub(in crate::estimate) const MARK_BEFORE_WORD: usize = MARK + 1;
    pub(in crate::estimate) const MARKS: usize = MARK_BEFORE_WORD + 1;
    pub(in crate::estimate) const OTHER_MARK: usize = MARKS + 1;
    pub(in crate::estimate) const SAME_MARK: usize = OTHER_MARK + 1;
    pub(in crate::estimate) const CONTROL: usize = SAME_MARK + 1;
    /// First of two places for each script: a run, a character of it.
    pub(in crate::estimate) const SCRIPTS: usize = CONTROL + 1;
    pub(in crate::estimate) const COUNT: usize = SCRIPTS + 2 * super::SCRIPTS;
}

/// Kinds of characters beyond ASCII and Latin.
const SCRIPTS: usize = 16;

/// Estimated tokens of a text in the Qwen vocabulary.
///
/// At least 1 for a text that is not empty, never more than its bytes. Unit: tokens.
#[must_use]
pub fn estimate_text(text: &str) -> u64 {
    let mut sum = 0_u64;
    scan(text.as_bytes(), |kind, count| {
        sum = sum.saturating_add(u64::from(WEIGHTS[kind]).saturating_mul(count as u64));
    });
    let bytes = text.len() as u64;
    sum.div_ceil(UNIT).clamp(u64::from(bytes > 0), bytes)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Byte {
    Lower,
    Upper,
    Digit,
    Space,
    Newline,
    Mark,
    Control,
    High,
}

static BYTES: [Byte; 256] = {
    let mut table = [Byte::High; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        table[byte as usize] = match byte {
            b'a'..=b'z' => Byte::Lower,
            b'A'..=b'Z' => Byte::Upper,
            b'0'..=b'9' => Byte::Digit,
            b' ' | b'\t' | 0x0b | 0x0c => Byte::Space,
            b'\r' | b'\n' => Byte::Newline,
            b'!'..=b'~' => Byte::Mark,
            _ => Byte::Control,
        };
        byte += 1;
    }
    table
};

/// What stands before the present place.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Space,
    Mark,
    Digit,
    Other,
}

/// Hands every piece on, as a place in the table of weights and a count.
fn scan(text: &[u8], mut add: impl FnMut(usize, usize)) {
    let mut at = 0;
    let mut before = Before::Other;
    while let Some(&byte) = text.get(at) {
        let start = at;
        let mut next = Before::Other;
        match BYTES[byte as usize] {
            Byte::Lower | Byte::Upper => at = word(text, at, before, &mut add),
            Byte::Digit => {
                at = run(text, at, Byte::Digit);
                add(kind::DIGIT, at - start);
                if before == Before::Space {
                    add(kind::LONE_SPACE, 1);
                }
                next = Before::Digit;
            }
            Byte::Space => {
                at = run(text, at, Byte::Space);
                if at - start > 1
                    && text
                        .get(at)
                        .is_none_or(|&byte| BYTES[byte as usize] != Byte::Newline)
                {
                    add(kind::SPACES, 1);
                }
                next = Before::Space;
            }
            Byte::Newline => {
                at = run(text, at, Byte::Newline);
                let kind = if before == Before::Mark {
                    kind::NEWLINES_AFTER_MARK
                } else {
                    kind::NEWLINES
                };
                add(kind, 1);
            }
            Byte::Mark => {
                at = marks(text, at, before, &mut add);
                next = Before::Mark;
            }
            Byte::Control => {
                at += 1;
                add(kind::CONTROL, 1);
            }
            Byte::High if is_latin(text, at) => at = word(text, at, before, &mut add),
            Byte::High => at = script(text, at, before, &mut add),
        }
        before = next;
    }
}

fn run(text: &[u8], from: usize, class: Byte) -> usize {
    let length = text[from..]
        .iter()
        .take_while(|&&byte| BYTES[byte as usize] == class)
        .count();
    from + length
}

/// A word, in pieces where small letters turn to capitals.
fn word(text: &[u8], mut at: usize, before: Before, add: &mut impl FnMut(usize, usize)) -> usize {
    let mut table = if before == Before::Space {
        kind::WORD_AFTER_SPACE
    } else {
        kind::WORD
    };
    if before == Before::Digit {
        add(kind::WORD_AFTER_DIGIT, 1);
    }
    let (mut letters, mut capitals, mut accented, mut pieces, mut was_lower) = (0, 0, 0, 0, false);
    loop {
        let class = text.get(at).map(|&byte| BYTES[byte as usize]);
        let piece_ends = match class {
            Some(Byte::Lower) => false,
            Some(Byte::Upper) => was_lower,
            Some(Byte::High) => !is_latin(text, at),
            _ => true,
        };
        if piece_ends {
            let table = if capitals > 1 { kind::CAPITALS } else { table };
            add(table + letters.clamp(1, LONGEST) - 1, 1);
            add(kind::FURTHER_LETTER, letters.saturating_sub(LONGEST));
            pieces += 1;
            if pieces > 1 && letters <= 2 {
                add(kind::SHORT_PIECE, 1);
            }
            (letters, capitals) = (0, 0);
        }
        match class {
            Some(Byte::Lower) => {
                was_lower = true;
                at += 1;
            }
            Some(Byte::Upper) => {
                if piece_ends {
                    table = kind::WORD;
                }
                was_lower = false;
                capitals += 1;
                at += 1;
            }
            Some(Byte::High) if !piece_ends => {
                was_lower = true;
                accented += 1;
                at += 2;
            }
            _ => break,
        }
        letters += 1;
    }
    add(kind::ACCENTED, accented);
    at
}

/// Punctuation and symbols.
fn marks(text: &[u8], from: usize, before: Before, add: &mut impl FnMut(usize, usize)) -> usize {
    let end = run(text, from, Byte::Mark);
    let run = &text[from..end];
    if run.len() == 1 {
        let joins = before != Before::Space
            && text
                .get(end)
                .is_some_and(|&byte| matches!(BYTES[byte as usize], Byte::Lower | Byte::Upper));
        add(
            if joins {
                kind::MARK_BEFORE_WORD
            } else {
                kind::MARK
            },
            1,
        );
    } else {
        let same = run.windows(2).filter(|pair| pair[0] == pair[1]).count();
        add(kind::MARKS, 1);
        add(kind::SAME_MARK, same);
        add(kind::OTHER_MARK, run.len() - 1 - same);
    }
    end
}

/// A run of one script.
fn script(text: &[u8], from: usize, before: Before, add: &mut impl FnMut(usize, usize)) -> usize {
    let (first, mut at) = script_at(text, from);
    let mut characters = 1;
    while at < text.len() && text[at] >= 0x80 && !is_latin(text, at) {
        let (script, next) = script_at(text, at);
        if script != first {
            break;
        }
        characters += 1;
        at = next;
    }
    if before == Before::Space && first >= CJK_MARKS {
        add(kind::LONE_SPACE, 1);
    }
    add(kind::SCRIPTS + 2 * first, 1);
    add(kind::SCRIPTS + 2 * first + 1, characters);
    at
}

/// Scripts from here on are written without spaces, or join no space before them.
const CJK_MARKS: usize = 10;

/// Whether a letter of the Latin script beyond ASCII begins here: U+00C0 to U+024F.
fn is_latin(text: &[u8], at: usize) -> bool {
    (0xc3..=0xc9).contains(&text[at])
}

/// The script of the character here, and where the next one begins.
fn script_at(text: &[u8], at: usize) -> (usize, usize) {
    let lead = text[at];
    let second = text.get(at + 1).map_or(0, |&byte| u32::from(byte & 0x3f));
    let third = text.get(at + 2).map_or(0, |&byte| u32::from(byte & 0x3f));
    let (code, length) = match lead {
        ..0xe0 => (u32::from(lead & 0x1f) << 6 | second, 2),
        0xe0..0xf0 => (u32::from(lead & 0x0f) << 12 | second << 6 | third, 3),
        0xf0.. => (0x1_0000, 4),
    };
    let script = match code {
        0x370..0x400 => 0,
        0x400..0x530 => 1,
        0x530..0x590 | 0x10a0..0x1100 => 2,
        0x590..0x600 => 3,
        0x600..0x780 => 4,
        0x900..0x980 => 5,
        0x980..0xe00 => 6,
        0xe00..0xe80 => 7,
        0x780..0x900 | 0xe80..0x10a0 | 0x1200..0x1e00 => 8,
        0x1e00..0x2000 => 9,
        0x3000..0x3040 | 0xff00..0xfff0 => CJK_MARKS,
        0x3040..0x3100 => 11,
        0x3400..0xa000 | 0xf900..0xfb00 => 12,
        0x1100..0x1200 | 0xac00..0xd800 => 13,
        0x1_0000.. => 14,
        _ => 15,
    };
    (script, (at + length).min(text.len()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::estimate_text;

    /// Texts and their counts in the Qwen2 vocabulary.
    #[rustfmt::skip]
    const SAMPLES: &[(&str, u64)] = &[
        ("A token bucket holds a number of tokens that is refilled at a fixed rate. Every request takes one token out of it, and a request that finds the bucket empty has to wait until there is one again.", 43),
        ("The quick brown fox jumps over the lazy dog, while the other animals of the forest look on and wonder what all the excitement is about.", 28),
        ("限流是指在一定时间内限制请求的数量。当请求超过限制时，系统会返回错误信息，客户端应当等待一段时间之后再重新发送请求。", 32),
        ("通义千问是阿里云推出的大规模语言模型，可以理解和生成自然语言，适用于各种不同的应用场景。", 24),
        ("fn main() {\n    let limits = vec![800, 800_000];\n    for limit in &limits {\n        println!(\"the limit is {limit} per minute\");\n    }\n}\n", 45),
        ("def fibonacci(n):\n    \"\"\"Return the n-th number of the sequence.\"\"\"\n    if n < 2:\n        return n\n    return fibonacci(n - 1) + fibonacci(n - 2)\n", 41),
        ("{\"model\": \"qwen-plus\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello, who are you?\"}], \"stream\": true, \"max_tokens\": 512}", 42),
    ];

    #[test]
    fn close_to_the_vocabulary_on_ordinary_texts() {
        for &(text, exact) in SAMPLES {
            let estimate = estimate_text(text);
            let error = estimate.abs_diff(exact) * 100 / exact;
            assert!(error <= 15, "{estimate} for {exact}: {text}");
        }
    }

    #[test]
    fn nothing_is_nothing_and_something_is_something() {
        assert_eq!(estimate_text(""), 0);
        for text in [" ", "a", "\n", "1", "中", "\u{0}", "é", "🦀", "…"] {
            assert!((1..=4).contains(&estimate_text(text)), "{text:?}");
        }
    }

    #[test]
    fn a_digit_is_a_token() {
        let estimate = estimate_text("1234567890123456789012345678901234567890");
        assert!((36..=40).contains(&estimate), "{estimate}");
    }

    proptest! {
        #[test]
        fn between_one_and_the_bytes(text in any::<String>()) {
            let estimate = estimate_text(&text);
            prop_assert!(estimate <= text.len() as u64);
            prop_assert_eq!(estimate == 0, text.is_empty());
        }

        #[test]
        fn twice_the_text_does_not_cost_less(text in "[a-z0-9 .,\n中文テ한é]{0,200}") {
            let twice = format!("{text}\n{text}");
            prop_assert!(estimate_text(&twice) >= estimate_text(&text));
        }
    }
}
