//! The shapes in which hosts state usage.
//!
//! Every field may be missing or `null`, at every level; a value of the wrong type counts as missing. Parts of a total
//! are never added to it.

#![cfg_attr(not(feature = "http"), allow(dead_code))]

use std::fmt;

use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor,
};

use crate::Usage;

/// A usage object as stated, before its names are reconciled.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UsageBody {
    stated: Usage,
    /// `prompt_tokens`, which always includes what was cached; `stated.input_tokens` is `input_tokens`.
    prompt: Option<u64>,
    /// `cache_read_input_tokens` beside the input.
    cache_read: Option<u64>,
    /// `cache_creation_input_tokens` beside the input.
    cache_creation: Option<u64>,
    input_details: Usage,
    output_details: Usage,
    /// The sum of the parts that some hosts list one by one (`models`, `x_details`).
    listed: Usage,
}

/// Reads the value of a `usage` field; `None` where it states no tokens.
#[cfg(test)]
pub(crate) fn usage_of(value: &[u8]) -> Option<Usage> {
    let usage = UsageBody::read(value)?.into_usage();
    (!usage.is_empty()).then_some(usage)
}

impl UsageBody {
    /// Reads the value of a `usage` field; `None` where it is no JSON.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let mut body = Self::default();
        let mut json = serde_json::Deserializer::from_slice(value);
        Object::usage(&mut body).deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(body)
    }

    /// Takes over what a later event of the same stream states. Figures are cumulative, so the later one stands.
    pub(crate) fn update(&mut self, later: &Self) {
        let restated = later
            .stated
            .input_tokens
            .or(later.prompt)
            .or(later.stated.output_tokens);
        if restated.is_some() {
            self.stated.total_tokens = None;
        }
        self.stated = filled(later.stated, self.stated);
        self.prompt = later.prompt.or(self.prompt);
        self.cache_read = later.cache_read.or(self.cache_read);
        self.cache_creation = later.cache_creation.or(self.cache_creation);
        self.input_details = filled(later.input_details, self.input_details);
        self.output_details = filled(later.output_details, self.output_details);
        self.listed = filled(later.listed, self.listed);
    }

    /// The tokens, input and output inclusive of their parts.
    pub(crate) fn into_usage(self) -> Usage {
        let either = |part: fn(&Usage) -> Option<u64>| {
            part(&self.stated)
                .or_else(|| sum(part(&self.input_details), part(&self.output_details)))
        };
        let usage = Usage {
            input_tokens: self.input(),
            output_tokens: self.stated.output_tokens,
            total_tokens: self.stated.total_tokens,
            cached_tokens: self
                .input_details
                .cached_tokens
                .or(self.stated.cached_tokens)
                .or(self.cache_read),
            cache_write_tokens: self
                .input_details
                .cache_write_tokens
                .or(self.cache_creation),
            reasoning_tokens: self.output_details.reasoning_tokens,
            image_tokens: either(|usage| usage.image_tokens),
            audio_tokens: either(|usage| usage.audio_tokens),
            video_tokens: either(|usage| usage.video_tokens),
        };
        filled(usage, self.listed)
    }

    /// Anthropic's shape (`input_tokens` with cache figures beside it and no total) leaves the cached part out of the
    /// input; every other shape has it inside.
    fn input(&self) -> Option<u64> {
        let exclusive = self.prompt.is_none() && self.stated.total_tokens.is_none();
        match sum(self.cache_read, self.cache_creation) {
            Some(cached) if exclusive => self
                .stated
                .input_tokens
                .map(|fresh| fresh.saturating_add(cached)),
            _ => self.stated.input_tokens.or(self.prompt),
        }
    }

    fn slot(&mut self, level: Level, name: Name) -> Option<&mut Option<u64>> {
        let parts = match level {
            Level::Usage => &mut self.stated,
            Level::InputDetails => &mut self.input_details,
            Level::OutputDetails => &mut self.output_details,
        };
        Some(match (level, name) {
            (_, Name::Cached) => &mut parts.cached_tokens,
            (_, Name::Image) => &mut parts.image_tokens,
            (_, Name::Audio) => &mut parts.audio_tokens,
            (_, Name::Video) => &mut parts.video_tokens,
            (_, Name::Reasoning) => &mut parts.reasoning_tokens,
            (Level::InputDetails, Name::CacheCreation) => &mut parts.cache_write_tokens,
            (Level::Usage, Name::Input) => &mut parts.input_tokens,
            (Level::Usage, Name::Output) => &mut parts.output_tokens,
            (Level::Usage, Name::Total) => &mut parts.total_tokens,
            (Level::Usage, Name::Prompt) => &mut self.prompt,
            (Level::Usage, Name::CacheRead) => &mut self.cache_read,
            (Level::Usage, Name::CacheCreation) => &mut self.cache_creation,
            _ => return None,
        })
    }
}

