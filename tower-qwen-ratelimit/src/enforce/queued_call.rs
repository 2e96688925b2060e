use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::Request;
use pin_project_lite::pin_project;
use tokio::time::{Sleep, sleep};
use tower_qwen_tokens::{
    Call,
    internal::{
        WaitKind, WaitingCall,
        clock::{self, Instant},
    },
};

use super::{
    Rejection,
    authorize::{AskedFor, Authorization},
    caller_queue::{QueuedOne, SharedQueue},
    settings::Settings,
};
use crate::{
    acquire::Acquire,
    budget::{BudgetError, Granted, LeaseWait, Reserving},
    cost::Cost,
    limiter::{CallerAccount, Leasing},
    queue::Priority,
    reservation::Reservation,
};

pin_project! {
    /// The wait of a call for its caller's quota.
    ///
    /// Dropped, it leaves the queue, and what it holds comes back.
    pub(super) struct QueuedCall {
        account: Arc<CallerAccount>,
        cost: Cost,
        #[pin]
        acquire: Acquire,
        // A call that would go later does not wait. `None`: never.
        latest: Option<Instant>,
        queue: Arc<SharedQueue>,
        // While it waits; in the call's report too.
        queued: Option<(QueuedOne, Option<WaitingCall>)>,
        has_begun: bool,
        held: Held,
        #[pin]
        asking: Asking,
    }
}

/// What a call holds before it goes.
#[derive(Default)]
struct Held {
    reservation: Option<Reservation>,
    /// The reservation holds its part of what a fleet shares.
    is_leased: bool,
    /// `Some(None)`: there are no budgets.
    budget: Option<Option<Granted>>,
    /// All is there, the request too.
    is_complete: bool,
}

