//! Which layers fit around a service that borrows, and what the types promise.

use std::time::Duration;

use reqwest_middleware::Middleware;
use tower::{
    ServiceBuilder,
    layer::util::{Identity, Stack},
    limit::{ConcurrencyLimitLayer, GlobalConcurrencyLimitLayer},
    load_shed::LoadShedLayer,
    timeout::TimeoutLayer,
};
use tower_qwen_tokens::{
    ContextWindowLayer, Ledger, MeterLayer, WindowBook,
    adapter::{
        reqwest_0_13::{
            FrontFuture, ReqwestFront, ReqwestFrontLayer, ReqwestTransport, TransportFuture,
        },
        reqwest_middleware_0_5::{LayerError, NextService, TowerMiddleware},
    },
    stall_timeout::StallTimeoutLayer,
};

fn fits<L>(_: L)
where
    TowerMiddleware<L>: Middleware,
{
}

#[test]
fn our_layers_and_towers_fit() {
    let hour = Duration::from_secs(3_600);
    fits(Identity::new());
    fits(MeterLayer::new(Ledger::default()));
    fits(StallTimeoutLayer::new(hour));
    fits(ContextWindowLayer::new(WindowBook::builtin()));
    fits(TimeoutLayer::new(hour));
    fits(ConcurrencyLimitLayer::new(1));
    fits(GlobalConcurrencyLimitLayer::new(1));
    fits(LoadShedLayer::new());
    fits(Stack::new(TimeoutLayer::new(hour), LoadShedLayer::new()));
    let whole = ServiceBuilder::new()
        .layer(TimeoutLayer::new(hour))
        .layer(ContextWindowLayer::new(WindowBook::builtin()))
        .layer(MeterLayer::new(Ledger::default()))
        .layer(StallTimeoutLayer::new(hour))
        .map_err(|error: reqwest_middleware::Error| error);
    fits(whole.into_inner());
}

#[test]
fn types_may_go_where_their_insides_may() {
    fn everywhere<T: Send + Sync + Clone + 'static>() {}
    fn shared<T: Send + Sync>() {}
    fn sent<T: Send>() {}
    everywhere::<ReqwestTransport>();
    everywhere::<ReqwestFront<ReqwestTransport>>();
    everywhere::<ReqwestFrontLayer>();
    everywhere::<TowerMiddleware<MeterLayer>>();
    shared::<NextService<'_>>();
    shared::<LayerError>();
    type Calling = <reqwest::Client as tower::Service<reqwest::Request>>::Future;
    sent::<TransportFuture<Calling, reqwest::Error>>();
    sent::<FrontFuture<Calling, reqwest::Error>>();
}
