use std::fmt;

use super::{ChatError, Profile, family::Family, python, wire};

/// What stands in a prompt for an image. The template has it as three tokens.
const IMAGE: &str = "<|vision_start|><|image_pad|><|vision_end|>";
/// Tokens of [`IMAGE`] itself.
const IMAGE_TOKENS: u64 = 3;

/// A chat whose prompt is to be counted: its messages, its tools and how the answer is opened.
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

/// A message of a [`Chat`].
#[derive(Clone)]
pub struct Message {
    pub(super) role: Role,
    /// The text, with a mark for every image.
    pub(super) content: String,
    pub(super) reasoning: Option<String>,
    pub(super) tool_calls: Vec<ToolCall>,
    /// Width and height of every image, where they are known.
    pub(super) images: Vec<Option<(u32, u32)>>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    System,
    User,
    Assistant,
    Tool,
    /// A role that the templates do not know, and leave out.
    Unknown,
}

/// A call of a tool in an assistant's message.
#[derive(Clone)]
pub(super) struct ToolCall {
    pub(super) name: String,
    /// As the template prints them.
    pub(super) arguments: String,
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

    /// The chat in the body of a request: compatible (`messages`, `tools`) or native (`input`, `parameters`).
    ///
    /// Images come without their size; see [`image_sizes`](Self::image_sizes).
    ///
    /// # Errors
    ///
    /// The body is not JSON, or no chat.
    pub fn from_body(body: &[u8]) -> Result<Self, ChatError> {
        wire::read(body)
    }

    /// Adds tools: a JSON array of their schemas, as in the request.
    ///
    /// # Errors
    ///
    /// The text is no JSON array.
    pub fn tools(mut self, json: &str) -> Result<Self, ChatError> {
        self.tools.extend(wire::read_tools(json)?);
        Ok(self)
    }

    /// The answer is not opened: a count of the messages alone.
    #[must_use]
    pub fn closed(mut self) -> Self {
        self.is_closed = true;
        self
    }

    /// The answer is to come without thinking (`enable_thinking: false`), which Qwen3 is told with four tokens.
    #[must_use]
    pub fn without_thinking(mut self) -> Self {
        self.is_without_thinking = true;
        self
    }

    /// Says how large the images are, in the order in which they stand: width and height in pixels.
    #[must_use]
    pub fn image_sizes(mut self, sizes: impl IntoIterator<Item = (u32, u32)>) -> Self {
        let images = self.messages.iter_mut().flat_map(|m| &mut m.images);
        for (image, size) in images.zip(sizes) {
            *image = Some(size);
        }
        self
    }

    /// How many parts of the messages are neither text nor image (audio, video), and stand in no count.
    #[must_use]
    pub fn unread_parts(&self) -> usize {
        self.unread_parts
    }

    /// What the images are, beyond the marks that stand for them in the text. Unit: tokens.
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

impl Message {
    fn new(role: Role, content: impl Into<String>) -> Self {
        Self {
            role,
            content: content.into(),
            reasoning: None,
            tool_calls: Vec::new(),
            images: Vec::new(),
        }
    }

    pub(super) fn unknown() -> Self {
        Self::new(Role::Unknown, "")
    }

    /// A system prompt.
    #[must_use]
    pub fn system(content: impl Into<String>) -> Self {
        Self::new(Role::System, content)
    }

    /// A message of the user.
    #[must_use]
    pub fn user(content: impl Into<String>) -> Self {
        Self::new(Role::User, content)
    }

    /// An earlier answer, or the start of one.
    #[must_use]
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::new(Role::Assistant, content)
    }

    /// What a tool brought.
    #[must_use]
    pub fn tool(content: impl Into<String>) -> Self {
        Self::new(Role::Tool, content)
    }

    /// The thinking before an answer (`reasoning_content`).
    #[must_use]
    pub fn reasoning(mut self, text: impl Into<String>) -> Self {
        self.reasoning = Some(text.into());
        self
    }

    /// Adds a call of a tool; `arguments` is JSON, as in the request.
    #[must_use]
    pub fn tool_call(mut self, name: impl Into<String>, arguments: &str) -> Self {
        self.tool_calls.push(ToolCall {
            name: name.into(),
            arguments: python::render(arguments),
        });
        self
    }

    /// Adds an image after the text so far. Unit: pixels.
    #[must_use]
    pub fn image(mut self, width: u32, height: u32) -> Self {
        self.push_image(Some((width, height)));
        self
    }

    /// Adds text after what is there.
    #[must_use]
    pub fn text(mut self, text: &str) -> Self {
        self.content.push_str(text);
        self
    }

    pub(super) fn push_image(&mut self, size: Option<(u32, u32)>) {
        self.content.push_str(IMAGE);
        self.images.push(size);
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

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("role", &self.role)
            .field("bytes", &self.content.len())
            .field("tool_calls", &self.tool_calls.len())
            .field("images", &self.images)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Chat, Message};

    #[test]
    fn debug_shows_no_text() -> Result<(), super::ChatError> {
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
