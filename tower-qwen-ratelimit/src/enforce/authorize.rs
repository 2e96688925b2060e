use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode};
use tower_qwen_tokens::{Call, UsageSink, Verdict, internal::clock, ledger::Tenant};

use super::{Rejection, Reserved, settings::Settings, settle::SettleOnUsage};
use crate::{
    budget::{
        BudgetCall, BudgetError, BudgetReservation, Granted, LeaseAnswer, LeaseWait, Reserving,
    },
    cost::Cost,
    key::{KeyRef, NameRef, RequestHead},
    limiter::{CallerAccount, Decision},
    reservation::Reservation,
};

/// A call that goes to the handler, and what its response needs.
#[derive(Debug)]
pub(super) struct AuthorizedCall {
    account: Arc<CallerAccount>,
    /// `None` in shadow mode for a call that would have been rejected.
    settle: Option<Arc<SettleOnUsage>>,
    /// In shadow mode: why the call would have been rejected.
    shadowed: Option<Rejection>,
    /// In shadow mode: why a budget would have rejected it.
    over_budget: Option<BudgetError>,
}

/// What stores have answered to a call that had to ask them.
#[derive(Debug, Default)]
pub(super) struct LeaseAnswers {
    /// Whether its request was taken before it was read.
    pub(super) is_charged: bool,
    pub(super) budget: Option<LeaseAnswer>,
    pub(super) quota: Option<LeaseAnswer>,
}

/// What a call waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskedFor {
    Budget,
    Quota,
}

impl LeaseAnswers {
    pub(super) fn add(&mut self, asked_for: AskedFor, answer: LeaseAnswer) {
        match asked_for {
            AskedFor::Budget => self.budget = Some(answer),
            AskedFor::Quota => self.quota = Some(answer),
        }
    }
}

/// The decision over a call.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is moved once, into a future of the call"
)]
pub(super) enum Authorization {
    Authorized(AuthorizedCall),
    Rejected(Rejection, Arc<CallerAccount>),
    OverBudget(BudgetError, Arc<CallerAccount>),
    /// A store is asked first; then the call comes with the answers.
    Waits(LeaseWait, AskedFor, LeaseAnswers),
}

impl Settings {
    /// Takes the request of a call that has not been read, where that comes first. `false`: it is taken with its tokens.
    pub(super) fn charge_before_read<B>(
        &self,
        request: &Request<B>,
    ) -> Result<bool, (Rejection, Arc<CallerAccount>)> {
        // A call that may wait for its request cannot have it before; in shadow mode none is rejected.
        if !self.charge_before_read || self.shadow || self.queue.is_some() {
            return Ok(false);
        }
        let account = self.account_of(request);
        let Err(rejection) = account.try_take_request() else {
            return Ok(true);
        };
        self.counters.rejected(rejection.kind());
        if let Some(on_rejection) = &self.on_rejection {
            on_rejection(&rejection);
        }
        Err((rejection, account))
    }

    /// Charges a call that has been read to its caller, or rejects it. An authorized call counts as
    /// sent. One that has waited for a store comes with its answers.
    pub(super) fn authorize<B>(
        &self,
        request: &mut Request<B>,
        answers: LeaseAnswers,
    ) -> Authorization {
        let cost = Call::of(request).map_or(Cost::request(), |call| Cost::of(call));
        let (account, reserving) = {
            let head = RequestHead::new(request, self.limiter.salt());
            let key = self.key_of.find(&head);
            let account = self.limiter.caller_account(key.as_ref());
            let reserving = match answers.budget {
                Some(answer) => Some(Reserving::Done(answer)),
                None => self.reserve_budget(request, key.as_ref()),
            };
            (account, reserving)
        };
        let granted = match reserving {
            Some(Reserving::Waits(wait)) => {
                let answers = LeaseAnswers {
                    is_charged: answers.is_charged,
                    ..LeaseAnswers::default()
                };
                return Authorization::Waits(wait, AskedFor::Budget, answers);
            }
            Some(Reserving::Done(granted)) => granted.map(Some),
            None => Ok(None),
        };
        // The budget first: dropped, it comes back, and a request of governor's does not. Until then
        // another call may find it taken, which is some hundred nanoseconds.
        let granted = match granted {
            Ok(granted) => granted,
            Err(error) => {
                self.counters.over_budget();
                return Authorization::OverBudget(error, account);
            }
        };
        let reserved = match answers.is_charged {
            true => account.try_reserve_tokens(cost, answers.quota),
            false => account.try_reserve(cost, answers.quota),
        };
        match reserved {
            Decision::Reserved(reservation) => self.admit(request, account, reservation, granted),
            Decision::Rejected(rejection) => self.reject(rejection, account, granted, request),
            Decision::Waits(wait) => {
                let answers = LeaseAnswers {
                    is_charged: answers.is_charged,
                    budget: granted.map(Ok),
                    quota: None,
                };
                Authorization::Waits(wait, AskedFor::Quota, answers)
            }
        }
    }

    /// The account of a request's caller.
    pub(super) fn account_of<B>(&self, request: &Request<B>) -> Arc<CallerAccount> {
        let head = RequestHead::new(request, self.limiter.salt());
        let key = self.key_of.find(&head);
        self.limiter.caller_account(key.as_ref())
    }

