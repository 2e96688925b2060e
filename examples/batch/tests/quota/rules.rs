//! Rules beside the quota of a minute: seconds, growth, and ceilings that say little.

use mock_qwen::{Charge, Config, Enforce};
use tower_qwen_ratelimit::Quota;

use crate::{
    HEADROOM,
    load::{Load, Outcome},
    setting::Setting,
};

/// A provider that counts seconds too and punishes growth; `announced` says whether the limiter knows.
pub(crate) async fn grow(setting: Setting, enforce: Enforce, announced: bool) -> Outcome {
    let config = Config {
        enforce,
        per_second: true,
        growth: Some(setting.growth()),
        ..setting.provider()
    };
    let quota = Quota::per_minute(config.rpm, config.tpm)
        .window(config.window)
        .slow_start(announced);
    Load::new(&setting).run(config, quota).await
}

/// What a load whose calls declare this ceiling uses of the tokens.
pub(crate) async fn ceiling(setting: Setting, charge: Charge, ceiling: u64) -> Outcome {
    let config = Config {
        charge,
        ..setting.provider()
    };
    let quota = Quota::per_minute(config.rpm, config.tpm).window(config.window);
    let load = Load {
        ceiling,
        ..Load::new(&setting)
    };
    load.run(config, quota).await
}

#[tokio::test(start_paused = true)]
async fn seconds_and_growth_are_kept_to() {
    for enforce in [Enforce::Sliding, Enforce::Fixed, Enforce::Bucket] {
        for announced in [false, true] {
            let outcome = grow(Setting::PAUSED, enforce, announced).await;
            let used = outcome.stats.utilisation.steady.tokens;
            let throttled = outcome.stats.throttled.total();
            println!(
                "{enforce:?} slow_start={announced}: {used:.4} used, {throttled} throttled of {} ({} for growth)",
                outcome.calls, outcome.stats.throttled.growth
            );
            assert_eq!(outcome.failed, 0, "{enforce:?}");
            assert!(used >= 0.995 * (1.0 - HEADROOM), "{enforce:?}: used {used}");
            assert!(
                throttled * 1_000 <= outcome.calls,
                "{enforce:?}: {throttled} of {}",
                outcome.calls
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_ceiling_ten_times_too_high_costs_nothing() {
    for charge in [Charge::Start, Charge::End] {
        let mut used = Vec::new();
        for tokens in [400, 4_000] {
            let outcome = ceiling(Setting::PAUSED, charge, tokens).await;
            assert_eq!((outcome.failed, outcome.stats.throttled.total()), (0, 0));
            used.push(outcome.stats.utilisation.steady.tokens);
        }
        println!("{charge:?}: {used:.4?} used");
        assert!((used[0] - used[1]).abs() < 0.002, "{charge:?}: {used:?}");
    }
}
