//! The wait for one's turn.

use std::{
    fmt,
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
    account::{Account, AdmitRequest, WaitLimit, WaitOutcome},
    cost::Cost,
    error::{RejectKind, Rejected},
    queue::{Ticket, Weight},
    reservation::Reservation,
};

pin_project! {
    /// Waits until the account has room for the call; see [`Limiter::acquire`](crate::Limiter::acquire).
    ///
    /// Calls go in the order of their arrival, or as the limiter's [`Discipline`](crate::Discipline) says. The head of the
    /// queue holds a timer, and whoever has a deadline or a longest wait.
    ///
    /// # Errors
    ///
    /// [`Rejected`], before anything is reserved. At the first poll: the call costs more than a whole window, the predicted
    /// wait passes [`Acquire::max_wait`] or the deadline, or too many calls are waiting. Later: its turn has not come by
    /// then after all, since the provider has throttled or calls ahead took longer, or as the head it sees that it will not;
    /// or, where a fleet shares the account, the store is away.
    ///
    /// # Cancel safety
    ///
    /// Dropped while it waits it leaves the queue, and whoever is next looks again. Nothing is reserved until it is done.
    #[must_use = "futures do nothing unless polled"]
    pub struct Acquire {
        account: Arc<Account>,
        request: AdmitRequest,
        max_wait: Option<Duration>,
        ticket: Option<Ticket>,
        #[pin]
        timer: Option<Sleep>,
    }

    impl PinnedDrop for Acquire {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(ticket) = this.ticket.take() {
                this.account.leave(ticket);
            }
        }
    }
}

impl Acquire {
    /// A call that arrives when this is first polled.
    pub(crate) fn new(account: Arc<Account>, cost: Cost) -> Self {
        Self {
            account,
            request: AdmitRequest::new(cost),
            max_wait: None,
            ticket: None,
            timer: None,
        }
    }

    /// When the call arrived first: a retried call keeps that place. Default: at the first poll.
    pub fn arrived(mut self, arrived: Instant) -> Self {
        self.request.arrived = Some(arrived);
        self
    }

    /// What kind of answer is expected: what answers cost is learned for each kind apart. Default: none.
    pub fn label(mut self, label: Arc<str>) -> Self {
        self.request.label = Some(label);
        self
    }

    /// Whose call it is, which matters under [`Discipline::Fair`](crate::Discipline::Fair). Default: nobody's.
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.request.flow.tenant = Some(tenant);
        self
    }

    /// How large a share its flow gets under [`Discipline::Fair`](crate::Discipline::Fair). Default: 1.
    pub fn weight(mut self, weight: Weight) -> Self {
        self.request.flow.weight = weight;
        self
    }

    /// The longest wait, from the first poll on; a call whose predicted wait is longer is refused at once, any other when
    /// it has waited for so long. Default: none.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        self.max_wait = Some(max_wait);
        self
    }

    /// When the caller stops waiting; a call whose turn would come later is refused at once, any other then. Default: never.
    pub fn deadline(mut self, deadline: Deadline) -> Self {
        self.request.limit = Some(WaitLimit {
            until: deadline.instant(),
            kind: RejectKind::Deadline,
        });
        self
    }

    /// Takes the quota if it is there now, and otherwise rejects the call. Never waits, and overtakes no waiter that arrived
    /// before the call.
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
    /// As those of [`Limiter::try_acquire`](crate::Limiter::try_acquire). A deadline or longest wait makes no difference.
    pub fn try_now(mut self) -> Result<Reservation, Rejected> {
        let charge = self.account.try_acquire(&self.request, clock::now())?;
        let label = self.request.label.take();
        Ok(Reservation::new(self.account.clone(), charge, label))
    }
}

impl Future for Acquire {
    type Output = Result<Reservation, Rejected>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let mut now = clock::now();
        if this.ticket.is_none() {
            this.request.begin_wait(now, *this.max_wait);
        }
        loop {
            match this
                .account
                .poll_head(this.request, this.ticket, now, cx.waker())
            {
                WaitOutcome::Admitted(charge) => {
                    let label = this.request.label.take();
                    let reservation = Reservation::new(this.account.clone(), charge, label);
                    return Poll::Ready(Ok(reservation));
                }
                WaitOutcome::Rejected(rejected) => return Poll::Ready(Err(rejected)),
                WaitOutcome::WaitForWake => {
                    this.timer.set(None);
                    return Poll::Pending;
                }
                WaitOutcome::WaitUntil(at) => {
                    match this.timer.as_mut().as_pin_mut() {
                        Some(timer) if timer.deadline() == at => {}
                        Some(timer) => timer.reset(at),
                        None => this.timer.set(Some(tokio::time::sleep_until(at))),
                    }
                    if let Some(timer) = this.timer.as_mut().as_pin_mut() {
                        std::task::ready!(timer.poll(cx));
                    }
                    now = clock::now();
                }
            }
        }
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("request", &self.request)
            .field("queued", &self.ticket.is_some())
            .finish_non_exhaustive()
    }
}
