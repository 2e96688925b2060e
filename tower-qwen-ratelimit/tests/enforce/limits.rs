//! Quotas of tenants, further limits, and changes while calls are under way.

use std::time::Duration;

use http::{Request, StatusCode};
use tower_qwen_ratelimit::{
    EnforceLayer, KeyOf, Limit, Limiter, Quota, Quotas,
    enforce::RejectionKind,
    period::{Period, TimeZone},
};
use tower_qwen_tokens::ledger::Tenant;

use crate::support::{Answer, Body, answering, chat, header, rejection, send, text};

fn of(tenant: &str) -> Request<Body> {
    let mut request = chat();
    request.extensions_mut().insert(Tenant::from(tenant));
    request
}

fn layer(limiter: &Limiter) -> EnforceLayer {
    EnforceLayer::new(limiter.clone(), KeyOf::extension::<Tenant>())
}

async fn status(limiter: &Limiter, tenant: &str) -> StatusCode {
    answer(limiter, tenant).await.status()
}

async fn answer(limiter: &Limiter, tenant: &str) -> Answer {
    send(&answering(&layer(limiter), StatusCode::OK, ""), of(tenant)).await
}

/// How many calls of a tenant are admitted now.
async fn admitted(limiter: &Limiter, tenant: &str) -> usize {
    for count in 0..1_000 {
        if status(limiter, tenant).await != StatusCode::OK {
            return count;
        }
    }
    1_000
}

#[tokio::test(start_paused = true)]
async fn each_team_has_its_quota_and_one_has_none() {
    let quotas = Quotas::new(Quota::per_minute(2, 1_000_000))
        .tenant("search", Quota::per_minute(5, 1_000_000))
        .tenant("batch", Quota::unlimited());
    let limiter = Limiter::builder(quotas).build().unwrap();
    assert_eq!(admitted(&limiter, "search").await, 5);
    assert_eq!(admitted(&limiter, "batch").await, 1_000);
    assert_eq!(admitted(&limiter, "someone").await, 2);
    assert_eq!(admitted(&limiter, "someone else").await, 2);
    let unlimited = answer(&limiter, "batch").await;
    assert!(!unlimited.headers().contains_key("ratelimit"));
}

#[tokio::test(start_paused = true)]
async fn several_windows_hold_at_one_time() {
    let day = Period::day(TimeZone::UTC);
    let quota = Quota::per_minute(100, 1_000_000)
        .and(Limit::requests(3, Period::SECOND))
        .and(Limit::requests(7, Period::HOUR))
        .and(Limit::requests(9, day));
    let limiter = Limiter::new(quota);
    assert_eq!(admitted(&limiter, "a").await, 3);
    let second = answer(&limiter, "a").await;
    assert_eq!(rejection(&second).kind(), RejectionKind::Requests);
    assert_eq!(
        rejection(&second).limit(),
        Limit::requests(3, Period::SECOND)
    );
    assert_eq!(header(&second, "retry-after"), "2");
    let message = text(second).await;
    assert!(
        message.contains("3 requests per 1s. Please try again in 2s."),
        "{message}"
    );
    tokio::time::advance(Duration::from_millis(1_100)).await;
    assert_eq!(admitted(&limiter, "a").await, 3);
    tokio::time::advance(Duration::from_millis(1_100)).await;
    assert_eq!(admitted(&limiter, "a").await, 1, "seven within an hour");
    let hour = answer(&limiter, "a").await;
    assert_eq!(rejection(&hour).limit(), Limit::requests(7, Period::HOUR));
    // At another caller nothing is used.
    assert_eq!(admitted(&limiter, "b").await, 3);
    let used: Vec<u64> = limiter
        .snapshot()
        .iter()
        .find(|account| account.key.to_string() == "a")
        .map(|account| account.limits.iter().map(|limit| limit.used).collect())
        .unwrap();
    // Those of the second have left it.
    assert_eq!(used[1..], [7, 7]);
}

#[tokio::test(start_paused = true)]
async fn input_and_output_have_limits_of_their_own() {
    let cost = {
        let limiter =
            Limiter::new(Quota::unlimited().and(Limit::input_tokens(1_000_000, Period::MINUTE)));
        assert_eq!(status(&limiter, "a").await, StatusCode::OK);
        limiter.snapshot()[0].limits[0].used
    };
    assert!(cost > 0);
    let twice = Quota::unlimited().and(Limit::input_tokens(cost * 2, Period::MINUTE));
    assert_eq!(admitted(&Limiter::new(twice), "a").await, 2);
    let too_small = Quota::unlimited().and(Limit::input_tokens(cost - 1, Period::MINUTE));
    let answer = answer(&Limiter::new(too_small), "a").await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(rejection(&answer).limit().amount(), cost - 1);
}

#[tokio::test(start_paused = true)]
async fn a_change_takes_nothing_back_and_gives_nothing_twice() {
    let quotas =
        Quotas::new(Quota::per_minute(10, 1_000_000)).tenant("a", Quota::per_minute(4, 1_000_000));
    let limiter = Limiter::builder(quotas).build().unwrap();
    assert_eq!(admitted(&limiter, "a").await, 4);
    assert_eq!(admitted(&limiter, "b").await, 10);
    let change = |quota| {
        limiter
            .change_quotas(move |quotas| quotas.tenant("a", quota))
            .unwrap()
    };
    change(Quota::per_minute(6, 1_000_000));
    assert_eq!(admitted(&limiter, "a").await, 2, "four of six are used");
    assert_eq!(
        admitted(&limiter, "b").await,
        0,
        "it is no matter of others"
    );
    change(Quota::per_minute(3, 1_000_000));
    assert_eq!(admitted(&limiter, "a").await, 0);
    change(Quota::unlimited());
    assert_eq!(admitted(&limiter, "a").await, 1_000);
    // All at once, and the one of all others too.
    let all = Quotas::new(Quota::per_minute(12, 1_000_000));
    limiter.change_quotas(|_| all).unwrap();
    assert_eq!(admitted(&limiter, "b").await, 2);
    assert_eq!(admitted(&limiter, "new").await, 12);
    let before = limiter.quotas();
    let error = limiter.change_quotas(|quotas| quotas.tenant("a", Quota::per_minute(0, 1)));
    assert!(error.unwrap_err().to_string().contains("the tenant a"));
    assert_eq!(limiter.quotas(), before, "nothing has changed");
}

#[tokio::test(start_paused = true)]
async fn another_window_keeps_what_was_used() {
    let limiter = Limiter::new(Quota::per_minute(u64::MAX, 1_000_000));
    assert_eq!(status(&limiter, "a").await, StatusCode::OK);
    let used = limiter.snapshot()[0].tokens.used;
    let hour = Quota::per_minute(u64::MAX, used).window(Duration::from_secs(3_600));
    limiter.set_quota(hour).unwrap();
    assert_eq!(limiter.snapshot()[0].tokens.used, used);
    assert_eq!(admitted(&limiter, "a").await, 0, "all of it is used");
    tokio::time::advance(Duration::from_secs(3_500)).await;
    assert_eq!(admitted(&limiter, "a").await, 0);
    tokio::time::advance(Duration::from_secs(200)).await;
    assert!(admitted(&limiter, "a").await > 0);
}
