//! Token counts by the real vocabulary.

use std::sync::LazyLock;

use tiktoken::CoreBpe;
use unicode_normalization::{IsNormalized, UnicodeNormalization, is_nfc_quick};

static VOCABULARY: LazyLock<CoreBpe> = LazyLock::new(tiktoken::encoding::qwen2);

/// The tokens of a text.
#[must_use]
pub fn count_text(text: &str) -> u64 {
    let count = if is_nfc_quick(text.chars()) == IsNormalized::Yes {
        VOCABULARY.count_with_special_tokens(text)
    } else {
        let normal: String = text.nfc().collect();
        VOCABULARY.count_with_special_tokens(&normal)
    };
    count as u64
}

/// The tokens of a chat, given the text of each message: the frame of a message is
/// `<|im_start|>role\n..<|im_end|>\n`, and `<|im_start|>assistant\n` follows the last.
#[must_use]
pub fn count_prompt<'a>(contents: impl IntoIterator<Item = &'a str>) -> u64 {
    contents.into_iter().map(count_message).sum::<u64>() + 3
}

/// 5 plus the content, unless the content starts with a line break, which then is one token with
/// the frame's own.
fn count_message(content: &str) -> u64 {
    if content.starts_with(char::is_whitespace) {
        4 + count_text(&format!("\n{content}"))
    } else {
        5 + count_text(content)
    }
}

/// The text of each token. `None` where a token is only a part of a character.
pub(crate) fn pieces(text: &str) -> Option<Vec<String>> {
    VOCABULARY
        .encode(text)
        .into_iter()
        .map(|token| VOCABULARY.decode_to_string(&[token]).ok())
        .collect()
}
