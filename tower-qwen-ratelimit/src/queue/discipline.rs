use std::num::NonZeroU32;

/// Which of the calls that wait at an account goes next.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Discipline {
    /// The one that arrived first; a retried call keeps the place of its first arrival.
    #[default]
    Fifo,
    /// The one whose flow has been served the fewest tokens for its weight.
    ///
    /// Calls of one [`Tenant`](tower_qwen_tokens::ledger::Tenant) at one [`Weight`] form a flow and
    /// go in the order of their arrival; all calls without a tenant count as one tenant's. A flow
    /// is charged the estimate when its call is admitted, and the difference to the true cost when
    /// that is known. Of the flows that wait, the one with the fewest tokens per unit of weight
    /// goes next: of two flows that both always wait, neither is ever ahead by more than twice the
    /// largest call.
    ///
    /// Nothing is held back: the next call goes as soon as it fits, and a flow that is alone gets
    /// everything. Time without waiting calls is not banked: a flow that comes back starts level
    /// with those that wait. No flow starves, not even beside an endless stream of new tenants,
    /// since the level at which they start rises with every call that goes.
    ///
    /// Tokens are what is shared, not requests: calls of few tokens go more often. A call that
    /// brings none at all (refused by the provider, or no model call) counts as what one request is
    /// worth: tokens of the quota over its requests.
    Fair,
}

/// How large a share a call's flow gets under [`Discipline::Fair`], beside those of the others: 2
/// gets twice the tokens of 1.
///
/// Put it into the request's extensions: in a layer that knows the caller's plan, or in the
/// application for calls that a person waits for. Default: 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(NonZeroU32);

impl Weight {
    /// A share of this size.
    #[must_use]
    pub const fn new(share: NonZeroU32) -> Self {
        Self(share)
    }

    /// The size of the share.
    #[must_use]
    pub const fn get(self) -> NonZeroU32 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(NonZeroU32::MIN)
    }
}

impl From<NonZeroU32> for Weight {
    fn from(share: NonZeroU32) -> Self {
        Self(share)
    }
}
