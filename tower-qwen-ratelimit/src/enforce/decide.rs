use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode};
use tower_qwen_tokens::{Call, UsageSink, Verdict, internal::clock};

use super::{Rejection, Reserved, layer::Settings, rejection::Limits, settle::Settler};
use crate::{
    cost::Cost,
    key::RequestHead,
    limiter::{Denied, Tenant},
    reservation::Reservation,
};

/// A call that may go on, and what its answer has to say.
#[derive(Debug)]
pub(super) struct Passage {
    tenant: Arc<Tenant>,
    /// `None` in shadow mode, of a call that would have been refused.
    settler: Option<Arc<Settler>>,
    shadowed: Option<Rejection>,
}

/// What becomes of a call.
#[derive(Debug)]
pub(super) enum Decision {
    Passes(Passage),
    Refused(Rejection, Arc<Tenant>),
}

impl Settings {
    /// Charges a call that has been read to its caller, or refuses it. Where it may go, it counts as sent.
    pub(super) fn decide<B>(&self, request: &mut Request<B>) -> Decision {
        let call = Call::of(request).cloned();
        let cost = call.as_deref().map_or(Cost::request(), Cost::of);
        let tenant = {
            let head = RequestHead::new(request, self.limiter.salt());
            self.limiter.tenant(self.key_of.find(&head).as_ref())
        };
        match tenant.try_reserve(cost) {
            Ok(reservation) => {
                let reservation = Arc::new(match &call {
                    Some(call) => reservation.for_call(call),
                    None => reservation,
                });
                reservation.mark_sent();
                let settler = Arc::new(Settler::new(reservation.clone()));
                let extensions = request.extensions_mut();
                UsageSink::new(settler.clone()).attach(extensions);
                extensions.insert(Reserved::new(Some(reservation)));
                self.counters.admitted();
                Decision::Passes(Passage {
                    tenant,
                    settler: Some(settler),
                    shadowed: None,
                })
            }
            Err(denied) => {
                if self.shadow {
                    request.extensions_mut().insert(Reserved::new(None));
                }
                self.deny(denied, tenant)
            }
        }
    }

    fn deny(&self, denied: Denied, tenant: Arc<Tenant>) -> Decision {
        let now = clock::now();
        let limits = Limits {
            requests: tenant.requests_left(now).map_or(0, |left| left.limit),
            tokens: tenant.tokens_left(now).limit,
        };
        let refusal = Rejection::new(denied, &tenant, limits, self.shadow);
        self.counters.refused(refusal.kind());
        if let Some(hear) = &self.on_rejection {
            hear(&refusal);
        }
        if self.shadow {
            return Decision::Passes(Passage {
                tenant,
                settler: None,
                shadowed: Some(refusal),
            });
        }
        Decision::Refused(refusal, tenant)
    }

    /// Says in an answer's head where the caller stands.
    pub(super) fn tell(&self, headers: &mut HeaderMap, tenant: &Tenant) {
        if !self.shadow {
            self.families
                .write(headers, tenant, self.limiter.salt(), clock::now());
        }
    }
}

impl Passage {
    /// Settles by the answer's head where no Meter below is still to report, and writes into it. Gives what is to be held
    /// until the body ends.
    pub(super) fn answered<B>(
        self,
        response: &mut Response<B>,
        settings: &Settings,
    ) -> Option<Arc<Reservation>> {
        let reservation = self.settler.map(|settler| {
            let status = response.status();
            let is_error = status.is_client_error() || status.is_server_error();
            let error = is_error.then(|| match response.extensions().get() {
                Some(verdict) => Verdict::clone(verdict),
                None => settings.verdict(status, response.headers()),
            });
            settler.answered(error)
        });
        settings.tell(response.headers_mut(), &self.tenant);
        if let Some(refusal) = self.shadowed {
            response.extensions_mut().insert(refusal);
        }
        reservation
    }

    /// The inner service failed.
    pub(super) fn failed(self, settings: &Settings) {
        if let Some(settler) = &self.settler {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            settler.failed(&settings.verdict(status, &HeaderMap::new()));
        }
    }
}

impl Settings {
    fn verdict(&self, status: StatusCode, headers: &HeaderMap) -> Verdict {
        Verdict::of_response(status, headers, b"", self.wall.now())
    }
}
