//! The quota changes while calls run.

use mock_qwen::{Config, Enforce, MockQwen};
use tower_qwen_ratelimit::{Limiter, Quota};

use crate::load::{Load, Outcome, provider};

/// The share of the present limit that each window used: `before` windows at the whole one, `halved` at half of it that
/// nobody told the limiter of, the rest at the whole one again.
async fn shares(enforce: Enforce, before: u32, halved: u32, after: u32) -> (Vec<f64>, Outcome) {
    let config = Config {
        enforce,
        ..provider()
    };
    let (rpm, tpm, window) = (config.rpm, config.tpm, config.window);
    let mock = MockQwen::new(config);
    let limiter = Limiter::new(Quota::per_minute(rpm, tpm));
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
        ..Load::default()
    };
    let provided = load.run_on(&mock, limiter).await;
    change.await.unwrap();
    let of_whole = provided.stats.utilisation.windows.tokens.iter();
    let shares = of_whole.enumerate().map(|(window, share)| {
        let window = u32::try_from(window).unwrap();
        let is_halved = (before..before + halved).contains(&window);
        if is_halved { share * 2.0 } else { *share }
    });
    (shares.collect(), provided)
}

/// After the fifth window the share is what it is going to be.
const SETTLED: usize = 5;

#[tokio::test(start_paused = true)]
async fn a_quota_that_halves_and_doubles_unannounced_is_found_within_five_windows() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        let (shares, provided) = shares(enforce, 6, 12, 12).await;
        let mean = |shares: &[f64]| shares.iter().sum::<f64>() / shares.len() as f64;
        let (halved, whole) = (&shares[6..18], &shares[18..30]);
        let printed: Vec<String> = shares.iter().map(|share| format!("{share:.2}")).collect();
        println!(
            "{enforce:?}: halved {:.3}, whole again {:.3}, {} throttled of {}: {}",
            mean(&halved[SETTLED..]),
            mean(&whole[SETTLED..]),
            provided.stats.throttled.total(),
            provided.calls,
            printed.join(" "),
        );
        assert_eq!(provided.failed, 0, "{enforce:?}");
        assert!(mean(&halved[SETTLED..]) >= 0.90, "{enforce:?}: {halved:?}");
        assert!(mean(&whole[SETTLED..]) >= 0.90, "{enforce:?}: {whole:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_quota_that_is_announced_is_used_from_then_on() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        let config = Config {
            enforce,
            ..provider()
        };
        let (rpm, tpm, window) = (config.rpm, config.tpm, config.window);
        let mock = MockQwen::new(config);
        let limiter = Limiter::new(Quota::per_minute(rpm, tpm));
        let change = {
            let (mock, limiter) = (mock.clone(), limiter.clone());
            tokio::spawn(async move {
                tokio::time::sleep(window * 6).await;
                limiter.set_quota(Quota::per_minute(rpm / 2, tpm / 2));
                // What the old quota let go counts for a window.
                tokio::time::sleep(window).await;
                mock.set_limits(rpm / 2, tpm / 2);
                tokio::time::sleep(window * 6).await;
                mock.set_limits(rpm, tpm);
                limiter.set_quota(Quota::per_minute(rpm, tpm));
            })
        };
        let load = Load {
            windows: 20,
            ..Load::default()
        };
        let provided = load.run_on(&mock, limiter).await;
        change.await.unwrap();
        let shares = &provided.stats.utilisation.windows.tokens;
        let halved = shares[8..13].iter().sum::<f64>() / 5.0;
        let whole = shares[14..20].iter().sum::<f64>() / 6.0;
        println!("{enforce:?}: {halved:.3} of half, {whole:.3} of the whole: {shares:.2?}");
        assert!((0.45..=0.5).contains(&halved), "{enforce:?}: {shares:?}");
        assert!((0.90..=1.0).contains(&whole), "{enforce:?}: {shares:?}");
        assert_eq!(
            (provided.failed, provided.stats.throttled.total()),
            (0, 0),
            "{enforce:?}"
        );
    }
}
