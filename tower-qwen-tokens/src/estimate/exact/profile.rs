use std::sync::Arc;

use super::{family::Family, image::ImageRule};

/// The system prompt that the template of Qwen2.5 puts before a chat without one.
const QWEN2_5_SYSTEM: &str = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.";

/// What a host adds to a chat. You have to choose it: an answer does not show which host it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Profile {
    default_system: DefaultSystem,
    images: Option<ImageRule>,
}

/// The system prompt of a chat that has none.
#[derive(Debug, Clone, PartialEq, Eq)]
enum DefaultSystem {
    Nothing,
    OfFamily,
    Text(Arc<str>),
}

impl Profile {
    /// Alibaba Cloud Model Studio (DashScope): no system prompt is added.
    ///
    /// Its own rendering of tools is not published, and was seen to be 20 to 40 tokens longer than that of the open template,
    /// which is what is counted.
    #[must_use]
    pub const fn dash_scope() -> Self {
        Self {
            default_system: DefaultSystem::Nothing,
            images: None,
        }
    }

    /// A server of the open models with the template they come with (vLLM, SGLang): that of Qwen2.5 adds a system prompt of 21
    /// tokens where a chat has none, that of Qwen3 adds nothing.
    #[must_use]
    pub const fn open_template() -> Self {
        Self {
            default_system: DefaultSystem::OfFamily,
            images: None,
        }
    }

    /// The system prompt that this host puts before a chat without one.
    #[must_use]
    pub fn default_system(mut self, text: impl Into<Arc<str>>) -> Self {
        self.default_system = DefaultSystem::Text(text.into());
        self
    }

    /// How this host counts images. Default: [`ImageRule::qwen2_5_vl`] or [`ImageRule::qwen3_vl`], by the family.
    #[must_use]
    pub const fn images(mut self, rule: ImageRule) -> Self {
        self.images = Some(rule);
        self
    }

    pub(super) fn system_of(&self, family: Family) -> Option<&str> {
        match (&self.default_system, family) {
            (DefaultSystem::Text(text), _) => Some(text),
            (DefaultSystem::OfFamily, Family::Qwen2_5) => Some(QWEN2_5_SYSTEM),
            // The template of Qwen3 adds none.
            (DefaultSystem::OfFamily, Family::Qwen3) | (DefaultSystem::Nothing, _) => None,
        }
    }

    pub(super) fn images_of(&self, family: Family) -> ImageRule {
        self.images.unwrap_or(match family {
            Family::Qwen2_5 => ImageRule::qwen2_5_vl(),
            Family::Qwen3 => ImageRule::qwen3_vl(),
        })
    }
}