/// `first`, and where it states nothing, `second`.
fn filled(first: Usage, second: Usage) -> Usage {
    zip(first, second, Option::or)
}

fn zip(a: Usage, b: Usage, with: impl Fn(Option<u64>, Option<u64>) -> Option<u64>) -> Usage {
    Usage {
        input_tokens: with(a.input_tokens, b.input_tokens),
        output_tokens: with(a.output_tokens, b.output_tokens),
        total_tokens: with(a.total_tokens, b.total_tokens),
        cached_tokens: with(a.cached_tokens, b.cached_tokens),
        cache_write_tokens: with(a.cache_write_tokens, b.cache_write_tokens),
        reasoning_tokens: with(a.reasoning_tokens, b.reasoning_tokens),
        image_tokens: with(a.image_tokens, b.image_tokens),
        audio_tokens: with(a.audio_tokens, b.audio_tokens),
        video_tokens: with(a.video_tokens, b.video_tokens),
    }
}

fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}

#[derive(Debug, Clone, Copy)]
enum Level {
    Usage,
    InputDetails,
    OutputDetails,
}

/// The names that matter; anything else is passed over.
#[derive(Debug, Clone, Copy)]
enum Name {
    Input,
    Prompt,
    Output,
    Total,
    Cached,
    CacheRead,
    CacheCreation,
    Reasoning,
    Image,
    Audio,
    Video,
    InputDetails,
    OutputDetails,
    List,
    Other,
}

impl Name {
    fn of(name: &str) -> Self {
        match name {
            "input_tokens" => Self::Input,
            "prompt_tokens" => Self::Prompt,
            "output_tokens" | "completion_tokens" => Self::Output,
            "total_tokens" => Self::Total,
            "cached_tokens" => Self::Cached,
            "cache_read_input_tokens" => Self::CacheRead,
            "cache_creation_input_tokens" => Self::CacheCreation,
            "reasoning_tokens" => Self::Reasoning,
            "image_tokens" => Self::Image,
            "audio_tokens" => Self::Audio,
            "video_tokens" => Self::Video,
            "prompt_tokens_details" | "input_tokens_details" => Self::InputDetails,
            "completion_tokens_details" | "output_tokens_details" => Self::OutputDetails,
            "models" | "x_details" => Self::List,
            _ => Self::Other,
        }
    }
}

/// Reads one object of counts; anything that is no object leaves things as they are.
struct Object<'a> {
    body: &'a mut UsageBody,
    level: Level,
}

/// Reads a list of usage objects and adds them up.
struct List<'a>(&'a mut Usage);

/// A whole number from zero up; `None` for anything else.
struct Count(Option<u64>);

impl<'a> Object<'a> {
    fn usage(body: &'a mut UsageBody) -> Self {
        Self {
            body,
            level: Level::Usage,
        }
    }
}

/// The scalars, which none of these readers takes.
macro_rules! pass_scalars {
    ($otherwise:expr) => {
        fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
        fn visit_i64<E>(self, _: i64) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
        fn visit_f64<E>(self, _: f64) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
        fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
        fn visit_unit<E>(self) -> Result<Self::Value, E> {
            Ok($otherwise)
        }
    };
}

impl<'de> Visitor<'de> for Object<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(name) = map.next_key::<Name>()? {
            let details = match name {
                Name::InputDetails => Some(Level::InputDetails),
                Name::OutputDetails => Some(Level::OutputDetails),
                _ => None,
            };
            match (self.level, name, details) {
                (Level::Usage, _, Some(level)) => map.next_value_seed(Object {
                    body: &mut *self.body,
                    level,
                })?,
                (Level::Usage, Name::List, _) => {
                    map.next_value_seed(List(&mut self.body.listed))?
                }
                _ => {
                    let Count(count) = map.next_value()?;
                    if let Some(slot) = self.body.slot(self.level, name) {
                        *slot = count.or(*slot);
                    }
                }
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    pass_scalars!(());
}

impl<'de> DeserializeSeed<'de> for Object<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for List<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        loop {
            let mut body = UsageBody::default();
            if list.next_element_seed(Object::usage(&mut body))?.is_none() {
                return Ok(());
            }
            *self.0 = zip(*self.0, body.into_usage(), sum);
        }
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    pass_scalars!(());
}

impl<'de> DeserializeSeed<'de> for List<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<(), D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        struct Whole;

        impl<'de> Visitor<'de> for Whole {
            type Value = Count;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("anything")
            }

            fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
                Ok(Count(Some(count)))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Count, A::Error> {
                while list.next_element::<IgnoredAny>()?.is_some() {}
                Ok(Count(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
                while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
                Ok(Count(None))
            }

            pass_scalars!(Count(None));
        }

        value.deserialize_any(Whole)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(value: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a name")
            }

            fn visit_str<E>(self, name: &str) -> Result<Name, E> {
                Ok(Name::of(name))
            }
        }

        value.deserialize_identifier(Text)
    }
}

#[cfg(test)]
mod tests;
