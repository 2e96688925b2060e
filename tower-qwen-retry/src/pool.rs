use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
};

use tower_qwen_tokens::call::PredictWait;

use crate::Fallback;

/// The most members of a pool, the caller's own target included: each is one bit of what a call knows.
pub(crate) const MOST_MEMBERS: usize = 64;
/// So many failures in a row, of any calls, take a member out of the pool for a time.
// One or two happen with single calls and broken connections; as many as Admission takes for an outage.
const MOST_FAILURES: u32 = 3;

/// Several targets that share the load: keys, workspaces or regions. See
/// [`RetryPolicy::pool`](crate::RetryPolicy::pool).
///
/// The caller's own target is the first member. Each call goes to the member at which it would wait
/// for the shortest time; where that is alike, the members take turns. A member that fails is left at
/// once, and rests ([cool-down](crate::retry#cool-down)).
///
/// Members behind the first 64 are not used.
///
/// ```
/// use tower_qwen_retry::{Fallback, InvalidFallback, Pool, RetryPolicy};
/// use tower_qwen_tokens::call::PredictWait;
///
/// fn three_keys(limiter: impl PredictWait + 'static) -> Result<RetryPolicy, InvalidFallback> {
///     let pool = Pool::new()
///         .target(Fallback::new("second").key("sk-2")?)
///         .target(Fallback::new("third").key("sk-3")?)
///         .predicted_by(limiter);
///     Ok(RetryPolicy::default().pool(pool))
/// }
/// ```
#[derive(Clone, Default)]
#[must_use]
pub struct Pool {
    pub(crate) targets: Vec<Fallback>,
    pub(crate) predictor: Option<Arc<dyn PredictWait>>,
}

impl Pool {
    /// A pool of the caller's own target alone.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a member. Its [`after_wait`](Fallback::after_wait) and
    /// [`after_retries`](Fallback::after_retries) are not used: within a pool the predicted wait decides.
    pub fn target(mut self, target: Fallback) -> Self {
        if self.targets.len() + 1 < MOST_MEMBERS {
            self.targets.push(target);
        }
        self
    }

    /// Who predicts how long a call would wait at each member: the limiter of the Admission inside.
    /// Default: nobody, so that the members take turns.
    pub fn predicted_by(mut self, predictor: impl PredictWait + 'static) -> Self {
        self.predictor = Some(Arc::new(predictor));
        self
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("targets", &self.targets)
            .field("is_predicted", &self.predictor.is_some())
            .finish()
    }
}

/// The pool of a policy: its members are the caller's own target and the first fallbacks.
#[derive(Clone)]
pub(crate) struct Members {
    /// The caller's own included.
    pub(crate) count: usize,
    pub(crate) predictor: Option<Arc<dyn PredictWait>>,
}

impl fmt::Debug for Members {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Members")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// What the calls of a layer know of its pool together.
// Relaxed: each number stands alone, and at worst a call goes to a member that it had better left out.
#[derive(Debug)]
pub(crate) struct PoolState {
    next: AtomicUsize,
    /// Failures in a row of each member.
    failures: Box<[AtomicU32]>,
}

impl PoolState {
    pub(crate) fn new(members: usize) -> Self {
        Self {
            next: AtomicUsize::new(0),
            failures: (0..members).map(|_| AtomicU32::new(0)).collect(),
        }
    }

    /// Which one goes of so many that are alike.
    pub(crate) fn next_of(&self, count: usize) -> usize {
        self.next.fetch_add(1, Ordering::Relaxed) % count.max(1)
    }

    /// Counts a failure; returns whether there were too many in a row.
    pub(crate) fn fails(&self, member: usize) -> bool {
        self.failures.get(member).is_some_and(|failures| {
            failures.fetch_add(1, Ordering::Relaxed).saturating_add(1) >= MOST_FAILURES
        })
    }

    pub(crate) fn succeeds(&self, member: usize) {
        // Nearly always zero: all threads read it, and few write.
        if let Some(failures) = self.failures.get(member)
            && failures.load(Ordering::Relaxed) != 0
        {
            failures.store(0, Ordering::Relaxed);
        }
    }
}
