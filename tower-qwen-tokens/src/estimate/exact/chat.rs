use std::fmt;

use super::{Message, Profile, family::Family};

/// Tokens of the mark that the template prints for an image:
/// `<|vision_start|><|image_pad|><|vision_end|>`.
const IMAGE_TOKENS: u64 = 3;

/// A chat to be counted: its messages, its tools and how the answer is opened.
///
/// ```
/// use tower_qwen_tokens::estimate::{Chat, Family, Profile, Tokenizer};
///
/// let body = br#"{
///     "model": "qwen3-32b",
///     "messages": [{"role": "user", "content": "hi"}],
///     "enable_thinking": false
/// }"#;
/// let chat = Chat::from_body(body)?;
/// let tokenizer = Tokenizer::new(Family::Qwen3);
/// assert_eq!(tokenizer.count_chat(&chat, &Profile::open_template()), 13);
/// # Ok::<(), tower_qwen_tokens::estimate::ChatError>(())
/// ```
#[derive(Clone, Default)]
pub struct Chat {
    pub(super) messages: Vec<Message>,
    /// The tools, each as the template prints it.
    pub(super) tools: Vec<String>,
    /// `add_generation_prompt: false`.
    pub(super) is_closed: bool,
    /// `enable_thinking: false`.
    pub(super) is_without_thinking: bool,
    /// Parts that are neither text nor image.
    pub(super) unread_parts: usize,
}

impl Chat {
    /// A chat of these messages, without tools, its answer opened.
    #[must_use]
    pub fn new(messages: impl IntoIterator<Item = Message>) -> Self {
        Self {
            messages: messages.into_iter().collect(),
            ..Self::default()
        }
    }

    /// The answer is not opened: a count of the messages alone.
    #[must_use]
    pub fn closed(mut self) -> Self {
        self.is_closed = true;
        self
    }

    /// The answer comes without thinking (`enable_thinking: false`): four more tokens in the prompt
    /// of Qwen3.
    #[must_use]
    pub fn without_thinking(mut self) -> Self {
        self.is_without_thinking = true;
        self
    }

    /// Sets the sizes of the images, in their order in the messages: width and height in pixels.
    #[must_use]
    pub fn image_sizes(mut self, sizes: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let images = self.messages.iter_mut().flat_map(|m| &mut m.images);
        for (image, size) in images.zip(sizes) {
            *image = Some(size);
        }
        self
    }

    /// How many parts of the messages are neither text nor image (audio, video). They are not
    /// counted.
    #[must_use]
    pub fn unread_parts(&self) -> usize {
        self.unread_parts
    }

    /// The tokens of the images, without those of their marks in the text.
    pub(super) fn image_tokens(&self, profile: &Profile, family: Family) -> u64 {
        let rule = profile.images_of(family);
        let one = |image: &Option<(u32, u32)>| {
            image
                .and_then(|(width, height)| rule.tokens(width, height))
                .unwrap_or_else(|| rule.most_tokens())
                .saturating_sub(IMAGE_TOKENS)
        };
        let images = self.messages.iter().flat_map(|message| &message.images);
        images.map(one).fold(0, u64::saturating_add)
    }
}

impl fmt::Debug for Chat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chat")
            .field("messages", &self.messages)
            .field("tools", &self.tools.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Chat, Message};

    #[test]
    fn debug_shows_no_text() -> Result<(), crate::estimate::ChatError> {
        let message = Message::user("secret")
            .reasoning("secret")
            .tool_call("secret", "{}");
        let chat = Chat::new([message]).tools(r#"[{"name": "secret"}]"#)?;
        let debug = format!("{chat:?}");
        assert!(!debug.contains("secret"), "{debug}");
        assert!(debug.contains("bytes: 6"), "{debug}");
        Ok(())
    }
}
