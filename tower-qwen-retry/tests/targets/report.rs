//! What the report says of a call that has several targets.

use http::{Request, header::AUTHORIZATION};
use tokio::time::sleep;
use tower_qwen_retry::{CoolingDown, Pool, RetryPolicy};
use tower_qwen_tokens::{CallReport, NotSent, internal::clock::now};

use crate::{
    provider::{Provider, Reply, came_to, second, secs},
    support::{RequestBody, ms, request},
};

fn reported() -> (Request<RequestBody>, CallReport) {
    let (mut request, report) = (request(), CallReport::new());
    let key = "Bearer sk-1".parse().expect("a header");
    request.headers_mut().insert(AUTHORIZATION, key);
    request.extensions_mut().insert(report.clone());
    (request, report)
}

#[tokio::test(start_paused = true)]
async fn a_wait_for_a_target_that_rests_is_a_wait_for_a_retry() {
    let policy = RetryPolicy::default().max_retry_after(secs(10));
    let provider = Provider::new(policy.fallback(second()));
    provider.reply("sk-1", Reply::Throttled(60));
    provider.reply("sk-2", Reply::Throttled(20));
    assert_eq!(came_to(&provider.call().await), (429, 2, 1));
    provider.reply("sk-2", Reply::Ok);
    let start = now();
    let (request, report) = reported();
    let (result, ()) = tokio::join!(provider.send(request), async {
        sleep(secs(5)).await;
        assert_eq!(report.retry_wait(), secs(5), "while it waits");
        assert_eq!((report.sends(), report.has_ended()), (0, false));
    });
    assert_eq!(came_to(&result), (200, 1, 1));
    assert_eq!(report.retry_wait(), now() - start);
    assert!(report.retry_wait() >= secs(20));
    assert!(report.has_ended());
}

#[tokio::test(start_paused = true)]
async fn what_no_target_takes_was_sent_nowhere() {
    let provider = Provider::new(RetryPolicy::default().fallback(second()));
    provider.reply("sk-1", Reply::Throttled(300));
    provider.reply("sk-2", Reply::Throttled(300));
    provider.call().await.expect("an answer");
    let (request, report) = reported();
    let error = provider.send(request).await.expect_err("no target");
    assert!(error.is::<CoolingDown>());
    assert_eq!((report.sends(), report.was_sent()), (0, false));
    assert_eq!((report.target(), report.retry_wait()), (None, ms(0)));
    assert!(report.has_ended());
}

#[tokio::test(start_paused = true)]
async fn a_rejected_attempt_is_no_send() {
    let policy = RetryPolicy::default().fallback(second());
    let provider = Provider::new(policy);
    provider.reply("sk-1", Reply::NotSent(secs(60)));
    let (mut request, report) = reported();
    let own = tower_qwen_tokens::call::MaxWait(secs(5));
    request.extensions_mut().insert(own);
    let error = provider.send(request).await.expect_err("rejected");
    assert!(error.is::<NotSent>());
    assert_eq!((report.sends(), report.was_sent()), (0, false));
    assert_eq!(report.target(), None);
}

#[tokio::test(start_paused = true)]
async fn a_call_that_comes_back_to_its_own_target_says_so() {
    let pool = Pool::new().target(second());
    let provider = Provider::new(RetryPolicy::default().pool(pool));
    provider.reply("sk-1", Reply::Throttled(20));
    provider.reply("sk-2", Reply::Throttled(40));
    let start = now();
    let (request, report) = reported();
    let (result, ()) = tokio::join!(provider.send(request), async {
        sleep(secs(1)).await;
        assert_eq!(report.target().as_deref(), Some("second"));
        provider.reply("sk-1", Reply::Ok);
    });
    assert_eq!(came_to(&result), (200, 3, 0));
    assert_eq!(provider.sent(), ["sk-1", "sk-2", "sk-1"]);
    assert_eq!(report.target(), None);
    assert_eq!(report.retry_wait(), now() - start);
}
