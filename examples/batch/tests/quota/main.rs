//! How much of the provider's quota the stack uses, and how seldom it is throttled: in paused time, twenty windows each,
//! and where asked for ([`by_the_clock`]) in real time.

mod by_the_clock;
mod change;
mod client;
mod load;
mod rules;
mod setting;
mod tenants;

use load::{Load, Outcome};
use mock_qwen::{Charge, Config, Enforce};
use setting::Setting;
use tower_qwen_ratelimit::{Quota, Reserve};

/// The part of the quota that [`Quota`] leaves unused by default.
const HEADROOM: f64 = 0.02;

fn assert_well_used(name: &str, outcome: &Outcome, at_least: f64) {
    let stats = &outcome.stats;
    let (used, throttled) = (stats.utilisation.steady.tokens, stats.throttled.total());
    println!(
        "{name}: {used:.4} of the tokens used, {throttled} throttled of {} calls, highest window {:.4}",
        outcome.calls, stats.utilisation.highest_window.tokens
    );
    assert_eq!(outcome.failed, 0, "{name}: calls failed");
    assert!(
        stats.utilisation.windows.tokens.len() >= 20,
        "{name}: twenty full windows"
    );
    assert!(used >= at_least * (1.0 - HEADROOM), "{name}: used {used}");
    assert!(
        throttled * 1_000 <= outcome.calls,
        "{name}: {throttled} throttled of {}",
        outcome.calls
    );
    assert_eq!(
        outcome.ledger_tokens, stats.tokens.total,
        "{name}: the ledger is the provider's"
    );
}

/// A load against a provider that charges so.
async fn use_it(setting: Setting, charge: Charge, enforce: Enforce, stream: bool) -> Outcome {
    let config = Config {
        enforce,
        charge,
        ..setting.provider()
    };
    let mut quota = Quota::per_minute(config.rpm, config.tpm).window(config.window);
    if charge == Charge::Estimate {
        quota = quota.reserve(Reserve::Ceiling);
    }
    let load = Load {
        stream,
        ..Load::new(&setting)
    };
    load.run(config, quota).await
}

async fn study(charge: Charge, at_least: f64) {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        // Streams meet the same provider in the same way: once is enough.
        let streams: &[bool] = match enforce {
            Enforce::Sliding => &[false, true],
            _ => &[false],
        };
        for &stream in streams {
            let outcome = use_it(Setting::PAUSED, charge, enforce, stream).await;
            assert_well_used(
                &format!("{enforce:?} {charge:?} stream={stream}"),
                &outcome,
                at_least,
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_quota_is_used_where_the_provider_charges_at_the_start() {
    study(Charge::Start, 0.995).await;
}

#[tokio::test(start_paused = true)]
async fn the_quota_is_used_where_the_provider_charges_answers_at_their_end() {
    study(Charge::End, 0.995).await;
}

#[tokio::test(start_paused = true)]
async fn the_quota_is_used_where_the_provider_holds_the_ceiling() {
    study(Charge::Estimate, 0.985).await;
}

#[tokio::test(start_paused = true)]
async fn requests_bind_as_well_as_tokens() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        let config = Config {
            enforce,
            rpm: 300,
            tpm: 1_000_000,
            ..Setting::PAUSED.provider()
        };
        let quota = Quota::per_minute(config.rpm, config.tpm);
        let outcome = Load::new(&Setting::PAUSED).run(config, quota).await;
        let used = outcome.stats.utilisation.steady.requests;
        println!("{enforce:?}: {used:.4} of the requests used");
        assert!(used >= 0.995 * (1.0 - HEADROOM), "{enforce:?}: used {used}");
        assert_eq!((outcome.failed, outcome.stats.throttled.total()), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_given_twice_too_high_finishes_with_few_attempts() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        for charge in [Charge::Start, Charge::End, Charge::Estimate] {
            let config = Config {
                enforce,
                charge,
                ..Setting::PAUSED.provider()
            };
            let quota = Quota::per_minute(2 * config.rpm, 2 * config.tpm);
            let outcome = Load::new(&Setting::PAUSED).run(config, quota).await;
            let attempts = outcome.stats.seen as f64 / outcome.calls as f64;
            let used = outcome.stats.utilisation.steady.tokens;
            println!("{enforce:?} {charge:?}: {attempts:.3} attempts per call, {used:.4} used");
            assert_eq!(outcome.failed, 0, "{enforce:?} {charge:?}: calls failed");
            assert!(
                attempts < 1.01,
                "{enforce:?} {charge:?}: {attempts} attempts per call"
            );
            assert!(used >= 0.95, "{enforce:?} {charge:?}: {used} used");
        }
    }
}
