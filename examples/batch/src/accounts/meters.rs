//! A service for each account below Admission: its ledger, its address and its key.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_util::{TryFutureExt, future::Either};
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use tower::{Layer, Service, service_fn};
use tower_qwen_tokens::{Ledger, MeterLayer, call::BoxError};

use super::Accounts;
use crate::request::Route;

/// Hands each call to the service of its account.
#[derive(Debug, Clone)]
struct Meters<S> {
    services: Vec<S>,
    accounts: Option<Accounts>,
}

/// Meters over a transport: one for each account, or one alone that changes nothing.
pub(crate) fn meters<T, TB>(
    transport: T,
    ledger: &Ledger,
    accounts: Option<&Accounts>,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<impl Body<Data = Bytes, Error: Into<BoxError> + Send> + Send + use<T, TB>>,
    Error = BoxError,
    Future: Send,
> + Clone
+ Send
+ use<T, TB>
where
    T: Service<Request<Full<Bytes>>, Response = Response<TB>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send,
    TB: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send,
{
    let count = accounts.map_or(1, Accounts::count);
    let services = (0..count).map(|index| {
        let ledger = accounts.map_or(ledger, |accounts| accounts.ledger(index));
        let service = addressed(transport.clone(), accounts.cloned(), index);
        MeterLayer::new(ledger.clone()).layer(service)
    });
    Meters {
        services: services.collect(),
        accounts: accounts.cloned(),
    }
}

/// Puts the account's address and key on each call.
fn addressed<T, TB>(
    transport: T,
    accounts: Option<Accounts>,
    index: usize,
) -> impl Service<Request<Full<Bytes>>, Response = Response<TB>, Error = BoxError, Future: Send>
+ Clone
+ Send
+ use<T, TB>
where
    T: Service<Request<Full<Bytes>>, Response = Response<TB>, Error: Into<BoxError>, Future: Send>
        + Clone
        + Send,
    TB: Send,
{
    service_fn(move |mut request: Request<Full<Bytes>>| {
        if let Some(accounts) = &accounts
            && let Some(route) = request.extensions().get::<Route>().cloned()
            && let Err(bad) = accounts.get(index).address_to(&mut request, route.path())
        {
            return Either::Left(std::future::ready(Err(BoxError::from(bad))));
        }
        Either::Right(tower::ServiceExt::oneshot(transport.clone(), request).map_err(Into::into))
    })
}

impl<S, RB> Service<Request<Full<Bytes>>> for Meters<S>
where
    S: Service<Request<Full<Bytes>>, Response = Response<RB>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        // Which one a call goes to is not known yet.
        for service in &mut self.services {
            ready!(service.poll_ready(cx))?;
        }
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> S::Future {
        let accounts = self.accounts.as_ref();
        let index = accounts.map_or(0, |accounts| accounts.index_of(&request));
        self.services[index].call(request)
    }
}
