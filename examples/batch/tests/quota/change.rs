//! The quota changes while calls run.

use mock_qwen::{Config, Enforce, MockQwen};
use tower_qwen_ratelimit::{Limiter, Quota};

use crate::{
    load::{Load, Outcome},
    setting::Setting,
};

/// Windows at the whole limit, at half of it, and at the whole one again.
const WINDOWS: [u32; 3] = [6, 12, 12];
/// After the fifth window the share is what it is going to be.
const SETTLED: usize = 5;

/// What was used of a limit that halves and doubles again, unannounced.
pub(crate) struct Shares {
    /// Of the present limit, in each window.
    each: Vec<f64>,
    /// On the mean, once settled.
    pub(crate) halved: f64,
    pub(crate) whole_again: f64,
    pub(crate) outcome: Outcome,
}

pub(crate) async fn unannounced(setting: Setting, enforce: Enforce) -> Shares {
    let config = Config {
        enforce,
        ..setting.provider()
    };
    let [before, halved, after] = WINDOWS;
    let (rpm, tpm, window) = (config.rpm, config.tpm, config.window);
    let mock = MockQwen::new(config);
    let limiter = Limiter::new(Quota::per_minute(rpm, tpm).window(window));
    let change = {
        let mock = mock.clone();
        tokio::spawn(async move {
            tokio::time::sleep(window * before).await;
            mock.set_limits(rpm / 2, tpm / 2);
            tokio::time::sleep(window * halved).await;
            mock.set_limits(rpm, tpm);
        })
    };
    let load = Load {
        windows: before + halved + after,
        ..Load::new(&setting)
    };
    let outcome = load.run_on(&mock, limiter).await;
    change.await.unwrap();
    let of_whole = outcome.stats.utilisation.windows.tokens.iter();
    let shares = of_whole.enumerate().map(|(window, share)| {
        let window = u32::try_from(window).unwrap();
        let is_halved = (before..before + halved).contains(&window);
        if is_halved { share * 2.0 } else { *share }
    });
    let each: Vec<f64> = shares.collect();
    let settled = |windows: std::ops::Range<u32>| {
        let settled = &each[windows.start as usize + SETTLED..windows.end as usize];
        settled.iter().sum::<f64>() / settled.len() as f64
    };
    Shares {
        halved: settled(before..before + halved),
        whole_again: settled(before + halved..before + halved + after),
        each,
        outcome,
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_halves_and_doubles_unannounced_is_found_within_five_windows() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        let shares = unannounced(Setting::PAUSED, enforce).await;
        println!(
            "{enforce:?}: halved {:.3}, whole again {:.3}, {} throttled of {}: {:.2?}",
            shares.halved,
            shares.whole_again,
            shares.outcome.stats.throttled.total(),
            shares.outcome.calls,
            shares.each,
        );
        assert_eq!(shares.outcome.failed, 0, "{enforce:?}");
        assert!(shares.halved >= 0.96, "{enforce:?}: {:?}", shares.each);
        assert!(shares.whole_again >= 0.96, "{enforce:?}: {:?}", shares.each);
        let throttled = shares.outcome.stats.throttled.total();
        assert!(
            // A bucket at the provider takes more probes than a window does: it has no end that shows.
            throttled * 1_000 <= 8 * shares.outcome.calls,
            "{enforce:?}: {throttled}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_announced_is_used_from_then_on() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        let config = Config {
            enforce,
            ..Setting::PAUSED.provider()
        };
        let (rpm, tpm, window) = (config.rpm, config.tpm, config.window);
        let mock = MockQwen::new(config);
        let limiter = Limiter::new(Quota::per_minute(rpm, tpm));
        let change = {
            let (mock, limiter) = (mock.clone(), limiter.clone());
            tokio::spawn(async move {
                tokio::time::sleep(window * 6).await;
                limiter
                    .set_quota(Quota::per_minute(rpm / 2, tpm / 2))
                    .expect("a quota");
                // What the old quota let go counts for a window.
                tokio::time::sleep(window).await;
                mock.set_limits(rpm / 2, tpm / 2);
                tokio::time::sleep(window * 6).await;
                mock.set_limits(rpm, tpm);
                limiter
                    .set_quota(Quota::per_minute(rpm, tpm))
                    .expect("a quota");
            })
        };
        let load = Load {
            windows: 20,
            ..Load::new(&Setting::PAUSED)
        };
        let provided = load.run_on(&mock, limiter).await;
        change.await.unwrap();
        let shares = &provided.stats.utilisation.windows.tokens;
        let halved = shares[8..13].iter().sum::<f64>() / 5.0;
        let whole = shares[14..20].iter().sum::<f64>() / 6.0;
        println!("{enforce:?}: {halved:.3} of half, {whole:.3} of the whole: {shares:.2?}");
        assert!((0.485..=0.5).contains(&halved), "{enforce:?}: {shares:?}");
        assert!((0.97..=1.0).contains(&whole), "{enforce:?}: {shares:?}");
        assert_eq!(
            (provided.failed, provided.stats.throttled.total()),
            (0, 0),
            "{enforce:?}"
        );
    }
}
