use crate::units::Nanos;

/// What is believed of a limit, and since when: what the processes of a fleet share of a
/// [`LearnedShare`](super::LearnedShare).
///
/// An account has one for each dimension. The newest throttle wins, since it says what the provider
/// grants now, be it less or more than the one before. After a throttle a share only grows, so of two
/// that follow the same one it is the one that has grown further: then members agree, however late
/// each of them is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Belief {
    pub(crate) since: Since,
    /// Steps of growth since then.
    pub(crate) steps: u32,
    /// The multiple of what was given, in 2^-32.
    pub(crate) share: u64,
}

/// When a throttle showed the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    /// At this instant of the store's clock, in microseconds. 0: there was none.
    Store(u64),
    /// So long ago, by this process's clock: the store does not know of it yet. Nanoseconds.
    Ago(Nanos),
}

/// What is believed of an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Beliefs {
    pub(crate) requests: Belief,
    pub(crate) tokens: Belief,
}

#[cfg(test)]
impl Beliefs {
    /// No process has met a limit.
    pub(crate) const NOTHING: Self = {
        let nothing = Belief {
            since: Since::Store(0),
            steps: 0,
            share: 1 << 32,
        };
        Self {
            requests: nothing,
            tokens: nothing,
        }
    };
}

impl Since {
    /// Microseconds by the store's clock; negative: so many before the present, by `more` more.
    // At least one: 0 says that there was none.
    pub(crate) fn micros(self, more: Nanos) -> i64 {
        let signed = |micros: u64| i64::try_from(micros).unwrap_or(i64::MAX);
        match self {
            Self::Store(micros) => signed(micros),
            Self::Ago(nanos) => -signed((nanos.saturating_add(more) / 1_000).max(1)),
        }
    }
}