    /// A call goes that has its quota and its budget.
    pub(super) fn admit<B>(
        &self,
        request: &mut Request<B>,
        account: Arc<CallerAccount>,
        reservation: Reservation,
        granted: Option<Granted>,
    ) -> Authorization {
        let call = Call::of(request).cloned();
        let reservation = Arc::new(match &call {
            Some(call) => reservation.for_call(call),
            None => reservation,
        });
        // The handler may send the call to a provider at any time from now on, so a drop keeps the
        // estimate, unless a layer below says that it did not.
        reservation.mark_sent_as_admitted();
        let (budget, over_budget) = self.send_budget(granted);
        let call = call.as_deref();
        let settle = Arc::new(SettleOnUsage::new(
            reservation.clone(),
            budget.clone(),
            call,
        ));
        let extensions = request.extensions_mut();
        UsageSink::new(settle.clone()).attach(extensions);
        extensions.insert(Reserved::new(Some(reservation), budget));
        self.counters.admitted();
        Authorization::Authorized(AuthorizedCall {
            account,
            settle: Some(settle),
            shadowed: None,
            over_budget,
        })
    }

    /// Finds whose budget it is, and reserves a model call in it.
    pub(super) fn find_budget<B>(&self, request: &Request<B>) -> Option<Reserving> {
        self.budgets.as_ref()?;
        let head = RequestHead::new(request, self.limiter.salt());
        self.reserve_budget(request, self.key_of.find(&head).as_ref())
    }

    /// Reserves a model call in the budgets, if there are any.
    fn reserve_budget<B>(&self, request: &Request<B>, key: KeyRef<'_>) -> Option<Reserving> {
        let budgets = self.budgets.as_ref()?;
        let call = BudgetCall::of(request)?;
        let tenant = match (request.extensions().get::<Tenant>(), key.name()) {
            (Some(tenant), _) => tenant.as_str(),
            (None, NameRef::Tenant(name) | NameRef::Path(name)) => name,
            // A hash is another one in every process, and an address no customer.
            (None, _) => "",
        };
        Some(budgets.acquire_call(tenant, call, self.shadow))
    }

    /// Marks a budget's reservation as sent.
    fn send_budget(
        &self,
        granted: Option<Granted>,
    ) -> (Option<Arc<BudgetReservation>>, Option<BudgetError>) {
        let Some(Granted { reservation, over }) = granted else {
            return (None, None);
        };
        reservation.mark_sent();
        if over.is_some() {
            self.counters.over_budget();
        }
        (Some(Arc::new(reservation)), over)
    }

    pub(super) fn reject<B>(
        &self,
        mut rejection: Rejection,
        account: Arc<CallerAccount>,
        granted: Option<Granted>,
        request: &mut Request<B>,
    ) -> Authorization {
        rejection.is_shadow = self.shadow;
        self.counters.rejected(rejection.kind());
        if let Some(on_rejection) = &self.on_rejection {
            on_rejection(&rejection);
        }
        if !self.shadow {
            return Authorization::Rejected(rejection, account);
        }
        // It goes all the same, so it costs.
        let (budget, over_budget) = self.send_budget(granted);
        let extensions = request.extensions_mut();
        if let Some(budget) = &budget {
            UsageSink::new(budget.clone()).attach(extensions);
        }
        // Handlers find a `Reserved` in any case, so an extractor does not fail only in shadow
        // mode.
        extensions.insert(Reserved::new(None, budget));
        Authorization::Authorized(AuthorizedCall {
            account,
            settle: None,
            shadowed: Some(rejection),
            over_budget,
        })
    }

    /// Writes the rate-limit headers of a response. In shadow mode none: they would announce limits
    /// that are not enforced.
    pub(super) fn write_headers(&self, headers: &mut HeaderMap, account: &CallerAccount) {
        if !self.shadow {
            self.headers
                .write(headers, account, self.limiter.salt(), clock::now());
        }
    }

    fn verdict(&self, status: StatusCode, headers: &HeaderMap) -> Verdict {
        Verdict::of_response(status, headers, b"", self.clock.now())
    }
}

impl AuthorizedCall {
    /// Settles by the response's head, unless a Meter below will report, and writes the headers.
    /// Returns the reservation, to be held until the body ends.
    pub(super) fn finish<B>(
        self,
        response: &mut Response<B>,
        settings: &Settings,
    ) -> Option<Arc<Reservation>> {
        let reservation = self.settle.map(|settle| {
            let status = response.status();
            let is_error = status.is_client_error() || status.is_server_error();
            // A layer below may have read more of the response than its head (the first event of a
            // stream): its verdict wins.
            let error = is_error.then(|| match response.extensions().get() {
                Some(verdict) => Verdict::clone(verdict),
                None => settings.verdict(status, response.headers()),
            });
            settle.head_arrived(error)
        });
        settings.write_headers(response.headers_mut(), &self.account);
        if let Some(rejection) = self.shadowed {
            response.extensions_mut().insert(rejection);
        }
        if let Some(error) = self.over_budget {
            response.extensions_mut().insert(error);
        }
        reservation
    }

    /// Settles a call for which the inner service returned an error instead of a response.
    pub(super) fn fail(self, settings: &Settings) {
        if let Some(settle) = &self.settle {
            // There is no status. What fails inside of a server is charged as its 500.
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            settle.fail(&settings.verdict(status, &HeaderMap::new()));
        }
    }
}
