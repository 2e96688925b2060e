//! The estimated cost of a call.

use tower_qwen_tokens::{Call, call::ModelCall};

/// The estimated cost of a call, before it is sent. Every call also costs one request.
///
/// # How many tokens are reserved
///
/// `input_tokens`, and for the answer:
///
/// | situation | reserved for the answer |
/// |---|---|
/// | [`OutputLimit::NoOutput`] | 0 |
/// | fewer than 8 answers are known yet, with a ceiling | the ceiling, at most a sixteenth of what a window may hold |
/// | fewer than 8 answers are known yet, [`OutputLimit::Unlimited`] | 4,096, at most a sixteenth of what a window may hold |
/// | at least 8 answers are known | the 65th percentile of the latest 64 answers, at most the ceiling |
/// | [`Reserve::Ceiling`](crate::Reserve::Ceiling), with a ceiling | the ceiling, always |
///
/// An answer is known when a Meter has reported it complete
/// ([`Reservation::settle`](crate::Reservation::settle) alone teaches nothing). Answers count per
/// account; if 8 answers of the call's [`AnswerKind`](crate::admission::AnswerKind) are known, only
/// those count. Without `Reserve::Ceiling` the sum is cut to what a window may hold, so a large
/// ceiling alone never makes a call too large.
///
/// So a call without `max_tokens` reserves 4,096 tokens until 8 answers of its account are known,
/// and fewer where a window holds less than 65,536 tokens. The sixteenth leaves room for others:
/// a call with a ceiling of a million would else hold all of a new account. Settling corrects the
/// charge in any case.
///
/// # Examples
///
/// ```
/// use tower_qwen_ratelimit::{Cost, Key, Limiter, OutputLimit, Quota};
/// use tower_qwen_tokens::{OnUsage, Report, Usage};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), tower_qwen_ratelimit::Rejected> {
/// let limiter = Limiter::new(Quota::per_minute(600, 1_000_000));
/// let key = Key::new("https://dashscope.aliyuncs.com", "qwen-plus");
/// let cost = Cost::new(200, OutputLimit::Unlimited);
///
/// // What a Meter reports of each answer: 50 tokens.
/// let mut usage = Usage::default();
/// (usage.input_tokens, usage.output_tokens) = (Some(200), Some(50));
/// let report = Report::reported(usage);
///
/// for _ in 0..8 {
///     let reservation = limiter.acquire(&key, cost).await?;
///     assert_eq!(reservation.output_tokens(), 4_096);
///     reservation.mark_sent();
///     reservation.on_usage(&report);
/// }
/// let reservation = limiter.acquire(&key, cost).await?;
/// assert_eq!(reservation.output_tokens(), 50);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cost {
    /// Tokens of the prompt, estimated.
    pub input_tokens: u64,
    /// The most tokens that the answer may have.
    pub output: OutputLimit,
}

/// The most tokens that an answer may have. How many of them are reserved, [`Cost`] says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OutputLimit {
    /// The answer has no tokens: embeddings, or a request that calls no model. Reserves 0.
    #[default]
    NoOutput,
    /// At most this many tokens, all choices together (`max_tokens` x `n`). Reserves this many, at
    /// most a sixteenth of what a window may hold, or the expected length once 8 answers are known.
    AtMost(u64),
    /// The call sets no limit. Reserves 4,096 tokens, at most a sixteenth of what a window may hold,
    /// or the expected length once 8 answers are known.
    Unlimited,
}

impl Cost {
    /// One request without tokens.
    #[must_use]
    pub const fn request() -> Self {
        Self {
            input_tokens: 0,
            output: OutputLimit::NoOutput,
        }
    }

    /// One request with this prompt and answer.
    #[must_use]
    pub const fn new(input_tokens: u64, output: OutputLimit) -> Self {
        Self {
            input_tokens,
            output,
        }
    }

    /// The cost of a call that has been read: its estimated prompt, with a margin until the
    /// estimate of such calls is calibrated, and its output limit (`max_tokens` x `n`).
    #[must_use]
    pub fn of(call: &Call) -> Self {
        call.model_call()
            .map_or(Self::request(), Self::of_model_call)
    }

    fn of_model_call(call: &ModelCall) -> Self {
        let output = if call.dialect.is_embedding() {
            OutputLimit::NoOutput
        } else {
            call.output_ceiling_of_all()
                .map_or(OutputLimit::Unlimited, OutputLimit::AtMost)
        };
        Self::new(call.cautious_input_tokens, output)
    }
}
