//! Several keys that share the load.

use std::{collections::BTreeMap, time::Duration};

use futures::future::join_all;
use tokio::time::advance;
use tower_qwen_retry::{Fallback, Pool, RetryPolicy};
use tower_qwen_tokens::{
    Call,
    call::{AccountOf, PredictWait},
    internal::clock::now,
};

use crate::provider::{Provider, Reply, came_to, second, secs, third};

fn pool() -> Pool {
    Pool::new().target(second()).target(third())
}

fn shares(provider: &Provider) -> BTreeMap<String, usize> {
    let mut shares = BTreeMap::new();
    for key in provider.sent() {
        *shares.entry(key).or_default() += 1;
    }
    shares
}

fn expected(shares: [(&str, usize); 3]) -> BTreeMap<String, usize> {
    let shares = shares.into_iter().filter(|(_, share)| *share > 0);
    shares.map(|(key, share)| (key.to_owned(), share)).collect()
}

#[tokio::test(start_paused = true)]
async fn members_take_turns_and_survive_one_that_is_revoked() {
    let provider = Provider::new(RetryPolicy::default().pool(pool()));
    for _ in 0..300 {
        assert_eq!(came_to(&provider.call().await).1, 1);
    }
    let thirds = expected([("sk-1", 100), ("sk-2", 100), ("sk-3", 100)]);
    assert_eq!(shares(&provider), thirds);

    provider.reply("sk-2", Reply::BadKey);
    for _ in 0..300 {
        assert_eq!(came_to(&provider.call().await).0, 200);
        advance(secs(1)).await;
    }
    let shares = shares(&provider);
    assert_eq!(shares["sk-2"], 2, "two calls find out: {shares:?}");
    assert!(shares["sk-1"] >= 140 && shares["sk-3"] >= 140, "{shares:?}");
}

/// Waits of these seconds, by the name of the account.
struct Waits(&'static [(&'static str, u64)]);

impl PredictWait for Waits {
    fn predicted_wait(&self, account: &AccountOf<'_>, call: Option<&Call>) -> Option<Duration> {
        assert_eq!(
            (account.scheme, account.authority, account.model),
            ("https", "dashscope.aliyuncs.com", "qwen-plus")
        );
        assert!(call.is_some());
        let wait = self.0.iter().find(|(name, _)| *name == account.id);
        wait.map(|&(_, wait)| secs(wait))
    }
}

#[tokio::test(start_paused = true)]
async fn the_shortest_predicted_wait_goes_first() {
    let rows: [(&'static [(&'static str, u64)], usize); 4] = [
        (&[("", 5), ("second", 3), ("third", 4)], 1),
        (&[("", 5), ("second", 7), ("third", 4)], 2),
        (&[("", 1), ("second", 3), ("third", 4)], 0),
        // The others would reject it.
        (&[("third", 900)], 2),
    ];
    for (waits, target) in rows {
        let policy = RetryPolicy::default().pool(pool().predicted_by(Waits(waits)));
        let provider = Provider::new(policy);
        for _ in 0..3 {
            assert_eq!(
                came_to(&provider.call().await),
                (200, 1, target),
                "{waits:?}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_throttled_member_is_left_at_once_and_rests_until_its_hint_is_over() {
    let provider = Provider::new(RetryPolicy::default().pool(pool()));
    provider.reply("sk-1", Reply::Throttled(30));
    let start = now();
    for _ in 0..29 {
        assert_eq!(came_to(&provider.call().await).0, 200);
        advance(secs(1)).await;
    }
    assert_eq!(now() - start, secs(29), "no call has waited");
    assert_eq!(shares(&provider)["sk-1"], 1);
    provider.reply("sk-1", Reply::Ok);
    // The hint is drawn out a little, as before each retry.
    advance(secs(8)).await;
    for _ in 0..30 {
        provider.call().await.expect("an answer");
    }
    assert_eq!(shares(&provider)["sk-1"], 10);
}

#[tokio::test(start_paused = true)]
async fn while_all_members_are_throttled_calls_wait_and_nothing_is_stormed() {
    let provider = Provider::new(RetryPolicy::default().pool(pool()));
    for (key, wait) in [("sk-1", 40), ("sk-2", 20), ("sk-3", 30)] {
        provider.reply(key, Reply::Throttled(wait));
    }
    let start = now();
    let (result, (), others) = tokio::join!(
        provider.call(),
        async {
            tokio::time::sleep(secs(1)).await;
            provider.reply("sk-2", Reply::Ok);
        },
        async {
            tokio::time::sleep(secs(2)).await;
            join_all((0..200).map(|_| provider.call())).await
        }
    );
    assert_eq!(came_to(&result).0, 200);
    assert!(others.iter().all(|result| came_to(result).0 == 200));
    let sent = provider.sent_at();
    let early = sent.iter().filter(|(at, _)| *at < 20).count();
    assert_eq!(early, 3, "each member is found out once: {sent:?}");
    assert!(now() - start < secs(30));
}

#[tokio::test(start_paused = true)]
async fn all_members_share_the_attempts_of_a_call() {
    let provider = Provider::new(RetryPolicy::default().pool(pool()));
    for key in ["sk-1", "sk-2", "sk-3"] {
        provider.reply(key, Reply::Broken);
    }
    let (status, attempts, _) = came_to(&provider.call().await);
    assert_eq!((status, attempts), (500, 5));
    provider.reply("sk-1", Reply::Ok);
    assert_eq!(
        came_to(&provider.call().await).0,
        200,
        "none of them rests for one call"
    );
}

#[tokio::test(start_paused = true)]
async fn behind_the_pool_come_the_fallbacks() {
    let smaller = Fallback::new("smaller").model("qwen-flash").after_retries();
    let smaller = smaller.key("sk-4").expect("a key");
    let policy = RetryPolicy::default().pool(pool()).fallback(smaller);
    let provider = Provider::new(policy);
    for key in ["sk-1", "sk-2", "sk-3"] {
        provider.reply(key, Reply::BadKey);
    }
    for attempts in [4, 4, 1] {
        assert_eq!(came_to(&provider.call().await), (200, attempts, 3));
    }
    provider.reply("sk-4", Reply::Plan);
    assert_eq!(came_to(&provider.call().await).0, 429);
    // A member that has rejected calls is left, then none.
    assert_eq!(came_to(&provider.call().await).0, 401);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_fails_again_and_again_rests() {
    let provider = Provider::new(RetryPolicy::default().pool(pool()));
    provider.reply("sk-3", Reply::Broken);
    for _ in 0..59 {
        assert_eq!(came_to(&provider.call().await).0, 200);
        advance(secs(1)).await;
    }
    assert_eq!(shares(&provider)["sk-3"], 3, "three failures in a row");
}

#[tokio::test(start_paused = true)]
async fn a_slow_probe_is_alone() {
    let provider = Provider::new(RetryPolicy::default().pool(pool()));
    provider.reply("sk-2", Reply::BadKey);
    for _ in 0..6 {
        provider.call().await.expect("an answer");
    }
    provider.reply("sk-2", Reply::Slow(secs(60)));
    advance(secs(300)).await;
    provider.sent();
    let results = join_all((0..30).map(|_| provider.call())).await;
    assert!(results.iter().all(|result| came_to(result).0 == 200));
    assert_eq!(shares(&provider)["sk-2"], 1);
}
