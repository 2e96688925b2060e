use crate::{CacheType, Usage};

/// A usage object as stated, before its names are reconciled.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct UsageBody {
    stated: Usage,
    /// `prompt_tokens`, which always includes what was cached; `stated.input_tokens` is
    /// `input_tokens`.
    prompt: Option<u64>,
    /// `cache_read_input_tokens` beside the input.
    cache_read: Option<u64>,
    /// `cache_creation_input_tokens` beside the input.
    cache_creation: Option<u64>,
    input_details: Usage,
    output_details: Usage,
    /// The cache that is named, at any place.
    pub(super) cache_type: Option<CacheType>,
    /// The sum of the parts that some hosts list one by one (`models`, `x_details`).
    pub(super) listed: Usage,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Group {
    Usage,
    InputDetails,
    OutputDetails,
}

/// The names that matter; anything else is passed over.
#[derive(Debug, Clone, Copy)]
pub(super) enum CountName {
    Input,
    Prompt,
    Output,
    Total,
    Cached,
    CacheRead,
    CacheCreation,
    CacheWrite,
    CacheType,
    Reasoning,
    Image,
    Audio,
    Video,
    InputDetails,
    OutputDetails,
    List,
    Other,
}

impl CountName {
    pub(super) fn of(name: &str) -> Self {
        match name {
            "input_tokens" => Self::Input,
            "prompt_tokens" => Self::Prompt,
            "output_tokens" | "completion_tokens" => Self::Output,
            "total_tokens" => Self::Total,
            "cached_tokens" | "prompt_cache_hit_tokens" => Self::Cached,
            "cache_read_input_tokens" => Self::CacheRead,
            "cache_creation_input_tokens" => Self::CacheCreation,
            "cache_write_tokens" => Self::CacheWrite,
            "cache_type" => Self::CacheType,
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

impl UsageBody {
    /// Takes over what a later event of the same stream states. Figures are cumulative, so the
    /// later one replaces the earlier, except that a zero replaces nothing.
    pub(crate) fn update(&mut self, later: &Self) {
        let restated = [
            later.stated.input_tokens,
            later.prompt,
            later.stated.output_tokens,
        ];
        // A total that was stated earlier does not belong to these counts.
        if restated.into_iter().flatten().any(|count| count > 0) {
            self.stated.total_tokens = None;
        }
        self.stated = zip(later.stated, self.stated, figure);
        self.prompt = figure(later.prompt, self.prompt);
        self.cache_read = figure(later.cache_read, self.cache_read);
        self.cache_creation = figure(later.cache_creation, self.cache_creation);
        self.cache_type = later.cache_type.or(self.cache_type);
        self.input_details = zip(later.input_details, self.input_details, figure);
        self.output_details = zip(later.output_details, self.output_details, figure);
        self.listed = zip(later.listed, self.listed, figure);
    }

    /// The tokens, input and output inclusive of their parts.
    pub(crate) fn into_usage(self) -> Usage {
        let either = |part: fn(&Usage) -> Option<u64>| {
            let details = sum(part(&self.input_details), part(&self.output_details));
            figure(part(&self.stated), details)
        };
        let input = self.input();
        let cached_tokens = figure(
            self.input_details.cached_tokens,
            figure(self.stated.cached_tokens, self.cache_read),
        );
        let usage = Usage {
            input_tokens: input,
            output_tokens: self.output(input),
            total_tokens: self.stated.total_tokens,
            cached_tokens,
            cache_type: self.cache_type.filter(|_| cached_tokens.is_some()),
            cache_write_tokens: figure(
                self.input_details.cache_write_tokens,
                figure(self.stated.cache_write_tokens, self.cache_creation),
            ),
            reasoning_tokens: self.output_details.reasoning_tokens,
            image_tokens: either(|usage| usage.image_tokens),
            audio_tokens: either(|usage| usage.audio_tokens),
            video_tokens: either(|usage| usage.video_tokens),
        };
        // The list repeats what the fields beside it state, so it only fills what is missing.
        zip(usage, self.listed, figure)
    }

    /// A zero beside a total that is more than the input is none: some hosts count thoughts in the
    /// total alone.
    fn output(&self, input: Option<u64>) -> Option<u64> {
        let rest = || self.stated.total_tokens?.checked_sub(input?);
        match self.stated.output_tokens {
            Some(0) => rest().or(Some(0)),
            stated => stated,
        }
    }

    /// Anthropic's shape (`input_tokens` with cache figures beside it and no total) leaves the
    /// cached part out of the input; every other shape has it inside.
    fn input(&self) -> Option<u64> {
        let exclusive = self.prompt.is_none() && self.stated.total_tokens.is_none();
        match sum(self.cache_read, self.cache_creation) {
            // Only Anthropic's shape has neither of both names; a total would be the sum of
            // inclusive parts.
            Some(cached) if exclusive => self
                .stated
                .input_tokens
                .map(|fresh| fresh.saturating_add(cached)),
            _ => figure(self.stated.input_tokens, self.prompt),
        }
    }

    pub(super) fn count(&mut self, group: Group, name: CountName) -> Option<&mut Option<u64>> {
        let parts = match group {
            Group::Usage => &mut self.stated,
            Group::InputDetails => &mut self.input_details,
            Group::OutputDetails => &mut self.output_details,
        };
        Some(match (group, name) {
            (_, CountName::Cached) => &mut parts.cached_tokens,
            (_, CountName::Image) => &mut parts.image_tokens,
            (_, CountName::Audio) => &mut parts.audio_tokens,
            (_, CountName::Video) => &mut parts.video_tokens,
            (_, CountName::Reasoning) => &mut parts.reasoning_tokens,
            (Group::InputDetails, CountName::CacheCreation) | (_, CountName::CacheWrite) => {
                &mut parts.cache_write_tokens
            }
            (Group::Usage, CountName::Input) => &mut parts.input_tokens,
            (Group::Usage, CountName::Output) => &mut parts.output_tokens,
            (Group::Usage, CountName::Total) => &mut parts.total_tokens,
            (Group::Usage, CountName::Prompt) => &mut self.prompt,
            (Group::Usage, CountName::CacheRead) => &mut self.cache_read,
            (Group::Usage, CountName::CacheCreation) => &mut self.cache_creation,
            _ => return None,
        })
    }
}

/// The first of them that is above zero: a zero may only mean that nothing is known yet.
pub(crate) fn figure(first: Option<u64>, second: Option<u64>) -> Option<u64> {
    match (first, second) {
        (Some(0) | None, Some(second)) => Some(second),
        (first, _) => first,
    }
}

pub(crate) fn zip(
    a: Usage,
    b: Usage,
    with: impl Fn(Option<u64>, Option<u64>) -> Option<u64>,
) -> Usage {
    Usage {
        input_tokens: with(a.input_tokens, b.input_tokens),
        output_tokens: with(a.output_tokens, b.output_tokens),
        total_tokens: with(a.total_tokens, b.total_tokens),
        cached_tokens: with(a.cached_tokens, b.cached_tokens),
        cache_type: a.cache_type.or(b.cache_type),
        cache_write_tokens: with(a.cache_write_tokens, b.cache_write_tokens),
        reasoning_tokens: with(a.reasoning_tokens, b.reasoning_tokens),
        image_tokens: with(a.image_tokens, b.image_tokens),
        audio_tokens: with(a.audio_tokens, b.audio_tokens),
        video_tokens: with(a.video_tokens, b.video_tokens),
    }
}

pub(crate) fn sum(a: Option<u64>, b: Option<u64>) -> Option<u64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.saturating_add(b)),
        (a, b) => a.or(b),
    }
}
