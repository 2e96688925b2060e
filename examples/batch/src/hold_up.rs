//! What holds a run up now.

use std::{borrow::Cow, time::Duration};

use indicatif::HumanCount;
use tower_qwen_ratelimit::{AccountSnapshot, Key, Quota};
use tower_qwen_tokens::Cause;

use crate::{
    pace::Span,
    quota_source::{FoundQuota, Per},
};

/// Shorter closings come and go with each throttle.
const CLOSED: Duration = Duration::from_secs(1);
/// Below this part of a quota it counts as too high; what is believed moves a little by itself. In percent.
const TOO_HIGH: u64 = 90;
/// A quota of which less than this part is used has room for more. In percent.
const HAS_ROOM: u64 = 80;
/// Fewer throttles come by chance, as where calls arrive closer together than they were sent.
const SOME: u64 = 3;

/// What holds the calls up, in a sentence without a full stop; `None` where nothing does.
///
/// Of several models it is about the one with the most calls. `places` is how many calls may be held at once.
#[must_use]
pub fn hold_up(
    accounts: &[AccountSnapshot],
    found: impl Fn(&Key) -> Option<FoundQuota>,
    places: usize,
) -> Option<String> {
    let calls = |account: &&AccountSnapshot| account.queued as u64 + account.in_flight;
    let under_way: u64 = accounts.iter().map(|account| calls(&account)).sum();
    let account = accounts.iter().max_by_key(calls)?;
    let model = name(&account.key);
    let found = found(&account.key);
    if let Some(plan) = &account.plan_used_up {
        return Some(format!("{model} is closed: {plan}"));
    }
    let mut parts = Vec::new();
    if account.fleet.is_some_and(|fleet| fleet.is_store_away) {
        parts.push("the Redis server cannot be reached".to_owned());
    }
    if account.closed_for >= CLOSED {
        let span = Span(account.closed_for);
        parts.push(format!("the provider has closed {model} for {span} more"));
    }
    let limit = found.as_ref().and_then(FoundQuota::limit);
    parts.extend(
        limit.and_then(|quota| {
            too_high(account, &quota).or_else(|| may_be_too_high(account, &quota))
        }),
    );
    if let Some(percent) = account.slow_start_percent.filter(|percent| *percent < 100)
        && account.queued > 0
    {
        parts.push(format!(
            "{model} starts slowly, since the provider refuses sudden growth: {percent} % of the rate"
        ));
    }
    if parts.is_empty() {
        parts.extend(usual(account, found.as_ref(), under_way, places));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}

/// The model, and the account where there are several.
fn name(key: &Key) -> Cow<'_, str> {
    match key.account() {
        "" => key.model().into(),
        account => format!("{} at {account}", key.model()).into(),
    }
}

/// Where the provider lets clearly less through than the quota says.
fn too_high(account: &AccountSnapshot, quota: &Quota) -> Option<String> {
    let model = name(&account.key);
    [
        (quota.requests(), account.requests.believed, "requests"),
        (quota.tokens(), account.tokens.believed, "tokens"),
    ]
    .into_iter()
    .find(|(given, believed, _)| {
        u128::from(*believed) * 100 < u128::from(*given) * u128::from(TOO_HIGH)
    })
    .map(|(given, believed, unit)| {
        let per = Per(quota.window_length());
        let (given, believed) = (HumanCount(given), HumanCount(believed));
        format!(
            "the quota of {model} is too high: of {given} {unit} {per} the provider lets about {believed} through"
        )
    })
}

/// Where the provider refuses calls of a quota that has room. What it lets through is learned after a window only, and
/// a minute is long for whoever watches.
fn may_be_too_high(account: &AccountSnapshot, quota: &Quota) -> Option<String> {
    let throttles = |cause: Cause| account.throttled.get(cause.as_str()).copied().unwrap_or(0);
    let of_tokens = throttles(Cause::TokenRate);
    let refused = throttles(Cause::RequestRate) + throttles(Cause::Throttled) + of_tokens;
    let (given, used, unit) = match of_tokens * 2 > refused {
        true => (quota.tokens(), account.tokens.used, "tokens"),
        false => (quota.requests(), account.requests.used, "requests"),
    };
    let has_room =
        u128::from(used) * 100 < u128::from(given) * u128::from(HAS_ROOM) && refused >= SOME;
    let is_held = account.queued > 0 || account.closed_for >= CLOSED;
    (has_room && is_held).then(|| {
        // What is used counts refused calls too, as the provider may.
        let all_refused: u64 = account.throttled.values().sum();
        let answered = account.admitted.saturating_sub(account.in_flight + all_refused);
        let (given, answered) = (HumanCount(given), HumanCount(answered));
        let (model, per) = (name(&account.key), Per(quota.window_length()));
        format!(
            "the quota of {model} may be too high, or others use it too: {given} {unit} {per}, but the provider \
             answered {answered} calls so far and refused {refused}"
        )
    })
}

