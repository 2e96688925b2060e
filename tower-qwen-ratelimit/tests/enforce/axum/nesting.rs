use ::axum::{Router, routing::post};
use http::StatusCode;
use tower::ServiceBuilder;
use tower_qwen_ratelimit::{EnforceLayer, KeyOf, Limiter};
use tower_qwen_tokens::{Ledger, MeterLayer};

use super::{booked, call, send, stream, whole};
use crate::support::{ANTHROPIC, CHAT, account, limiter};

fn enforce(limiter: &Limiter) -> EnforceLayer {
    EnforceLayer::new(limiter.clone(), KeyOf::api_key())
}

#[tokio::test(start_paused = true)]
async fn however_the_router_is_put_together_a_call_is_charged_and_booked_once() {
    type Make = fn(EnforceLayer, MeterLayer) -> Router;
    let makes: [(&str, Make); 5] = [
        (
            "layer by layer, the last is the outermost",
            |enforce, meter| routes().layer(meter).layer(enforce),
        ),
        ("a builder, the first is the outermost", |enforce, meter| {
            routes().layer(ServiceBuilder::new().layer(enforce).layer(meter))
        }),
        ("on routes alone", |enforce, meter| {
            routes().route_layer(meter).route_layer(enforce)
        }),
        ("outside of a nest", |enforce, meter| {
            let inner = Router::new()
                .route("/chat/completions", post(whole))
                .route("/completions", post(stream));
            Router::new()
                .nest("/compatible-mode/v1", inner)
                .layer(meter)
                .layer(enforce)
        }),
        ("one outside of a nest, one inside", |enforce, meter| {
            let inner = Router::new()
                .route("/chat/completions", post(whole))
                .route("/completions", post(stream))
                .layer(meter);
            Router::new()
                .nest("/compatible-mode/v1", inner)
                .layer(enforce)
        }),
    ];
    for (name, make) in makes {
        let (limiter, ledger) = (limiter(3, 100_000), Ledger::default());
        let router = make(enforce(&limiter), MeterLayer::new(ledger.clone()));
        for (path, times) in [(CHAT, 1), ("/compatible-mode/v1/completions", 2)] {
            let (status, _) = send(&router, call(path)).await;
            assert_eq!(status, StatusCode::OK, "{name}");
            assert_eq!(
                booked(&ledger),
                (times, 1_000 * times, 200 * times),
                "{name}"
            );
            assert_eq!(account(&limiter).tokens.used, 1_200 * times, "{name}");
            assert_eq!(account(&limiter).requests.used, times, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_the_router_and_one_of_a_route_are_both_settled() {
    let (all, route) = (limiter(9, 100_000), limiter(9, 100_000));
    let layers = ServiceBuilder::new()
        .layer(enforce(&route))
        .layer(MeterLayer::new(Ledger::default()));
    let chat = post(whole).layer::<_, std::convert::Infallible>(layers);
    let router = Router::new().route(CHAT, chat).layer(enforce(&all));
    assert_eq!(send(&router, call(CHAT)).await.0, StatusCode::OK);
    assert_eq!(account(&route).tokens.used, 1_200);
    assert_eq!(account(&all).tokens.used, 1_200);
}

#[tokio::test(start_paused = true)]
async fn routes_that_do_not_exist_are_charged_unless_only_routes_are_layered() {
    let everything = limiter(2, 100);
    let router = routes().layer(enforce(&everything));
    assert_eq!(send(&router, call("/none")).await.0, StatusCode::NOT_FOUND);
    assert_eq!(account(&everything).requests.used, 1);

    let routes_only = limiter(2, 100);
    let router = routes().route_layer(enforce(&routes_only));
    assert_eq!(send(&router, call("/none")).await.0, StatusCode::NOT_FOUND);
    assert!(routes_only.snapshot().is_empty());
}

/// A nest takes its prefix off the path. What tells the dialect must not be part of it.
#[tokio::test(start_paused = true)]
async fn inside_a_nest_the_prefix_no_longer_shows_the_dialect() {
    for (prefix, rest, metered) in [
        ("/compatible-mode/v1", "/chat/completions", 1),
        ("/apps/anthropic", "/v1/messages", 1),
        ("/apps/anthropic/v1", "/messages", 0),
    ] {
        let ledger = Ledger::default();
        let inner = Router::new()
            .route(rest, post(whole))
            .layer(MeterLayer::new(ledger.clone()));
        let router = Router::new().nest(prefix, inner);
        let path = format!("{prefix}{rest}");
        assert_eq!(send(&router, call(&path)).await.0, StatusCode::OK);
        assert_eq!(ledger.snapshot().total.calls, metered, "{path}");
    }
    assert!(ANTHROPIC.starts_with("/apps/anthropic/v1"));
}

fn routes() -> Router {
    Router::new()
        .route(CHAT, post(whole))
        .route("/compatible-mode/v1/completions", post(stream))
}
