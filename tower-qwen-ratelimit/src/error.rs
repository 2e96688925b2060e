//! Why a client's call was rejected before anything was sent.

use std::{
    error::Error,
    fmt,
    time::{Duration, SystemTime},
};

use tower_qwen_tokens::{NotSent, PlanUsedUp};

/// Why a call was rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RejectKind {
    /// The call costs more than a whole window allows. Waiting does not help.
    TooLarge,
    /// The wait for quota would exceed, or has exceeded, the longest wait
    /// ([`AdmissionLayer::max_wait`](crate::AdmissionLayer::max_wait),
    /// [`Acquire::max_wait`](crate::Acquire::max_wait)).
    /// [`Limiter::try_acquire`](crate::Limiter::try_acquire) rejects every call that would have to
    /// wait with it.
    MaxWait,
    /// The wait for quota would pass, or has passed, the call's
    /// [`Deadline`](tower_qwen_tokens::Deadline).
    Deadline,
    /// Too many calls are waiting: [`max_queued`](crate::LimiterBuilder::max_queued) of them.
    QueueFull,
    /// A window of the account's plan is used up, so the provider would reject the call. Waiting does
    /// not help before [`Rejected::until`].
    PlanUsedUp,
    /// The store of a fleet cannot be reached, and the outage policy is
    /// [`OutagePolicy::Reject`](crate::OutagePolicy::Reject).
    #[cfg(feature = "redis")]
    StoreAway,
}

/// The error of a call that was rejected before anything was sent. Nothing is reserved for it.
///
/// Its source is a [`PlanUsedUp`] where the plan is used up, and else a [`NotSent`]: by these a layer
/// outside, such as Retry, knows that another target may serve the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rejected {
    kind: RejectKind,
    not_sent: NotSent,
    plan: Option<PlanUsedUp>,
}

impl Rejected {
    pub(crate) fn new(kind: RejectKind, predicted_wait: Option<Duration>) -> Self {
        Self {
            kind,
            not_sent: NotSent::new(predicted_wait),
            plan: None,
        }
    }

    pub(crate) fn by_plan(plan: PlanUsedUp, wait: Option<Duration>) -> Self {
        Self {
            plan: Some(plan),
            ..Self::new(RejectKind::PlanUsedUp, wait)
        }
    }

    /// Why the call was rejected.
    #[must_use]
    pub fn kind(&self) -> RejectKind {
        self.kind
    }

    /// Estimated wait at the current rate, given the calls ahead; until the plan's window ends, where
    /// that is used up and the provider states the end. `None` if waiting does not help, or nobody
    /// knows for how long.
    #[must_use]
    pub fn predicted_wait(&self) -> Option<Duration> {
        self.not_sent.predicted_wait()
    }

    /// Until when the plan is used up, by the clock of this machine. `None` where that is not the
    /// reason, or the provider does not say.
    ///
    /// ```
    /// use tower_qwen_ratelimit::{RejectKind, Rejected};
    ///
    /// fn advice(rejected: &Rejected) -> String {
    ///     match (rejected.kind(), rejected.until()) {
    ///         (RejectKind::PlanUsedUp, Some(until)) => format!("come back after {until:?}"),
    ///         (RejectKind::PlanUsedUp, None) => "come back in half an hour".into(),
    ///         _ => rejected.to_string(),
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn until(&self) -> Option<SystemTime> {
        self.plan?.until()
    }
}

impl fmt::Display for Rejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(plan) = &self.plan {
            return plan.fmt(f);
        }
        f.write_str(match self.kind {
            RejectKind::TooLarge => "the call costs more than the quota of a whole window",
            RejectKind::MaxWait => "the wait for quota would be longer than allowed",
            RejectKind::Deadline => "the wait for quota would pass the deadline",
            RejectKind::QueueFull => "too many calls wait for quota",
            RejectKind::PlanUsedUp => "a window of the account's plan is used up",
            #[cfg(feature = "redis")]
            RejectKind::StoreAway => "the store of the shared quota is away",
        })?;
        match self.predicted_wait() {
            Some(wait) => write!(f, " (predicted wait: {wait:?})"),
            None => Ok(()),
        }
    }
}

impl Error for Rejected {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(match &self.plan {
            Some(plan) => plan,
            None => &self.not_sent,
        })
    }
}
