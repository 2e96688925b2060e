/// What goes before a newcomer if nothing else comes or leaves.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ahead {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
}

impl Ahead {
    pub(super) fn of(requests: u64, tokens: u128) -> Self {
        Self {
            requests,
            tokens: u64::try_from(tokens).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn plus(self, other: Self) -> Self {
        Self {
            requests: self.requests.saturating_add(other.requests),
            tokens: self.tokens.saturating_add(other.tokens),
        }
    }

    pub(super) fn at_most(self, other: Self) -> Self {
        Self {
            requests: self.requests.min(other.requests),
            tokens: self.tokens.min(other.tokens),
        }
    }

    /// So many of these calls, at the mean size.
    pub(super) fn first(self, requests: u64) -> Self {
        let requests = requests.min(self.requests);
        let tokens = u128::from(self.tokens) * u128::from(requests);
        Self::of(requests, tokens / u128::from(self.requests.max(1)))
    }
}
