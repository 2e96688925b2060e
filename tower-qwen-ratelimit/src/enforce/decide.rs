use std::sync::Arc;

use http::{HeaderMap, Request, Response, StatusCode};
use tower_qwen_tokens::{Call, UsageSink, Verdict, clock};

use super::{Refusal, Reserved, layer::Settings, refusal::Limits, settle::Settler};
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
    reservation: Option<Arc<Reservation>>,
    shadowed: Option<Refusal>,
}

/// What becomes of a call.
#[derive(Debug)]
pub(super) enum Decision {
    Passes(Passage),
    Refused(Refusal, Arc<Tenant>),
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
                let extensions = request.extensions_mut();
                UsageSink::new(Arc::new(Settler(reservation.clone()))).attach(extensions);
                extensions.insert(Reserved::new(Some(reservation.clone())));
                self.counters.admitted();
                Decision::Passes(Passage {
                    tenant,
                    reservation: Some(reservation),
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
        let refusal = Refusal::new(denied, &tenant, limits, self.shadow);
        self.counters.refused(refusal.kind());
        if let Some(hear) = &self.on_refusal {
            hear(&refusal);
        }
        if self.shadow {
            return Decision::Passes(Passage {
                tenant,
                reservation: None,
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
    /// Settles by the answer's head, and writes into it. Gives what is to be held until the body ends.
    pub(super) fn answered<B>(
        self,
        response: &mut Response<B>,
        settings: &Settings,
    ) -> Option<Arc<Reservation>> {
        let status = response.status();
        if let Some(reservation) = &self.reservation
            && (status.is_client_error() || status.is_server_error())
        {
            match response.extensions().get::<Verdict>() {
                Some(verdict) => reservation.fail(verdict),
                None => reservation.fail(&settings.verdict(status, response.headers())),
            }
        }
        settings.tell(response.headers_mut(), &self.tenant);
        if let Some(refusal) = self.shadowed {
            response.extensions_mut().insert(refusal);
        }
        self.reservation
    }

    /// The inner service failed.
    pub(super) fn failed(self, settings: &Settings) {
        if let Some(reservation) = &self.reservation {
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            reservation.fail(&settings.verdict(status, &HeaderMap::new()));
        }
    }
}

impl Settings {
    fn verdict(&self, status: StatusCode, headers: &HeaderMap) -> Verdict {
        Verdict::of_response(status, headers, b"", self.wall.now())
    }
}
