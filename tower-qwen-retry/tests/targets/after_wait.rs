//! "Wait at most so long here, then go to the next one."

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tower_qwen_retry::{Fallback, RetryEvent, RetryPolicy};
use tower_qwen_tokens::{NotSent, internal::clock::now};

use crate::{
    provider::{Provider, Reply, came_to, second, secs, third},
    support::request,
};

fn policy() -> RetryPolicy {
    RetryPolicy::default().fallback(second().after_wait(secs(10)))
}

#[tokio::test(start_paused = true)]
async fn a_call_that_would_wait_too_long_for_quota_goes_on_at_once() {
    let events = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&events);
    let provider = Provider::new(policy().observe(move |event: &RetryEvent<'_>| {
        let mut seen = seen.lock().expect("unbroken");
        match *event {
            RetryEvent::Attempt { number, status, .. } => {
                seen.push(format!("attempt {number}: {status:?}"));
            }
            RetryEvent::Fallback { cause, to, .. } => seen.push(format!("{cause:?} -> {to}")),
            _ => seen.push("other".to_owned()),
        }
    }));
    provider.reply("sk-1", Reply::NotSent(secs(11)));
    let start = now();
    let result = provider.call().await;
    assert_eq!(
        came_to(&result),
        (200, 1, 1),
        "one attempt, at the second target"
    );
    assert_eq!(now() - start, Duration::ZERO, "no wait, no backoff");
    let seen = events.lock().expect("unbroken").clone();
    assert_eq!(seen, ["None -> second", "attempt 1: Some(200)"]);

    provider.reply("sk-1", Reply::NotSent(secs(9)));
    let result = provider.call().await;
    assert_eq!(came_to(&result), (200, 1, 0), "short enough: it waits");
    assert_eq!(now() - start, secs(9));
}

#[tokio::test(start_paused = true)]
async fn the_last_target_may_take_as_long_as_it_takes() {
    let provider = Provider::new(policy());
    provider.reply("sk-1", Reply::NotSent(secs(60)));
    provider.reply("sk-2", Reply::NotSent(secs(100)));
    let start = now();
    assert_eq!(came_to(&provider.call().await), (200, 1, 1));
    assert_eq!(now() - start, secs(100));
}

#[tokio::test(start_paused = true)]
async fn where_no_target_takes_it_the_call_waits_where_it_is() {
    let smaller = Fallback::new("smaller")
        .model("qwen-flash")
        .after_wait(secs(10));
    let provider = Provider::new(RetryPolicy::default().fallback(smaller));
    provider.reply("sk-1", Reply::NotSent(secs(60)));
    let mut signed = request();
    let headers = signed.headers_mut();
    headers.insert("authorization", "Bearer sk-1".parse().expect("a value"));
    headers.insert("content-digest", "sha-256=:x:".parse().expect("a value"));
    let start = now();
    assert_eq!(came_to(&provider.send(signed).await), (200, 1, 0));
    assert_eq!(now() - start, secs(60));
}

#[tokio::test(start_paused = true)]
async fn a_rejection_does_not_fall_back_unless_a_target_asks_for_it() {
    let provider = Provider::new(RetryPolicy::default().fallback(second()));
    provider.reply("sk-1", Reply::NotSent(secs(60)));
    let mut limited = request();
    let key = "Bearer sk-1".parse().expect("a value");
    limited.headers_mut().insert("authorization", key);
    let own = tower_qwen_tokens::call::MaxWait(secs(5));
    limited.extensions_mut().insert(own);
    let error = provider.send(limited.clone()).await.expect_err("rejected");
    assert!(error.is::<NotSent>());

    let willing = Provider::new(RetryPolicy::default().fallback(second().after_retries()));
    willing.reply("sk-1", Reply::NotSent(secs(60)));
    assert_eq!(came_to(&willing.send(limited).await), (200, 1, 1));
}

#[tokio::test(start_paused = true)]
async fn waits_of_retry_itself_count_too() {
    let provider = Provider::new(policy().fallback(third().after_wait(secs(10))));
    provider.reply("sk-1", Reply::Throttled(30));
    let start = now();
    assert_eq!(came_to(&provider.call().await), (200, 2, 1));
    assert_eq!(now(), start, "30 s are more than 10");
    assert_eq!(provider.sent(), ["sk-1", "sk-2"]);
    assert_eq!(
        came_to(&provider.call().await),
        (200, 1, 1),
        "the first rests"
    );

    tokio::time::advance(secs(31)).await;
    provider.reply("sk-1", Reply::Throttled(6));
    let answered = provider.call();
    let (result, ()) = tokio::join!(answered, async {
        tokio::time::sleep(secs(1)).await;
        provider.reply("sk-1", Reply::Ok);
    });
    assert_eq!(came_to(&result), (200, 2, 0), "6 s are less");
    assert_eq!(provider.sent(), ["sk-2", "sk-1", "sk-1"]);
}

#[tokio::test(start_paused = true)]
async fn the_waits_at_one_target_add_up() {
    let provider = Provider::new(policy());
    provider.reply("sk-1", Reply::Throttled(4));
    let start = now();
    assert_eq!(came_to(&provider.call().await).2, 1);
    // Two waits of 4 to 5 s fit into 10 s, a third does not.
    assert_eq!(provider.sent(), ["sk-1", "sk-1", "sk-1", "sk-2"]);
    assert!(now() - start <= secs(10));
}
