//! Callers of an axum server told apart by their address, as the pages say.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use http::StatusCode;
use mock_qwen::Config;
use tower::{Service, ServiceExt};
use tower_qwen_ratelimit::{EnforceLayer, KeyOf};
use tower_qwen_tokens::call::BoxError;

use crate::support::{Place, TestResult, chat, for_axum};

/// What each caller is answered: by the address of its socket, and what it sent as `x-forwarded-for`.
async fn answers(key_of: KeyOf, callers: [(&str, &str); 3]) -> Result<[u16; 3], BoxError> {
    let place = Place::with_one_call_a_minute(Config::default()).await?;
    let router = place.mock.router();
    let router = router.layer(EnforceLayer::new(place.limiter.clone(), key_of));
    let mut server = router.into_make_service_with_connect_info::<SocketAddr>();
    let mut statuses = [0; 3];
    for ((address, forwarded), status) in callers.into_iter().zip(&mut statuses) {
        let address: SocketAddr = address.parse()?;
        let connection = server.call(address).await?;
        let mut request = for_axum(place.request(&chat(false)));
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", forwarded.parse()?);
        *status = connection.oneshot(request).await?.status().as_u16();
    }
    Ok(statuses)
}

const OK: u16 = StatusCode::OK.as_u16();
const REFUSED: u16 = StatusCode::TOO_MANY_REQUESTS.as_u16();

#[tokio::test(start_paused = true)]
async fn axums_addresses_come_in_a_type_of_its_own() -> TestResult {
    let callers = [("10.0.0.1:1", ""), ("10.0.0.2:1", ""), ("10.0.0.1:2", "")];
    let key_of = KeyOf::peer_by(|head| {
        let info = head.extension::<ConnectInfo<SocketAddr>>()?;
        Some(info.0.ip())
    });
    assert_eq!(answers(key_of, callers).await?, [OK, OK, REFUSED]);
    let all_alike = answers(KeyOf::peer(), callers).await?;
    assert_eq!(all_alike, [OK, REFUSED, REFUSED]);
    Ok(())
}

/// The last entry is the proxy's own, those before it are whatever the caller wrote.
#[tokio::test(start_paused = true)]
async fn behind_a_proxy_the_last_entry_counts() -> TestResult {
    let proxy = "10.0.0.1:1";
    let callers = [
        (proxy, "7.7.7.7, 192.0.2.1"),
        (proxy, "192.0.2.2"),
        (proxy, "8.8.8.8, 192.0.2.1"),
    ];
    let key_of = KeyOf::peer_by(|head| {
        let mut lines = head.headers().get_all("x-forwarded-for").iter();
        let line = lines.next_back()?.to_str().ok()?;
        line.rsplit(',').next()?.trim().parse().ok()
    });
    assert_eq!(answers(key_of, callers).await?, [OK, OK, REFUSED]);
    Ok(())
}
