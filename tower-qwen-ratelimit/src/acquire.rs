//! The wait of one call for its quota.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Sleep;
use tower_qwen_tokens::{
    Deadline,
    internal::clock::{self, Instant},
    ledger::Tenant,
};

use crate::{
    account::{Account, AdmitRequest, Charge, Pace, WaitLimit, WaitOutcome},
    cost::Cost,
    error::{RejectKind, Rejected},
    queue::{Priority, Ticket, Weight},
    reservation::Reservation,
};

pin_project! {
    /// Waits until the account has quota for the call; see
    /// [`Limiter::acquire`](crate::Limiter::acquire).
    ///
    /// Calls are admitted by [`Priority`], and within a class in the order of their arrival, or in the order of the
    /// limiter's [`Discipline`](crate::Discipline). Only the head of the queue holds a timer, and every call
    /// with a deadline or a longest wait.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    ///
    /// use tower_qwen_ratelimit::{Cost, Key, Limiter, OutputLimit, Quota, RejectKind};
    ///
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), tower_qwen_ratelimit::Rejected> {
    /// let limiter = Limiter::new(Quota::per_minute(60, 60_000).headroom(0));
    /// let key = Key::new("https://dashscope.aliyuncs.com", "qwen-plus");
    /// let cost = Cost::new(900, OutputLimit::AtMost(100));
    ///
    /// let reservation = limiter.acquire(&key, cost).max_wait(Duration::from_secs(5)).await?;
    /// reservation.mark_sent();
    ///
    /// // 60 requests a minute: the next one is due in a second, too late for a patience of 0.1 s.
    /// let hasty = limiter.acquire(&key, cost).max_wait(Duration::from_millis(100));
    /// let rejected = hasty.await.unwrap_err();
    /// assert_eq!(rejected.kind(), RejectKind::MaxWait);
    /// assert_eq!(rejected.predicted_wait(), Some(Duration::from_secs(1)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`Rejected`], before anything is reserved. At the first poll: the call costs more than a
    /// whole window, its predicted wait exceeds [`Acquire::max_wait`] or its deadline, or too many
    /// calls are waiting. Later: the limit is reached after all (a throttle, or calls ahead that
    /// take longer than predicted), the head of the queue sees that it will be, or the store of a
    /// fleet is away.
    ///
    /// # Panics
    ///
    /// Panics when polled after it was ready.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits, it leaves the queue, and the next call takes its place. Nothing is
    /// reserved before it is ready.
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquire {
        // The reservation takes it over: `None` once admitted or rejected.
        account: Option<Arc<Account>>,
        request: AdmitRequest,
        max_wait: Option<Duration>,
        // Once it waits in the account's queue.
        ticket: Option<Ticket>,
        #[pin]
        timer: Option<Sleep>,
    }

    impl PinnedDrop for Acquire {
        fn drop(this: Pin<&mut Self>) {
            if let (Some(account), Some(ticket)) = (&this.account, this.ticket) {
                account.leave(ticket);
            }
        }
    }
}

impl Acquire {
    /// A call that arrives when this is first polled.
    pub(crate) fn new(account: Arc<Account>, cost: Cost) -> Self {
        Self {
            account: Some(account),
            request: AdmitRequest::new(cost),
            max_wait: None,
            ticket: None,
            timer: None,
        }
    }

    /// When the call first arrived: a retried call keeps its place in the queue. Default: at the
    /// first poll.
    pub fn arrived(mut self, arrived: Instant) -> Self {
        self.request.arrived = Some(arrived);
        self
    }

    /// The kind of answer that the call expects; the length of answers is learned for each kind.
    /// Default: none.
    pub fn label(mut self, label: Arc<str>) -> Self {
        self.request.label = Some(label);
        self
    }

