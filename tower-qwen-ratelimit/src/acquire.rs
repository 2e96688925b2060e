//! The wait of one call for its quota.

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
    account::{Account, Ask, Entered, Latest, Turn},
    cost::Cost,
    error::{RejectKind, Rejected},
    queue::{FlowKey, Ticket, Weight},
    reservation::Reservation,
};

pin_project! {
    /// Waits until the account has quota for the call; see
    /// [`Limiter::acquire`](crate::Limiter::acquire).
    ///
    /// Calls are admitted in the order of their arrival, or in the order of the limiter's
    /// [`Discipline`](crate::Discipline). Only the head of the queue holds a timer, and every call
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
        account: Arc<Account>,
        ask: Ask,
        max_wait: Option<Duration>,
        stage: AcquireStage,
        #[pin]
        timer: Option<Sleep>,
    }

    impl PinnedDrop for Acquire {
        fn drop(this: Pin<&mut Self>) {
            if let AcquireStage::Queued(ticket) = this.stage {
                this.account.leave(ticket);
            }
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum AcquireStage {
    /// Not yet polled.
    New,
    /// Waits in the account's queue.
    Queued(Ticket),
    /// Admitted or rejected; out of the queue.
    Done,
}

impl Acquire {
    /// A call that arrives when this is first polled.
    pub(crate) fn new(account: Arc<Account>, cost: Cost) -> Self {
        Self {
            account,
            ask: Ask {
                cost,
                label: None,
                arrived: None,
                flow: FlowKey::default(),
                latest: None,
            },
            max_wait: None,
            stage: AcquireStage::New,
            timer: None,
        }
    }

    /// When the call first arrived: a retried call keeps its place in the queue. Default: at the
    /// first poll.
    pub fn arrived(mut self, arrived: Instant) -> Self {
        self.ask.arrived = Some(arrived);
        self
    }

    /// The kind of answer that the call expects; the length of answers is learned for each kind.
    /// Default: none.
    pub fn label(mut self, label: Arc<str>) -> Self {
        self.ask.label = Some(label);
        self
    }

    /// The tenant of the call, for [`Discipline::Fair`](crate::Discipline::Fair). Default: none;
    /// such calls share one flow.
    pub fn tenant(mut self, tenant: Tenant) -> Self {
        self.ask.flow.tenant = Some(tenant);
        self
    }

    /// The share of the call's flow under [`Discipline::Fair`](crate::Discipline::Fair). Default:
    /// 1.
    pub fn weight(mut self, weight: Weight) -> Self {
        self.ask.flow.weight = weight;
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
        self.ask.latest = Some(Latest {
            at: deadline.instant(),
            kind: RejectKind::Deadline,
        });
        self
    }
}

impl Future for Acquire {
    type Output = Result<Reservation, Rejected>;

    /// # Panics
    ///
    /// Panics when polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let now = clock::now();
        let mut turn = match *this.stage {
            AcquireStage::New => {
                this.ask.begin(now, *this.max_wait);
                match this.account.enter(this.ask, now, cx.waker()) {
                    Ok(Entered::Admitted(charge)) => Turn::Admitted(charge),
                    Ok(Entered::Queued(ticket, turn)) => {
                        *this.stage = AcquireStage::Queued(ticket);
                        turn
                    }
                    Err(rejected) => Turn::Refused(rejected),
                }
            }
            AcquireStage::Queued(ticket) => this.account.turn(ticket, this.ask, now, cx.waker()),
            AcquireStage::Done => panic!("polled after it was ready"),
        };
        loop {
            match turn {
                Turn::Admitted(charge) => {
                    *this.stage = AcquireStage::Done;
                    let reservation =
                        Reservation::new(this.account.clone(), charge, this.ask.label.take());
                    return Poll::Ready(Ok(reservation));
                }
                Turn::Refused(rejected) => {
                    *this.stage = AcquireStage::Done;
                    return Poll::Ready(Err(rejected));
                }
                Turn::Behind => {
                    // A wake comes when it is the head: a crowd of waiters costs no timers.
                    this.timer.set(None);
                    return Poll::Pending;
                }
                Turn::Until(at) => {
                    match this.timer.as_mut().as_pin_mut() {
                        // Registering a timer anew costs a lock of tokio's, and most wakes change
                        // nothing.
                        Some(timer) if timer.deadline() == at => {}
                        Some(timer) => timer.reset(at),
                        None => this.timer.set(Some(tokio::time::sleep_until(at))),
                    }
                    let timer = this.timer.as_mut().as_pin_mut().expect("set just now");
                    std::task::ready!(timer.poll(cx));
                    let AcquireStage::Queued(ticket) = *this.stage else {
                        unreachable!("only a queued call waits");
                    };
                    turn = this
                        .account
                        .turn(ticket, this.ask, clock::now(), cx.waker());
                }
            }
        }
    }
}

impl fmt::Debug for Acquire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Acquire")
            .field("ask", &self.ask)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
