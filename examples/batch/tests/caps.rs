//! Caps of cost and tokens while many calls are under way, in paused time.

mod support;

use batch::{
    caps::{self, Caps},
    counts::Counts,
    end_rules::Ended,
};
use mock_qwen::{Config, Faults, MockQwen};
use support::{Harness, TestResult, Watch, chat};
use tower_qwen_ratelimit::Quota;
use tower_qwen_tokens::PriceBook;

/// Runs 2,000 calls under caps; what became of them, and what they used: tokens, and pico-dollars.
async fn run(caps: &Caps, faults: Faults) -> TestResult<(Counts, u64, i128)> {
    let config = Config {
        rpm: 100_000,
        tpm: 100_000_000,
        faults,
        ..Config::default()
    };
    let quota = Quota::per_minute(100_000, 100_000_000);
    let mut harness = Harness::new(MockQwen::new(config), quota)?;
    harness.stack.budgets = caps.budgets(PriceBook::builtin(), &[]);
    let input: String = (0..2_000)
        .map(|number| chat(&format!("c{number}"), "How far is it?"))
        .collect();
    let counts = harness.run(input.as_bytes(), &mut Watch::default()).await?;
    assert_eq!(counts.succeeded, harness.mock.stats().completed);
    assert_eq!(counts.held, 0);
    let total = harness.stack.ledger.snapshot().total;
    let cost = total.cost.first().map_or(0, |cost| cost.pico());
    Ok((counts, total.input_tokens + total.output_tokens, cost))
}

#[tokio::test(start_paused = true)]
async fn a_cap_of_tokens_is_used_and_passed_by_no_more_than_what_is_under_way() -> TestResult {
    for (cap, least) in [(1_000, 750), (20_000, 19_500)] {
        let caps = Caps {
            max_tokens_total: Some(cap),
            ..Caps::default()
        };
        let (counts, tokens, _) = run(&caps, Faults::default()).await?;
        // What answers use beyond what was expected of them: of the few that have room at the end.
        assert!((least..=cap + 200).contains(&tokens), "{tokens} of {cap}");
        assert!(matches!(counts.ended, Some(Ended::Cap(_))));
        assert!(!counts.stopped && counts.failed == 0);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_cap_of_cost_holds_where_attempts_fail_too() -> TestResult {
    let caps = Caps {
        max_cost: Some(caps::money("0.01USD")?),
        ..Caps::default()
    };
    let faults = Faults {
        unavailable: 0.2,
        ..Faults::default()
    };
    let (counts, _, pico) = run(&caps, faults).await?;
    let dollars = pico as f64 / 1e12;
    assert!((0.009..=0.0102).contains(&dollars), "{dollars}");
    assert!(matches!(counts.ended, Some(Ended::Cap(_))));
    assert_eq!(counts.failed, 0);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_cap_with_room_for_all_changes_nothing() -> TestResult {
    let caps = Caps {
        max_cost: Some(caps::money("20USD")?),
        max_tokens_total: Some(10_000_000),
        ..Caps::default()
    };
    let (counts, ..) = run(&caps, Faults::default()).await?;
    assert_eq!((counts.succeeded, counts.ended), (2_000, None));
    Ok(())
}
