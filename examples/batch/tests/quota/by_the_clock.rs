//! The same studies in real time, a minute taking six seconds, over sockets: `.ci/accept quota`. Medians of three runs.

use std::collections::BTreeMap;

use mock_qwen::{Charge, Enforce};
use tokio::task::JoinSet;
use tower_qwen_ratelimit::Discipline;

use crate::{HEADROOM, change, load::Outcome, rules, setting::Setting, tenants, use_it};

const CLOCK: Setting = Setting::BY_THE_CLOCK;
const RUNS: usize = 3;

/// A figure and the least or the most that it may be.
#[derive(Debug, Clone)]
struct Figure {
    name: String,
    value: f64,
    bound: Bound,
}

#[derive(Debug, Clone, Copy)]
enum Bound {
    AtLeast(f64),
    AtMost(f64),
}

fn figure(name: impl Into<String>, value: f64, bound: Bound) -> Figure {
    let name = name.into();
    Figure { name, value, bound }
}

fn used(outcome: &Outcome) -> f64 {
    assert_eq!(outcome.failed, 0, "calls failed");
    outcome.stats.utilisation.steady.tokens
}

/// Throttles of a thousand calls.
fn throttled(outcome: &Outcome) -> f64 {
    outcome.stats.throttled.total() as f64 * 1_000.0 / outcome.calls as f64
}

async fn charged(charge: Charge, least: f64) -> Vec<Figure> {
    let outcome = use_it(CLOCK, charge, Enforce::Sliding, true).await;
    let name = format!("charged at {charge:?}");
    let least = Bound::AtLeast(least * (1.0 - HEADROOM));
    vec![
        figure(format!("{name}: used"), used(&outcome), least),
        figure(
            format!("{name}: throttles of 1,000"),
            throttled(&outcome),
            Bound::AtMost(1.0),
        ),
    ]
}

async fn growth(announced: bool) -> Vec<Figure> {
    let outcome = rules::grow(CLOCK, Enforce::Sliding, announced).await;
    let name = format!("seconds and growth, announced: {announced}");
    let least = Bound::AtLeast(0.85 * (1.0 - HEADROOM));
    vec![
        figure(format!("{name}: used"), used(&outcome), least),
        figure(
            format!("{name}: throttles of 1,000"),
            throttled(&outcome),
            Bound::AtMost(5.0),
        ),
    ]
}

async fn ceiling(charge: Charge) -> Vec<Figure> {
    let (true_one, tenfold) = tokio::join!(
        rules::ceiling(CLOCK, charge, 400),
        rules::ceiling(CLOCK, charge, 4_000)
    );
    let changed = (used(&true_one) - used(&tenfold)).abs();
    let name = format!("a ceiling 10x too high, charged at {charge:?}: changes");
    vec![figure(name, changed, Bound::AtMost(0.02))]
}

async fn shares() -> Vec<Figure> {
    let (fair, fifo) = tokio::join!(
        tenants::unequal(CLOCK, Discipline::Fair),
        tenants::unequal(CLOCK, Discipline::Fifo)
    );
    vec![
        figure(
            "a tenant that offers 10x: Jain, fair",
            fair,
            Bound::AtLeast(0.98),
        ),
        figure(
            "a tenant that offers 10x: Jain, first come",
            fifo,
            Bound::AtMost(0.7),
        ),
    ]
}

async fn changes() -> Vec<Figure> {
    let shares = change::unannounced(CLOCK, Enforce::Sliding).await;
    assert_eq!(shares.outcome.failed, 0);
    vec![
        figure(
            "quota halved: used of what is possible",
            shares.halved,
            Bound::AtLeast(0.9),
        ),
        figure(
            "doubled again: used of what is possible",
            shares.whole_again,
            Bound::AtLeast(0.9),
        ),
    ]
}

/// All studies at one time: none of them keeps the machine busy.
async fn run() -> BTreeMap<String, Figure> {
    let mut studies = JoinSet::new();
    studies.spawn(charged(Charge::Start, 0.97));
    studies.spawn(charged(Charge::End, 0.93));
    studies.spawn(charged(Charge::Estimate, 0.88));
    studies.spawn(growth(true));
    studies.spawn(growth(false));
    studies.spawn(ceiling(Charge::Start));
    studies.spawn(ceiling(Charge::End));
    studies.spawn(shares());
    studies.spawn(changes());
    let figures = studies.join_all().await.concat();
    figures
        .into_iter()
        .map(|figure| (figure.name.clone(), figure))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes ten minutes of the clock: bash .ci/accept quota"]
async fn the_quota_is_used_by_the_clock() {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        runs.push(run().await);
    }
    let mut missed = Vec::new();
    for (name, Figure { bound, .. }) in &runs[0] {
        let mut values: Vec<f64> = runs.iter().map(|run| run[name].value).collect();
        values.sort_by(f64::total_cmp);
        let median = values[RUNS / 2];
        println!("{name} = {median:.4} ({bound:?}), runs {values:.4?}");
        let holds = match bound {
            Bound::AtLeast(least) => median >= *least,
            Bound::AtMost(most) => median <= *most,
        };
        if !holds {
            missed.push(name.clone());
        }
    }
    assert!(missed.is_empty(), "missed: {missed:?}");
}
