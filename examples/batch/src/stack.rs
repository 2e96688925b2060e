//! The client: Retry > (answers read to their end) > caps > Admission > (what this program counts) > Meter > transport.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use tower::{Service, ServiceBuilder, layer::layer_fn, service_fn};
use tower_qwen_ratelimit::{AdmissionLayer, BudgetLayer, Budgets, Limiter};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{Ledger, call::BoxError, ledger::Snapshot};

use crate::{
    accounts::{Accounts, Waits, attempt, meters},
    flight::FlightLayer,
    last_failure::LastFailureLayer,
    tally::Tally,
    whole::WholeLayer,
};

/// What the layers of the client share and what can be read off them.
#[derive(Debug, Clone)]
#[must_use]
pub struct Stack {
    /// Admits the calls.
    pub limiter: Limiter,
    /// Sums up tokens and cost, where there are no `accounts`, each of which has a ledger of its own.
    pub ledger: Ledger,
    /// The accounts that share the calls, where these need more than one key at one address.
    pub accounts: Option<Accounts>,
    /// Counts attempts and throttles.
    pub tally: Tally,
    /// What is retried.
    pub policy: RetryPolicy,
    /// The caps of the run, if it has any.
    pub budgets: Option<Budgets>,
}

/// How long a connection may take to come about. Then nothing answers at the address: Retry tries again, and the user
/// should not wait minutes for that.
const CONNECT: Duration = Duration::from_secs(5);

/// After so long without a word on a connection it is tried whether the other end is there: the batch host holds calls for
/// up to an hour, and routers forget connections that are silent for some minutes.
const KEEPALIVE: Duration = Duration::from_secs(60);

/// A client over a real network.
pub type Transport<B = Full<Bytes>> = Client<HttpsConnector<HttpConnector>, B>;

impl Stack {
    /// The client over this transport.
    pub fn client<T, TB>(
        &self,
        transport: T,
    ) -> impl Service<
        Request<Full<Bytes>>,
        Response = Response<impl Body<Data = Bytes, Error: Into<BoxError>> + use<T, TB>>,
        Error = BoxError,
        Future: Send,
    > + Clone
    + Send
    + use<T, TB>
    where
        T: Service<
                Request<Full<Bytes>>,
                Response = Response<TB>,
                Error: Into<BoxError>,
                Future: Send,
            > + Clone
            + Send,
        TB: Body<Data = Bytes, Error: Into<BoxError> + Send> + Send,
    {
        // One account has nothing to choose, and the end rules of the run.
        let accounts = self.accounts.clone();
        let accounts = accounts.filter(|accounts| accounts.count() > 1);
        let waits = accounts.map(|accounts| Waits::new(accounts, self.limiter.clone()));
        ServiceBuilder::new()
            .layer(RetryLayer::new(self.policy.clone()))
            .layer(layer_fn(move |service| {
                let waits = waits.clone();
                service_fn(move |request| {
                    Box::pin(attempt(waits.clone(), Clone::clone(&service), request))
                })
            }))
            .layer(LastFailureLayer)
            .layer(WholeLayer)
            .option_layer(self.budgets.clone().map(BudgetLayer::new))
            .layer(AdmissionLayer::new(self.limiter.clone()))
            .layer(FlightLayer::new(self.tally.clone()))
            .service(meters(transport, &self.ledger, self.accounts.as_ref()))
    }

    /// Tokens and cost so far, of all accounts together.
    #[must_use]
    pub fn booked(&self) -> Snapshot {
        let Some(accounts) = &self.accounts else {
            return self.ledger.snapshot();
        };
        let mut all = Snapshot::default();
        for index in 0..accounts.count() {
            all.merge(&accounts.ledger(index).snapshot());
        }
        all
    }
}

/// Connections for so many calls at once.
///
/// HTTP/1.1 throughout: a connection of HTTP/2 lets only so many calls run at once, and the rest would queue unseen after
/// they were admitted.
#[must_use]
pub fn transport(concurrency: usize) -> Transport {
    connect(concurrency)
}

/// The same for any kind of body.
pub(crate) fn connect<B>(concurrency: usize) -> Transport<B>
where
    B: Body<Data: Send> + Send,
{
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    connector.set_keepalive(Some(KEEPALIVE));
    connector.set_connect_timeout(Some(CONNECT));
    connector.enforce_http(false);
    let connector = HttpsConnectorBuilder::new()
        .with_webpki_roots()
        .https_or_http()
        .enable_http1()
        .wrap_connector(connector);
    Client::builder(TokioExecutor::new())
        .pool_timer(TokioTimer::new())
        .pool_max_idle_per_host(concurrency)
        .build(connector)
}
