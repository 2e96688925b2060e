//! Texts that are hard to encode: made to hit every rule of the encoder.

use proptest::prelude::*;

/// Ordinary tokens of Qwen2, Qwen2.5 and Qwen3.
const TOKENS: u32 = 151_643;

/// A text of units glued together. `token` gives the bytes of a token.
pub(crate) fn texts(token: fn(u32) -> Vec<u8>) -> impl Strategy<Value = String> {
    let crossing: Vec<u32> = (256..TOKENS).filter(|&id| is_partial(&token(id))).collect();
    let any_token = (0..TOKENS, any::<[u8; 4]>());
    let partial = (prop::sample::select(crossing), any::<[u8; 4]>());
    let glued = move |(id, filler): (u32, [u8; 4])| completed(&token(id), filler);
    let unit = prop_oneof![
        4 => any_token.prop_map(glued),
        3 => partial.prop_map(glued),
        4 => script(),
        2 => marks(),
        1 => any::<char>().prop_map(String::from),
    ];
    prop::collection::vec(unit, 2..40).prop_map(|units| units.concat())
}

/// Some characters of one script, with or without a space before them.
fn script() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ ]?[一-龥]{1,6}",
        "[ ]?[ぁ-んァ-ヶー]{1,6}",
        "[ ]?[가-힣]{1,4}",
        "[ ]?[ก-ฺเ-๛]{1,6}",
        "[ ]?[а-яА-ЯёЁ]{1,8}",
        "[ ]?[ء-ي\u{64b}-\u{652}]{1,6}",
        "[ ]?[ऄ-ह\u{93c}-\u{94d}]{1,6}",
        "[ ]?[א-ת\u{5b0}-\u{5c2}]{1,6}",
        "[ ]?[ក-\u{17d3}]{1,5}",
        "[ ]?[α-ωΑ-Ω]{1,6}",
        "[ ]?[a-zA-Z]{1,9}",
        "[ ]?[a-zăâđêôơưạ-ỹ]{1,5}",
        "[ ]?[a-zäöüßéèàçñ]{1,9}",
    ]
}

fn marks() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ \t\r\n\u{a0}\u{3000}\u{2028}]{1,5}",
        "('s|'T|'re|'VE|'m|'ll|'d|'ſ|'x|’s)",
        "[!-/:-@\\[-`\\{-~]{1,4}",
        "[，。、！？：；“”（）《》…—·]{1,3}",
        "[0-9٠-٩０-９]{1,4}",
        "[🦀🎉👍🏽\u{200d}\u{fe0f}❤]{1,3}",
        "[\u{300}-\u{36f}\u{e0100}-\u{e0105}\u{f0000}-\u{f0fff}\u{10043f}\0]{1,2}",
    ]
}

/// Whether a token ends or begins within a character.
fn is_partial(token: &[u8]) -> bool {
    std::str::from_utf8(token).is_err()
}

/// The token with the missing bytes of its first and its last character.
fn completed(token: &[u8], filler: [u8; 4]) -> String {
    let continuation = |at: usize| 0x80 | filler[at] & 0x3f;
    let missing = token.iter().take_while(|byte| *byte & 0xc0 == 0x80).count();
    let lead = match missing {
        0 => vec![],
        1 => vec![0xc3 + (filler[0] & 0x1b)],
        2 => vec![0xe4 + (filler[0] & 0x07)],
        _ => vec![0xf1],
    };
    let mut bytes = lead;
    // A single byte in the middle of a character of three, half of the time.
    if missing == 1 && filler[1] & 1 == 1 {
        bytes = vec![0xe3 + (filler[0] & 0x07), continuation(2)];
    }
    bytes.extend_from_slice(token);
    let until = bytes.len() + 3;
    for at in 0.. {
        match std::str::from_utf8(&bytes) {
            Err(error) if error.error_len().is_none() && bytes.len() < until => {
                bytes.push(continuation(at));
            }
            _ => break,
        }
    }
    // What is still no text is none of the tokens' making, as a surrogate.
    bytes.utf8_chunks().map(|chunk| chunk.valid()).collect()
}
