//! The tokens of a call, as the provider reports them.

/// Tokens of one call, as reported by the provider. Unit: tokens.
///
/// Every field may be missing, as every host omits some. `input_tokens` and `output_tokens` include
/// their parts (cached, cache write, reasoning, image, audio, video): never add these to them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Usage {
    /// All tokens of the prompt, those read from a cache included.
    pub input_tokens: Option<u64>,
    /// All tokens of the answer, reasoning included.
    pub output_tokens: Option<u64>,
    /// The total the provider stated; see [`Usage::total`].
    pub total_tokens: Option<u64>,
    /// Part of the input that was read from a cache.
    pub cached_tokens: Option<u64>,
    /// Which cache `cached_tokens` were read from, where the answer says it. A request uses one cache at most.
    pub cache_type: Option<CacheType>,
    /// Part of the input that was written to a cache.
    pub cache_write_tokens: Option<u64>,
    /// Part of the output that was reasoning.
    pub reasoning_tokens: Option<u64>,
    /// Tokens of images.
    pub image_tokens: Option<u64>,
    /// Tokens of audio.
    pub audio_tokens: Option<u64>,
    /// Tokens of video.
    pub video_tokens: Option<u64>,
}

/// The provider's two caches of prompts, which cost differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum CacheType {
    /// Kept by the provider of its own accord. Answers do not name it.
    Implicit,
    /// Asked for with `cache_control`, or as a session's cache. Answers name it `ephemeral`.
    Explicit,
}

/// Where the figures of a report come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Basis {
    /// The provider stated them.
    Reported,
    /// Counted from the text that was delivered, from the prompt alone if there was none, or by the length of an answer
    /// that cannot be read (compressed, say).
    Estimated,
    /// Nothing is known: an error, no answer at all (to a Meter around Retry or Admission a call that was sent and never
    /// answered is its prompt, estimated), or an answer without usage to a request that was not read.
    Unknown,
    /// The provider has not worked on it: it was never sent, or provably never begun, or its caller left when all that was
    /// sent had been answered with errors. It costs nothing.
    NotSent,
}

/// How an answer's body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum End {
    /// The body came to its end.
    Complete,
    /// The body failed.
    Failed,
    /// The body was dropped before its end.
    Cancelled,
}

impl Basis {
    /// Every basis.
    pub(crate) const ALL: [Self; 4] = [
        Self::Reported,
        Self::Estimated,
        Self::Unknown,
        Self::NotSent,
    ];
}

impl End {
    /// Every end.
    pub(crate) const ALL: [Self; 3] = [Self::Complete, Self::Failed, Self::Cancelled];
}

impl CacheType {
    /// Every type.
    pub(crate) const ALL: [Self; 2] = [Self::Implicit, Self::Explicit];

    /// The name in lines of the ledger: `implicit` or `explicit`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Implicit => "implicit",
            Self::Explicit => "explicit",
        }
    }
}

impl Usage {
    /// Usage of this input and output, and no other fields.
    #[must_use]
    pub fn new(input_tokens: u64, output_tokens: u64) -> Self {
        Self {
            input_tokens: Some(input_tokens),
            output_tokens: Some(output_tokens),
            ..Self::default()
        }
    }

    /// All tokens of the call: the stated total, else input plus output; `None` if nothing was
    /// stated.
    #[must_use]
    pub fn total(&self) -> Option<u64> {
        self.total_tokens
            .or(match (self.input_tokens, self.output_tokens) {
                (None, None) => None,
                (input, output) => Some(input.unwrap_or(0).saturating_add(output.unwrap_or(0))),
            })
    }

    /// Input and output. A missing one is the rest of the stated total; a total alone counts as
    /// input, as embeddings state it. `None` if nothing was stated.
    #[must_use]
    pub fn input_and_output(&self) -> Option<(u64, u64)> {
        // A total smaller than its part is a mistake of the host: then nothing is left.
        let rest = |known: u64| {
            self.total_tokens
                .map_or(0, |total| total.saturating_sub(known))
        };
        match (self.input_tokens, self.output_tokens) {
            (Some(input), Some(output)) => Some((input, output)),
            (Some(input), None) => Some((input, rest(input))),
            (None, Some(output)) => Some((rest(output), output)),
            (None, None) => self.total_tokens.map(|total| (total, 0)),
        }
    }

    /// Whether nothing at all was stated.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_missing_half_comes_from_the_total() {
        let of = |input_tokens, output_tokens, total_tokens| {
            Usage {
                input_tokens,
                output_tokens,
                total_tokens,
                ..Usage::default()
            }
            .input_and_output()
        };
        assert_eq!(of(Some(3), Some(4), Some(99)), Some((3, 4)));
        assert_eq!(of(Some(3), None, Some(10)), Some((3, 7)));
        assert_eq!(of(None, Some(4), Some(10)), Some((6, 4)));
        assert_eq!(of(None, None, Some(10)), Some((10, 0)));
        assert_eq!(of(Some(3), None, None), Some((3, 0)));
        assert_eq!(of(None, Some(4), Some(1)), Some((0, 4)));
        assert_eq!(of(None, None, None), None);
    }

    #[test]
    fn the_stated_total_wins() {
        let mut usage = Usage::new(3, 4);
        assert_eq!(usage.total(), Some(7));
        usage.total_tokens = Some(9);
        assert_eq!(usage.total(), Some(9));
        assert_eq!(Usage::default().total(), None);
        assert_eq!(Usage::new(u64::MAX, 1).total(), Some(u64::MAX));
    }
}
