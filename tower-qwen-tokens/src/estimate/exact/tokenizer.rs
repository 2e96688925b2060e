use super::{
    bpe::Vocabulary,
    chat::Chat,
    family::Family,
    profile::Profile,
    special::{Part, Parts},
    template,
};
use crate::{estimate::Estimate, macros::opaque_debug};

/// Counts tokens exactly, with the Qwen vocabulary.
///
/// Equal to the tokenizer of the open models: special tokens are found first (in the text of a user too), the rest is
/// brought into NFC and encoded. Texts with characters that Unicode added in recent years may differ, since every
/// implementation carries tables of its own year.
///
/// One thread counts 20 to 80 MB of text in a second, by its language, and the time is linear in the text even where it has no
/// break. On an async thread, count what is small, or count elsewhere. For a stream that is cut, keep the text and
/// count once at the end: that costs less than a count with every piece, and tokens merge across pieces.
///
/// ```
/// use tower_qwen_tokens::estimate::{Family, Tokenizer};
///
/// let tokenizer = Tokenizer::new(Family::Qwen3);
/// assert_eq!(tokenizer.count("hello world"), 2);
/// assert_eq!(tokenizer.encode("hello world"), [14990, 1879]);
/// assert_eq!(tokenizer.count("<think>"), 1);
/// ```
///
/// # Clone
///
/// Clones are cheap and share the vocabulary. It is held once per process and stays for the life of the process: about 5 MB, and
/// 1 MB for every thread that counts.
#[derive(Clone)]
pub struct Tokenizer {
    vocabulary: &'static Vocabulary,
    family: Family,
}

impl Tokenizer {
    /// A tokenizer of this family.
    ///
    /// The first one in a process loads the vocabulary, which takes about 20 ms.
    #[must_use]
    pub fn new(family: Family) -> Self {
        Self {
            vocabulary: Vocabulary::get(),
            family,
        }
    }

    /// The family whose special tokens are found.
    #[must_use]
    pub fn family(&self) -> Family {
        self.family
    }

    /// The tokens of a text, without any frame. Unit: tokens.
    #[must_use]
    pub fn count(&self, text: &str) -> u64 {
        let mut count = 0;
        for part in Parts::new(text, self.family) {
            match part {
                Part::Special(_) => count += 1,
                Part::Text(text) => count += self.vocabulary.count(&self.vocabulary.nfc(text)),
            }
        }
        count
    }

    /// The ids of a text's tokens.
    #[must_use]
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut ids = Vec::new();
        for part in Parts::new(text, self.family) {
            match part {
                Part::Special(id) => ids.push(id),
                Part::Text(text) => self.vocabulary.encode(&self.vocabulary.nfc(text), &mut ids),
            }
        }
        ids
    }

    /// The tokens of a chat's prompt, as the host's template renders it. Unit: tokens.
    ///
    /// Exact for an open model behind the template of its family, as far as the server hands the messages on unchanged:
    /// some add or reorder the members of a tool's schema. An image whose size is not known counts as the largest.
    ///
    /// ```
    /// use tower_qwen_tokens::estimate::{Chat, Family, Message, Profile, Tokenizer};
    ///
    /// let chat = Chat::new([Message::user("hi")]);
    /// let tokenizer = Tokenizer::new(Family::Qwen2_5);
    /// assert_eq!(tokenizer.count_chat(&chat, &Profile::dash_scope()), 9);
    /// // The open template adds a system prompt of its own.
    /// assert_eq!(tokenizer.count_chat(&chat, &Profile::open_template()), 30);
    /// ```
    #[must_use]
    pub fn count_chat(&self, chat: &Chat, profile: &Profile) -> u64 {
        let mut tokens = 0_u64;
        template::render(chat, self.family, profile, |message| {
            tokens = tokens.saturating_add(self.count(message));
        });
        tokens.saturating_add(chat.image_tokens(profile, self.family))
    }
}

impl Estimate for Tokenizer {
    fn estimate(&self, text: &str) -> u64 {
        self.count(text)
    }
}

opaque_debug!(Tokenizer { family }, impl std::fmt::Debug for Tokenizer);
