use std::time::Duration;

/// How often a call was sent, and how long it waited in between. Stands in the extensions of every answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Attempts {
    /// How often the call was sent: 1 where nothing was retried.
    pub number: u32,
    /// How long Retry itself waited between the attempts. What a layer below waited is not in it.
    pub waited: Duration,
    /// Who answered: 0 where the call went where its caller sent it, else which of the
    /// [fallbacks](crate::RetryPolicy::fallback), from 1 on.
    pub fallback: u32,
}

impl Attempts {
    pub(crate) const NONE: Self = Self {
        number: 0,
        waited: Duration::ZERO,
        fallback: 0,
    };
}
