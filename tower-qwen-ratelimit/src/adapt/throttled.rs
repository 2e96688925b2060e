use tower_qwen_tokens::Cause;

/// Which of our limits a provider's throttle speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Throttled {
    Requests,
    Tokens,
    /// It names no dimension: either may be the one.
    Both,
    /// The rate grows too fast.
    Growth,
    /// Too many calls run at one time.
    Concurrency,
    /// The provider is short of capacity: no limit of ours is too high.
    Capacity,
}

impl Throttled {
    pub(crate) fn by(cause: Cause) -> Self {
        match cause {
            Cause::RequestRate => Self::Requests,
            Cause::TokenRate => Self::Tokens,
            Cause::Growth => Self::Growth,
            Cause::Concurrency => Self::Concurrency,
            Cause::Capacity | Cause::Unavailable => Self::Capacity,
            _ => Self::Both,
        }
    }

    pub(crate) fn concerns_requests(self) -> bool {
        matches!(self, Self::Requests | Self::Both)
    }

    pub(crate) fn concerns_tokens(self) -> bool {
        matches!(self, Self::Tokens | Self::Both)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_name_their_limits() {
        assert_eq!(Throttled::by(Cause::RequestRate), Throttled::Requests);
        assert_eq!(Throttled::by(Cause::TokenRate), Throttled::Tokens);
        assert_eq!(Throttled::by(Cause::Growth), Throttled::Growth);
        assert_eq!(Throttled::by(Cause::Capacity), Throttled::Capacity);
        assert!(!Throttled::Requests.concerns_tokens() && Throttled::Both.concerns_tokens());
        assert!(!Throttled::Capacity.concerns_requests());
    }
}
