use std::fmt;

use super::python;

/// The mark that the template prints for an image.
const IMAGE: &str = "<|vision_start|><|image_pad|><|vision_end|>";

/// A message of a [`Chat`](super::Chat).
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