    /// The tenant of the call, for [`Discipline::Fair`](crate::Discipline::Fair). Default: none;
    /// such calls share one flow.
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.request.flow.tenant = Some(tenant);
        self
    }

    /// The share of the call's flow under [`Discipline::Fair`](crate::Discipline::Fair). Default:
    /// 1.
    pub fn weight(mut self, weight: Weight) -> Self {
        self.request.flow.weight = weight;
        self
    }

    /// The class of the call, which goes before those of lower ones. Default: [`Priority::Normal`].
    pub fn priority(mut self, priority: Priority) -> Self {
        self.request.priority = priority;
        self
    }

    /// The longest wait, from the first poll on. A call with a longer predicted wait is rejected at
    /// once, any other call when it has waited this long. Default: no limit.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = Some(max_wait);
        self
    }

    /// When the caller stops waiting. A call that would be admitted later is rejected at once, any
    /// other call at this instant. Default: never.
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.request.limit = Some(WaitLimit {
            until: deadline.instant(),
            kind: RejectKind::Deadline,
        });
        self
    }

    /// What else the call waits for, beside the account, as seen now; and the most calls that may wait.
    pub(crate) fn set_pace(self: Pin<&mut Self>, pace: Pace, max_queued: usize) {
        let request = self.project().request;
        (request.pace, request.max_queued) = (pace, max_queued);
    }

    /// Waits again after it was ready, from its first arrival on and with the same limit: what it was granted has been
    /// given back.
    pub(crate) fn rejoin(self: Pin<&mut Self>, account: Arc<Account>) {
        *self.project().account = Some(account);
    }

    /// Takes the quota if it is there now, and otherwise rejects the call. Never waits, and
    /// overtakes no call that waits and would go before it.
    ///
    /// ```
    /// use tower_qwen_ratelimit::{Cost, Discipline, Key, Limiter, OutputLimit, Quota};
    /// use tower_qwen_tokens::ledger::Tenant;
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let limiter = Limiter::builder(Quota::per_minute(800, 800_000))
    ///     .discipline(Discipline::Fair)
    ///     .build()?;
    /// let key = Key::new("https://dashscope.aliyuncs.com", "qwen-plus");
    /// let cost = Cost::new(1_200, OutputLimit::AtMost(500));
    /// match limiter.acquire(&key, cost).tenant(Tenant::new("acme")).try_now() {
    ///     Ok(reservation) => reservation.mark_sent(),
    ///     Err(rejected) => println!("try again in {:?}", rejected.predicted_wait()),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Those of [`Limiter::try_acquire`](crate::Limiter::try_acquire). A deadline and a longest wait
    /// make no difference.
    pub fn try_now(mut self) -> Result<Reservation, Rejected> {
        let Some(account) = self.account.take() else {
            unreachable!("a future that was polled is pinned");
        };
        let charge = account.try_acquire(&self.request, clock::now())?;
        let label = self.request.label.take();
        Ok(Reservation::new(account, charge, label))
    }
}

impl Future for Acquire {
    type Output = Result<Reservation, Rejected>;

    /// # Panics
    ///
    /// Panics when polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut now = clock::now();
        let account = this.account.as_ref().expect("polled after it was ready");
        let mut outcome = match this.ticket {
            Some(_) => account.poll_head(this.request, this.ticket, now, cx.waker()),
            None => {
                // A wait that has begun keeps its limit, however often it is polled.
                this.request.begin_wait(now, *this.max_wait);
                match account.poll_newcomer(this.request, this.ticket, now, cx.waker()) {
                    Ok(charge) => {
                        return Poll::Ready(Ok(reserve(this.account, this.request, charge)));
                    }
                    Err(outcome) => outcome,
                }
            }
        };
        loop {
            match outcome {
                WaitOutcome::Admitted(charge) => {
                    return Poll::Ready(Ok(reserve(this.account, this.request, charge)));
                }
                WaitOutcome::Rejected(rejected) => {
                    *this.account = None;
                    return Poll::Ready(Err(rejected));
                }
                WaitOutcome::WaitForWake => {
                    // A wake comes when it is the head: a crowd of waiters costs no timers.
                    this.timer.set(None);
                    return Poll::Pending;
                }
                WaitOutcome::WaitUntil(at) => {
                    match this.timer.as_mut().as_pin_mut() {
                        // Registering a timer anew costs a lock of tokio's, and most wakes change
                        // nothing.
                        Some(timer) if timer.deadline() == at => {}
                        Some(timer) => timer.reset(at),
                        None => this.timer.set(Some(tokio::time::sleep_until(at))),
                    }
                    if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                        std::task::ready!(timer.poll(cx));
                    }
                    now = clock::now();
                    outcome = account.poll_head(this.request, this.ticket, now, cx.waker());
                }
            }
        }
    }
}

/// What an admitted call holds.
// The account is moved rather than cloned: a count that threads share is not free.
#[inline(always)]
fn reserve(
    account: &mut Option<Arc<Account>>,
    request: &mut AdmitRequest,
    charge: Charge,
) -> Reservation {
    let account = account.take().expect("it has just been used");
    Reservation::new(account, charge, request.label.take())
}

opaque_debug!(Acquire { request, ticket }, impl std::fmt::Debug for Acquire);
