use std::net::SocketAddr;

use ::axum::{Router, extract::ConnectInfo, routing::post};
use http::StatusCode;
use tower::{Service, ServiceExt};
use tower_qwen_ratelimit::{EnforceLayer, KeyOf};

use super::{call, whole};
use crate::support::{CHAT, limiter};

/// The accounts of two peers of a server, in order.
async fn accounts(key_of: KeyOf) -> Vec<String> {
    let limiter = limiter(9, 100_000);
    let app = Router::new()
        .route(CHAT, post(whole))
        .layer(EnforceLayer::new(limiter.clone(), key_of));
    let mut server = app.into_make_service_with_connect_info::<SocketAddr>();
    for peer in ["10.0.0.1:1", "10.0.0.2:1"] {
        let peer: SocketAddr = peer.parse().unwrap();
        let connection = server.call(peer).await.unwrap();
        let answer = connection.oneshot(call(CHAT)).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let mut accounts: Vec<_> = limiter
        .snapshot()
        .iter()
        .map(|account| account.key.to_string())
        .collect();
    accounts.sort_unstable();
    accounts
}

#[tokio::test(start_paused = true)]
async fn peers_have_accounts_of_their_own_where_the_connections_address_is_read() {
    let connected = KeyOf::peer_by(|head| {
        let info = head.extension::<ConnectInfo<SocketAddr>>();
        info.map(|info| info.0.ip())
    });
    assert_eq!(accounts(connected).await, ["10.0.0.1", "10.0.0.2"]);
    // Documented: axum's type is not seen.
    assert_eq!(accounts(KeyOf::peer()).await, ["anyone"]);
}
