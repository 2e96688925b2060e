//! What is remembered of targets over calls.

use futures::future::join_all;
use proptest::{
    collection::vec,
    prelude::{Just, ProptestConfig, Strategy, any, prop_oneof, proptest},
};
use tokio::time::advance;
use tower_qwen_retry::{CoolingDown, Pool, RetryPolicy};
use tower_qwen_tokens::{Cause, internal::clock::now};

use crate::provider::{Provider, Reply, came_to, second, secs, third};

fn policy() -> RetryPolicy {
    RetryPolicy::default().fallback(second())
}

#[tokio::test(start_paused = true)]
async fn only_the_first_two_calls_pay_for_a_bad_key() {
    let provider = Provider::new(policy());
    provider.reply("sk-1", Reply::BadKey);
    for (call, attempts) in [(0, 2), (1, 2), (2, 1)] {
        assert_eq!(
            came_to(&provider.call().await),
            (200, attempts, 1),
            "{call}"
        );
    }
    assert_eq!(provider.sent(), ["sk-1", "sk-2", "sk-1", "sk-2", "sk-2"]);

    advance(secs(299)).await;
    assert_eq!(came_to(&provider.call().await), (200, 1, 1));
    advance(secs(1)).await;
    // Of many calls at one time one is the probe.
    provider.sent();
    let results = join_all((0..50).map(|_| provider.call())).await;
    let sent = provider.sent();
    assert_eq!(sent.iter().filter(|key| *key == "sk-1").count(), 1);
    assert!(results.iter().all(|result| came_to(result).0 == 200));

    provider.reply("sk-1", Reply::Ok);
    advance(secs(300)).await;
    for _ in 0..3 {
        assert_eq!(came_to(&provider.call().await), (200, 1, 0), "it is back");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_where_it_is_switched_off() {
    let provider = Provider::new(policy().cool_down(secs(0)));
    provider.reply("sk-1", Reply::BadKey);
    for _ in 0..3 {
        assert_eq!(came_to(&provider.call().await), (200, 2, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_the_floor() {
    let provider = Provider::new(policy());
    provider.reply("sk-1", Reply::Throttled(300));
    for _ in 0..299 {
        assert_eq!(came_to(&provider.call().await).2, 1);
        advance(secs(1)).await;
    }
    let firsts = provider.sent_at();
    let firsts: Vec<_> = firsts.iter().filter(|(_, key)| key == "sk-1").collect();
    assert_eq!(firsts, [&(0, "sk-1".to_owned())]);
    provider.reply("sk-1", Reply::Ok);
    advance(secs(1)).await;
    let results = join_all((0..5).map(|_| provider.call())).await;
    assert!(results.iter().all(|result| came_to(result) == (200, 1, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_probed_each_half_hour_and_open_when_its_window_ends() {
    let provider = Provider::new(policy());
    provider.reply("sk-1", Reply::Plan);
    assert_eq!(came_to(&provider.call().await), (200, 2, 1));
    provider.sent();
    for _ in 1..300 {
        advance(secs(60)).await;
        came_to(&provider.call().await);
    }
    let probes = provider.sent_at();
    let probes = probes.iter().filter(|(_, key)| key == "sk-1");
    let minutes: Vec<_> = probes.map(|(at, _)| at / 60).collect();
    assert_eq!(minutes, [30, 60, 90, 120, 150, 180, 210, 240, 270]);

    let provider = Provider::new(policy());
    provider.reply("sk-1", Reply::Plan);
    came_to(&provider.call().await);
    provider.reply("sk-1", Reply::Ok);
    advance(secs(1_799)).await;
    assert_eq!(came_to(&provider.call().await).2, 1);
    advance(secs(1)).await;
    assert_eq!(came_to(&provider.call().await).2, 0, "the probe opens it");
    assert_eq!(came_to(&provider.call().await).2, 0);
}

#[tokio::test(start_paused = true)]
async fn a_bad_key_of_one_caller_says_nothing_of_anothers() {
    let provider = Provider::new(policy());
    provider.reply("sk-a", Reply::BadKey);
    for attempts in [2, 2, 1] {
        assert_eq!(
            came_to(&provider.call_with("sk-a").await),
            (200, attempts, 1)
        );
    }
    assert_eq!(came_to(&provider.call_with("sk-b").await), (200, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn while_all_targets_rest_for_long_calls_fail_typed_and_nothing_is_sent() {
    let provider = Provider::new(policy());
    provider.reply("sk-1", Reply::Throttled(300));
    provider.reply("sk-2", Reply::Throttled(300));
    assert_eq!(
        came_to(&provider.call().await),
        (429, 2, 1),
        "the answer itself"
    );
    provider.sent();
    let start = now();
    for result in join_all((0..1_000).map(|_| provider.call())).await {
        let error = result.expect_err("no target");
        let error = error.downcast::<CoolingDown>().expect("typed");
        assert_eq!(error.until(), start + secs(300));
        assert_eq!(error.cause(), Cause::RequestRate);
        assert_eq!(error.not_sent().predicted_wait(), Some(secs(300)));
    }
    assert_eq!(now(), start);
    assert!(provider.sent().is_empty());
}

/// One call may be rejected for what it is: it must not close a target to all others.
#[tokio::test(start_paused = true)]
async fn one_rejected_call_closes_no_target() {
    for policy in [
        policy(),
        RetryPolicy::default().pool(Pool::new().target(second())),
    ] {
        let provider = Provider::new(policy);
        for _ in 0..3 {
            provider.reply("sk-1", Reply::BadKey);
            provider.reply("sk-2", Reply::BadKey);
            let (status, attempts, _) = came_to(&provider.call().await);
            assert_eq!((status, attempts), (401, 2));
            provider.reply("sk-1", Reply::Ok);
            provider.reply("sk-2", Reply::Ok);
            for _ in 0..2 {
                let (status, attempts, _) = came_to(&provider.call().await);
                assert_eq!((status, attempts), (200, 1));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn where_all_targets_reject_each_call_is_sent_once_and_a_success_opens() {
    for policy in [
        policy(),
        RetryPolicy::default().pool(Pool::new().target(second())),
    ] {
        let provider = Provider::new(policy);
        provider.reply("sk-1", Reply::BadKey);
        provider.reply("sk-2", Reply::BadKey);
        for attempts in [2, 2, 1, 1] {
            let (status, of_call, _) = came_to(&provider.call().await);
            assert_eq!((status, of_call), (401, attempts));
        }
        provider.reply("sk-1", Reply::Ok);
        provider.reply("sk-2", Reply::Ok);
        for _ in 0..2 {
            let (status, attempts, _) = came_to(&provider.call().await);
            assert_eq!((status, attempts), (200, 1));
        }
    }
}

/// One target has a bad key, the other is throttled for a time: calls ask the first once, and wait for the second.
#[tokio::test(start_paused = true)]
async fn a_call_that_went_to_a_target_in_spite_of_rejections_waits_for_the_others() {
    let provider = Provider::new(policy().max_retry_after(secs(10)));
    provider.reply("sk-1", Reply::BadKey);
    for _ in 0..2 {
        provider.call().await.expect("an answer");
    }
    provider.reply("sk-2", Reply::Throttled(60));
    let (status, ..) = came_to(&provider.call().await);
    assert_eq!(status, 429);
    provider.sent();
    provider.reply("sk-2", Reply::Ok);
    let (start, result) = (now(), provider.call().await);
    assert_eq!(came_to(&result).0, 200);
    assert!((secs(60)..secs(63)).contains(&(now() - start)));
    assert_eq!(provider.sent(), ["sk-1", "sk-2"]);
}

/// A target that was closed by rejections is there still when the others fail.
#[tokio::test(start_paused = true)]
async fn a_target_that_rejected_calls_is_tried_before_a_call_fails() {
    let policy = RetryPolicy::default().fallback(second().after_retries());
    let provider = Provider::new(policy);
    provider.reply("sk-1", Reply::Broken);
    provider.reply("sk-2", Reply::BadKey);
    for attempts in [6, 1] {
        let (status, of_call, _) = came_to(&provider.call().await);
        assert_eq!((status, of_call), (401, attempts));
    }
    advance(secs(60)).await;
    provider.reply("sk-2", Reply::Ok);
    provider.sent();
    assert_eq!(came_to(&provider.call().await).0, 200);
    assert_eq!(provider.sent(), ["sk-1", "sk-2"], "a probe, then the other");
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Reply(usize, bool),
    Advance(u64),
    Call,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (0_usize..3, any::<bool>()).prop_map(|(key, is_well)| Step::Reply(key, is_well)),
        (0_u64..400).prop_map(Step::Advance),
        Just(Step::Call),
        Just(Step::Call),
    ];
    vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Rejections alone never keep a call from all targets: each call is sent, to each target once at most; and where all
    /// targets are well it is a success at the first of them, whatever was before.
    #[test]
    fn rejections_never_keep_a_call_from_all_targets(steps in steps(), is_pool in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime");
        runtime.block_on(async {
            let policy = RetryPolicy::default();
            let provider = Provider::new(match is_pool {
                true => policy.pool(Pool::new().target(second()).target(third())),
                false => policy.fallback(second()).fallback(third()),
            });
            let mut are_well = [true; 3];
            for step in steps {
                match step {
                    Step::Reply(key, is_well) => {
                        are_well[key] = is_well;
                        let reply = if is_well { Reply::Ok } else { Reply::BadKey };
                        provider.reply(["sk-1", "sk-2", "sk-3"][key], reply);
                    }
                    Step::Advance(by) => advance(secs(by)).await,
                    Step::Call => {
                        let start = now();
                        let (status, attempts, _) = came_to(&provider.call().await);
                        assert_eq!(now(), start, "no call waits for a rejection to pass");
                        assert!((1..=3).contains(&attempts));
                        if are_well == [true; 3] {
                            assert_eq!((status, attempts), (200, 1));
                        }
                        let mut sent = provider.sent();
                        sent.sort();
                        sent.dedup();
                        assert_eq!(sent.len(), attempts as usize, "each target once");
                    }
                }
            }
        });
    }
}

#[tokio::test(start_paused = true)]
async fn while_all_targets_rest_for_short_calls_wait_for_the_first_of_them() {
    let provider = Provider::new(policy().max_retry_after(secs(10)));
    provider.reply("sk-1", Reply::Throttled(60));
    provider.reply("sk-2", Reply::Throttled(20));
    assert_eq!(came_to(&provider.call().await), (429, 2, 1));
    provider.sent();
    provider.reply("sk-2", Reply::Ok);
    let results = join_all((0..100).map(|_| provider.call())).await;
    assert!(results.iter().all(|result| came_to(result) == (200, 1, 1)));
    let sent = provider.sent_at();
    assert_eq!(sent.len(), 100);
    assert!(
        sent.iter()
            .all(|(at, key)| (20..=22).contains(at) && key == "sk-2")
    );
}

#[tokio::test(start_paused = true)]
async fn a_call_that_fails_everywhere_leaves_the_last_target_open() {
    let policy = RetryPolicy::default().max_attempts(2);
    let policy = policy
        .fallback(second().after_retries())
        .fallback(third().after_retries());
    let provider = Provider::new(policy);
    for key in ["sk-1", "sk-2", "sk-3"] {
        provider.reply(key, Reply::Broken);
    }
    assert_eq!(came_to(&provider.call().await), (500, 6, 2));
    for key in ["sk-1", "sk-2", "sk-3"] {
        provider.reply(key, Reply::Ok);
    }
    assert_eq!(came_to(&provider.call().await), (200, 1, 2));
    advance(secs(60)).await;
    assert_eq!(
        came_to(&provider.call().await),
        (200, 1, 0),
        "a minute later"
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_is_one_attempt() {
    let policy = RetryPolicy::default().fallback(second().after_retries());
    let provider = Provider::new(policy);
    provider.reply("sk-1", Reply::Broken);
    assert_eq!(came_to(&provider.call().await), (200, 6, 1));
    advance(secs(60)).await;
    assert_eq!(came_to(&provider.call().await), (200, 2, 1));
    assert_eq!(came_to(&provider.call().await), (200, 1, 1));
}