/// What calls wait for when nothing is wrong.
fn usual(
    account: &AccountSnapshot,
    found: Option<&FoundQuota>,
    under_way: u64,
    places: usize,
) -> Option<String> {
    let model = name(&account.key);
    if account.queued == 0 {
        let is_full = account.in_flight > 0 && under_way >= places as u64;
        return is_full.then(|| {
            format!("all {places} calls wait for answers; with --concurrency more run at once")
        });
    }
    if let Some(found) = found
        && found.limit().is_none()
    {
        let believed = HumanCount(account.requests.believed);
        let tokens = HumanCount(account.tokens.believed);
        let per = Per(found.quota.window_length());
        return Some(format!(
            "the quota of {model} is being found out: now {believed} requests and {tokens} tokens {per}"
        ));
    }
    let percent = |used: u64, quota: u64| used.saturating_mul(100) / quota.max(1);
    let requests = percent(account.requests.used, account.requests.quota);
    let tokens = percent(account.tokens.used, account.tokens.quota);
    let unit = if tokens > requests {
        "tokens"
    } else {
        "requests"
    };
    let queued = account.queued;
    Some(format!(
        "{queued} calls of {model} wait for its quota of {unit}"
    ))
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use tower_qwen_ratelimit::{Cost, Limiter, OutputLimit};
    use tower_qwen_tokens::Verdict;

    use super::*;
    use crate::{args::Args, quota_source::QuotaSource};

    const ONE: Cost = Cost::new(10, OutputLimit::AtMost(10));

    fn key() -> Key {
        Key::new("http://h", "m")
    }

    fn found(line: &[&str]) -> FoundQuota {
        let line = std::iter::once(&"batch").chain(line);
        let args = Args::try_parse_from(line).expect("good usage");
        let source = QuotaSource::of_args(&args, false).expect("no list is needed");
        source.find("m")
    }

    fn say(limiter: &Limiter, found: &FoundQuota, places: usize) -> Option<String> {
        hold_up(&limiter.snapshot(), |_| Some(found.clone()), places)
    }

    #[test]
    fn nothing_holds_up_a_run_without_calls() {
        let found = found(&["--rpm", "60"]);
        assert_eq!(say(&Limiter::new(found.quota), &found, 4), None);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_wait_for_the_quota_or_for_answers() {
        let found = found(&["--rpm", "60"]);
        let limiter = Limiter::new(found.quota);
        let running = limiter.acquire(&key(), ONE).await.expect("admitted");
        running.mark_sent();
        assert_eq!(say(&limiter, &found, 4), None, "one of four is no crowd");
        let answers = "all 1 calls wait for answers; with --concurrency more run at once";
        assert_eq!(say(&limiter, &found, 1).as_deref(), Some(answers));
        let waiting = tokio::spawn(limiter.acquire(&key(), ONE));
        tokio::task::yield_now().await;
        let quota = "1 calls of m wait for its quota of requests";
        assert_eq!(say(&limiter, &found, 4).as_deref(), Some(quota));
        waiting.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_says_where_it_is() {
        let found = found(&["--quota", "discover"]);
        let limiter = Limiter::new(found.quota);
        let running = limiter.acquire(&key(), ONE).await.expect("admitted");
        let waiting = tokio::spawn(limiter.acquire(&key(), ONE));
        tokio::task::yield_now().await;
        assert_eq!(
            say(&limiter, &found, 4).as_deref(),
            Some("the quota of m is being found out: now 60 requests and 60,000 tokens a minute")
        );
        drop(running);
        waiting.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_closed_model_says_for_how_long() {
        let found = found(&["--rpm", "60"]);
        let limiter = Limiter::new(found.quota);
        let call = limiter.acquire(&key(), ONE).await.expect("admitted");
        call.mark_sent();
        let refused =
            br#"{"error":{"code":"rate_limit_exceeded","message":"Please try again in 12s."}}"#;
        call.throttle(&Verdict::of_event(refused, None).expect("an error"));
        let said = say(&limiter, &found, 4).unwrap_or_default();
        assert!(
            said.starts_with("the provider has closed m for 12 s more"),
            "{said}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn throttles_of_a_quota_with_room_are_said_before_it_is_learned() {
        let found = found(&["--rpm", "6000"]);
        let limiter = Limiter::new(found.quota);
        let refused = br#"{"code":"Throttling.RateQuota","message":"m"}"#;
        let refused = Verdict::of_event(refused, None).expect("an error");
        let call = limiter.acquire(&key(), ONE).await.expect("admitted");
        call.mark_sent();
        call.settle(10, 10);
        for _ in 0..SOME {
            let call = limiter.acquire(&key(), ONE).await.expect("admitted");
            call.mark_sent();
            call.throttle(&refused);
        }
        let waiting = tokio::spawn(limiter.acquire(&key(), ONE));
        tokio::task::yield_now().await;
        let said = say(&limiter, &found, 4).unwrap_or_default();
        let expected = "the quota of m may be too high, or others use it too: 6,000 requests a minute, but the \
                        provider answered 1 calls so far and refused 3";
        assert!(said.ends_with(expected), "{said}");
        waiting.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_start_is_no_secret() {
        let mut found = found(&["--rpm", "6000"]);
        found.quota = found.quota.slow_start(true);
        let limiter = Limiter::new(found.quota);
        let running = limiter.acquire(&key(), ONE).await.expect("admitted");
        let waiting: Vec<_> = (0..200)
            .map(|_| tokio::spawn(limiter.acquire(&key(), ONE)))
            .collect();
        tokio::task::yield_now().await;
        let said = say(&limiter, &found, 400).unwrap_or_default();
        assert!(
            said.starts_with("m starts slowly, since the provider"),
            "{said}"
        );
        drop(running);
        for call in waiting {
            call.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_quota_that_is_too_high_shows_what_is_let_through() {
        let found = found(&["--rpm", "800", "--tpm", "800000"]);
        let limiter = Limiter::new(found.quota);
        limiter.believe(&key(), 60, 800_000);
        let expected = "the quota of m is too high: of 800 requests a minute the provider lets about 60 through";
        assert_eq!(say(&limiter, &found, 4).as_deref(), Some(expected));
        limiter.believe(&key(), 800, 1_000);
        let said = say(&limiter, &found, 4).unwrap_or_default();
        assert!(said.contains("of 800,000 tokens a minute"), "{said}");
    }
}
