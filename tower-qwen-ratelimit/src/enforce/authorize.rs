use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode};
use tower_qwen_tokens::{Call, UsageSink, Verdict, internal::clock};

use super::{Rejection, Reserved, settings::Settings, settle::SettleOnUsage};
use crate::{cost::Cost, key::RequestHead, limiter::CallerAccount, reservation::Reservation};

/// A call that goes to the handler, and what its response needs.
#[derive(Debug)]
pub(super) struct AuthorizedCall {
    account: Arc<CallerAccount>,
    /// `None` in shadow mode for a call that would have been rejected.
    settle: Option<Arc<SettleOnUsage>>,
    /// In shadow mode: why the call would have been rejected.
    shadowed: Option<Rejection>,
}

/// The decision over a call.
#[derive(Debug)]
pub(super) enum Authorization {
    Authorized(AuthorizedCall),
    Rejected(Rejection, Arc<CallerAccount>),
}

impl Settings {
    /// Charges a call that has been read to its caller, or rejects it. An authorized call counts as
    /// sent.
    pub(super) fn authorize<B>(&self, request: &mut Request<B>) -> Authorization {
        let call = Call::of(request).cloned();
        let cost = call.as_deref().map_or(Cost::request(), Cost::of);
        let account = {
            let head = RequestHead::new(request, self.limiter.salt());
            self.limiter
                .caller_account(self.key_of.find(&head).as_ref())
        };
        let reservation = match account.try_reserve(cost) {
            Ok(reservation) => reservation,
            Err(rejection) => return self.reject(rejection, account, request),
        };
        let reservation = Arc::new(match &call {
            Some(call) => reservation.for_call(call),
            None => reservation,
        });
        // The handler may send the call to a provider at any time from now on, so a drop keeps the
        // estimate.
        reservation.mark_sent();
        let settle = Arc::new(SettleOnUsage::new(reservation.clone()));
        let extensions = request.extensions_mut();
        UsageSink::new(settle.clone()).attach(extensions);
        extensions.insert(Reserved::new(Some(reservation)));
        self.counters.admitted();
        Authorization::Authorized(AuthorizedCall {
            account,
            settle: Some(settle),
            shadowed: None,
        })
    }

    fn reject<B>(
        &self,
        mut rejection: Rejection,
        account: Arc<CallerAccount>,
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
        // Handlers find a `Reserved` in any case, so an extractor does not fail only in shadow
        // mode.
        request.extensions_mut().insert(Reserved::new(None));
        Authorization::Authorized(AuthorizedCall {
            account,
            settle: None,
            shadowed: Some(rejection),
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
