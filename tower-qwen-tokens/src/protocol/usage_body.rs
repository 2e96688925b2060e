//! The shapes in which hosts state usage.
//!
//! Every field may be missing or `null`, at every level; a value of the wrong type counts as missing. Parts of a total
//! are never added to it.

#![cfg_attr(not(feature = "http"), allow(dead_code))]

use serde::de::{DeserializeSeed, MapAccess, SeqAccess};

use crate::{
    Usage,
    json_reader::{JsonNumber, JsonReader, Read, next_name},
};

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

/// Reads a whole number from zero up; `None` for anything else.
struct Count;

impl<'a> Object<'a> {
    fn usage(body: &'a mut UsageBody) -> Read<Self> {
        Read(Self {
            body,
            level: Level::Usage,
        })
    }
}

impl<'de> JsonReader<'de> for Object<'_> {
    type Output = ();

    fn other(self) {}

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { body, level } = self;
        while let Some(name) = next_name(&mut members, Name::of)? {
            let details = match name {
                Name::InputDetails => Some(Level::InputDetails),
                Name::OutputDetails => Some(Level::OutputDetails),
                _ => None,
            };
            match (level, name, details) {
                (Level::Usage, _, Some(level)) => members.next_value_seed(Read(Object {
                    body: &mut *body,
                    level,
                }))?,
                (Level::Usage, Name::List, _) => {
                    members.next_value_seed(Read(List(&mut body.listed)))?;
                }
                _ => {
                    let count = members.next_value_seed(Read(Count))?;
                    if let Some(slot) = body.slot(level, name) {
                        *slot = count.or(*slot);
                    }
                }
            }
        }
        Ok(())
    }
}

impl<'de> JsonReader<'de> for List<'_> {
    type Output = ();

    fn other(self) {}

    fn list<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        loop {
            let mut body = UsageBody::default();
            if elements
                .next_element_seed(Object::usage(&mut body))?
                .is_none()
            {
                return Ok(());
            }
            *self.0 = zip(*self.0, body.into_usage(), sum);
        }
    }
}

impl JsonReader<'_> for Count {
    type Output = Option<u64>;

    fn other(self) -> Option<u64> {
        None
    }

    fn number(self, number: JsonNumber) -> Option<u64> {
        match number {
            JsonNumber::Natural(count) => Some(count),
            JsonNumber::Negative(_) | JsonNumber::Decimal(_) => None,
        }
    }
}

#[cfg(test)]
mod tests;
