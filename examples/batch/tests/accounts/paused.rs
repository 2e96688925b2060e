//! How much of their quotas several accounts use, in paused time: `cargo test -p batch --test accounts paused -- --nocapture`.

use std::time::Duration;

use axum::body::Body;
use batch::{
    accounts::{Account, Accounts},
    news::News,
};
use bytes::Bytes;
use http::Request;
use http_body_util::Full;
use mock_qwen::{Config, MockQwen};
use tokio::time::Instant;
use tower::{ServiceExt, service_fn};
use tower_qwen_ratelimit::Quota;
use tower_qwen_tokens::call::BoxError;

use crate::support::{Harness, TestResult, Watch, chat, lines};

const TOKENS: u64 = 10_000_000;

/// What accounts with these quotas of requests a minute were sent, how often each was throttled, and how long it took.
async fn shares(
    told: &[u64],
    granted: &[u64],
    calls: u64,
) -> TestResult<(Vec<u64>, Vec<u64>, Duration)> {
    let mocks: Vec<MockQwen> = granted
        .iter()
        .map(|&rpm| {
            MockQwen::new(Config {
                rpm,
                tpm: TOKENS,
                ..Config::default()
            })
        })
        .collect();
    let accounts = (0..told.len()).map(|at| {
        let base = format!("http://host-{at}/compatible-mode/v1").parse();
        base.map(|base| Account::new(&format!("account-{at}"), base))
    });
    let accounts = Accounts::new(accounts.collect::<Result<_, _>>()?, News::default());
    let mut harness = Harness::new(mocks[0].clone(), Quota::per_minute(1, TOKENS))?;
    let limiter = harness.stack.limiter.clone();
    for (account, &rpm) in accounts.iter().zip(told) {
        let quota = Quota::per_minute(rpm, TOKENS);
        limiter.change_quotas(|quotas| quotas.account(account.name(), quota))?;
    }
    harness.stack.policy = accounts.policy(harness.stack.policy.clone(), &limiter);
    harness.stack.accounts = Some(accounts.clone());
    harness.run.accounts = Some(accounts);
    harness.run.concurrency = 200.into();
    let routers: Vec<_> = mocks.iter().map(MockQwen::router).collect();
    let transport = service_fn(move |request: Request<Full<Bytes>>| {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let at = host.trim_start_matches("host-").parse::<usize>();
        let router = at.ok().and_then(|at| routers.get(at)).cloned();
        async move {
            let router = router.ok_or("a host that no account has")?;
            let answer = router.oneshot(request.map(Body::new)).await;
            answer.map_err(BoxError::from)
        }
    });
    let input: String = (0..calls)
        .map(|number| chat(&format!("c{number}"), "Why?"))
        .collect();
    let (_stopper, stop) = batch::stop::stop();
    let began = Instant::now();
    let counts = harness
        .run_over(transport, input.as_bytes(), &mut Watch::default(), stop)
        .await?;
    let took = Instant::now().duration_since(began);
    assert_eq!((counts.succeeded, counts.failed), (calls, 0));
    assert_eq!(lines(&harness.output)?.len() as u64, calls);
    let seen = mocks.iter().map(|mock| mock.stats().seen).collect();
    let throttled = mocks.iter().map(|mock| mock.stats().throttled.total());
    Ok((seen, throttled.collect(), took))
}

#[tokio::test(start_paused = true)]
async fn accounts_use_their_quotas_together() -> TestResult {
    for told in [
        &[600][..],
        &[300, 300],
        &[60, 240, 600],
        &[30, 60, 120, 240, 480],
    ] {
        let sum: u64 = told.iter().sum();
        // Two minutes of all quotas.
        let (seen, throttled, took) = shares(told, told, sum * 2).await?;
        let used = 120.0 / took.as_secs_f64();
        println!(
            "{told:?}: sent {seen:?}, throttled {throttled:?}, {took:.1?}, {used:.3} of the quotas"
        );
        assert!(
            throttled.iter().sum::<u64>() * 1_000 <= sum * 2 * 3,
            "{throttled:?}"
        );
        // A quota is left unused by its headroom, and while the first call of an account is under way.
        assert!(used > 0.9, "{told:?}: {took:?}");
        for (&seen, &rpm) in seen.iter().zip(told) {
            let share = seen as f64 / (rpm * 2) as f64;
            assert!((0.85..=1.15).contains(&share), "{seen} of {}", rpm * 2);
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn an_account_that_grants_less_than_is_said_holds_nothing_up() -> TestResult {
    let (seen, throttled, took) = shares(&[600, 600], &[60, 600], 3_000).await?;
    let used = 3_000.0 / 660.0 * 60.0 / took.as_secs_f64();
    println!(
        "60 of 600 granted: sent {seen:?}, throttled {throttled:?}, {took:.1?}, {used:.3} of what is granted"
    );
    assert!(used > 0.8, "{took:?}");
    Ok(())
}