pin_project! {
    /// What a call waits for beside its turn.
    #[project = AskingProj]
    enum Asking {
        Nothing,
        Store { #[pin] wait: LeaseWait, asked_for: AskedFor },
        // What other processes hold may have come back then.
        Later { #[pin] sleep: Sleep },
    }
}

/// Why a call does not go.
enum NotGranted {
    Rejected(Rejection),
    OverBudget(BudgetError),
}

impl QueuedCall {
    pub(super) fn new<B>(
        request: &Request<B>,
        settings: &Settings,
        queue: &Arc<SharedQueue>,
    ) -> Self {
        let call = Call::of(request);
        let cost = call.map_or(Cost::request(), |call| Cost::of(call));
        let account = settings.account_of(request);
        let priority = request.extensions().get::<Priority>();
        let max_wait = queue.limits.max_wait;
        let mut acquire = account
            .acquire(cost)
            .max_wait(max_wait)
            .priority(priority.copied().unwrap_or_default());
        let mut latest = clock::now().checked_add(max_wait);
        if let Some(deadline) = call.and_then(|call| call.deadline()) {
            acquire = acquire.deadline(deadline);
            let until = deadline.instant();
            latest = Some(latest.map_or(until, |latest| latest.min(until)));
        }
        Self {
            account,
            cost,
            acquire,
            latest,
            queue: queue.clone(),
            queued: None,
            has_begun: false,
            held: Held::default(),
            asking: Asking::Nothing,
        }
    }

    /// Ready when it may go, or why it may not.
    pub(super) fn poll_granted<B>(
        mut self: Pin<&mut Self>,
        request: &mut Request<B>,
        settings: &Settings,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Authorization>> {
        if self.held.is_complete {
            return Poll::Ready(Ok(()));
        }
        let granted = ready!(self.as_mut().poll_held(request, settings, cx));
        let this = self.project();
        *this.queued = None;
        Poll::Ready(match granted {
            Ok(()) => Ok(()),
            Err(NotGranted::Rejected(rejection)) => {
                let account = this.account.clone();
                Err(settings.reject(rejection, account, None, request))
            }
            Err(NotGranted::OverBudget(error)) => {
                settings.counters.over_budget();
                Err(Authorization::OverBudget(error, this.account.clone()))
            }
        })
    }

    /// The call goes, with what it holds.
    pub(super) fn authorize<B>(
        self: Pin<&mut Self>,
        request: &mut Request<B>,
        settings: &Settings,
    ) -> Authorization {
        let this = self.project();
        let Held {
            reservation,
            budget,
            ..
        } = std::mem::take(this.held);
        let reservation = reservation.expect("it was granted");
        settings.admit(request, this.account.clone(), reservation, budget.flatten())
    }

    fn poll_held<B>(
        mut self: Pin<&mut Self>,
        request: &Request<B>,
        settings: &Settings,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), NotGranted>> {
        loop {
            ready!(self.as_mut().poll_asking(request, settings, cx))?;
            let mut this = self.as_mut().project();
            let held = &mut *this.held;
            // A call that no budget has room for must not wait for its quota first. What is taken here is given back as
            // soon as it has to wait, and taken anew when it goes.
            let needs_budget = !*this.has_begun || held.reservation.is_some();
            if needs_budget && held.budget.is_none() {
                match settings.find_budget(request) {
                    None => held.budget = Some(None),
                    Some(Reserving::Done(Ok(granted))) => held.budget = Some(Some(granted)),
                    Some(Reserving::Done(Err(error))) => {
                        return Poll::Ready(Err(NotGranted::OverBudget(error)));
                    }
                    Some(Reserving::Waits(wait)) => {
                        let asked_for = AskedFor::Budget;
                        this.asking.set(Asking::Store { wait, asked_for });
                        continue;
                    }
                }
            }
            *this.has_begun = true;
            let Some(reservation) = &mut held.reservation else {
                ready!(self.as_mut().poll_reservation(request, settings, cx))?;
                continue;
            };
            if !held.is_leased {
                match this.account.lease(reservation, None) {
                    Leasing::Leased => held.is_leased = true,
                    Leasing::Waits(wait) => {
                        let asked_for = AskedFor::Quota;
                        this.asking.set(Asking::Store { wait, asked_for });
                        continue;
                    }
                    Leasing::Rejected(rejection) => {
                        self.as_mut().try_later(rejection, request, settings)?;
                        continue;
                    }
                }
            }
            // Last, since it cannot be given back.
            if this.account.take_request(this.acquire.as_mut()) {
                held.is_complete = true;
                return Poll::Ready(Ok(()));
            }
            held.give_back_reservation();
        }
    }

    /// Polls what a store or a timer still owes.
    fn poll_asking<B>(
        mut self: Pin<&mut Self>,
        request: &Request<B>,
        settings: &Settings,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), NotGranted>> {
        let mut this = self.as_mut().project();
        let (asked_for, answer) = match this.asking.as_mut().project() {
            AskingProj::Nothing => return Poll::Ready(Ok(())),
            AskingProj::Later { sleep } => {
                ready!(sleep.poll(cx));
                this.asking.set(Asking::Nothing);
                return Poll::Ready(Ok(()));
            }
            AskingProj::Store { wait, asked_for } => (*asked_for, ready!(wait.poll(cx))),
        };
        this.asking.set(Asking::Nothing);
        let held = &mut *this.held;
        Poll::Ready(match (asked_for, &mut held.reservation) {
            (AskedFor::Budget, _) => match answer {
                Ok(granted) => {
                    held.budget = Some(Some(granted));
                    Ok(())
                }
                Err(error) => Err(NotGranted::OverBudget(error)),
            },
            (AskedFor::Quota, Some(reservation)) => {
                match this.account.lease(reservation, Some(answer)) {
                    Leasing::Rejected(rejection) => self.try_later(rejection, request, settings),
                    Leasing::Leased | Leasing::Waits(_) => {
                        held.is_leased = true;
                        Ok(())
                    }
                }
            }
            (AskedFor::Quota, None) => Ok(()),
        })
    }

    /// Polls its turn at this process.
    fn poll_reservation<B>(
        mut self: Pin<&mut Self>,
        request: &Request<B>,
        settings: &Settings,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), NotGranted>> {
        let mut this = self.as_mut().project();
        let max_queued = this.queue.max_queued();
        let acquire = this.acquire.as_mut();
        let poll = this
            .account
            .poll_acquire(acquire, *this.cost, max_queued, cx);
        match poll {
            Poll::Ready(Ok(reservation)) => {
                this.held.reservation = Some(reservation);
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(rejection)) => Poll::Ready(Err(NotGranted::Rejected(rejection))),
            Poll::Pending => {
                this.held.budget = None;
                if self.as_mut().begin_wait(request, settings) {
                    return Poll::Pending;
                }
                // Another call has just taken the last room.
                let rejection = self.account.rejection_of_full_queue(self.cost);
                Poll::Ready(Err(NotGranted::Rejected(rejection)))
            }
        }
    }

    /// Takes a place in the queue, if there is room and it has none.
    fn begin_wait<B>(self: Pin<&mut Self>, request: &Request<B>, settings: &Settings) -> bool {
        let this = self.project();
        if this.queued.is_none()
            && let Some(one) = this.queue.begin()
        {
            let report = Call::of(request).map(|call| call.report());
            let wait = report.map(|report| report.facts().wait(WaitKind::Queue));
            *this.queued = Some((one, wait));
            settings.counters.queued();
        }
        this.queued.is_some()
    }

    /// The fleet has too little of the quota: the call gives its turn up and comes again, if there is time.
    fn try_later<B>(
        mut self: Pin<&mut Self>,
        rejection: Rejection,
        request: &Request<B>,
        settings: &Settings,
    ) -> Result<(), NotGranted> {
        let wait = rejection.wait().unwrap_or(Duration::MAX);
        let at = clock::now().checked_add(wait);
        let is_in_time = at.is_some_and(|at| self.latest.is_none_or(|latest| at <= latest));
        if !is_in_time || !self.as_mut().begin_wait(request, settings) {
            return Err(NotGranted::Rejected(rejection));
        }
        let mut this = self.project();
        this.held.give_back_reservation();
        this.held.budget = None;
        this.account.rejoin(this.acquire.as_mut());
        let sleep = sleep(wait);
        this.asking.set(Asking::Later { sleep });
        Ok(())
    }
}

impl Held {
    fn give_back_reservation(&mut self) {
        self.reservation = None;
        self.is_leased = false;
    }
}
