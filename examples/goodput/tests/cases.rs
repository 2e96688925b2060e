//! The cases that CI keeps to, with time paused: one seed each. All of them, with the medians of five seeds:
//! `cargo run --release -p goodput -- --cases`.

use goodput::bound::CaseRun;
use goodput::cases::{self, Case};

fn case(name: &str) -> Case {
    let found = cases::all().into_iter().find(|case| case.name == name);
    found.expect("the case exists")
}

/// Runs one seed, and checks what was used from the second window on, and throttles per call.
fn check(name: &str, at_least: f64, at_most: f64) -> CaseRun {
    let case = case(name);
    let run = case.run(1);
    let used = run.figures.used(2..=case.setup.windows);
    let throttled = run.figures.throttled_per_call();
    println!("{name}: {used:.4} used, {throttled:.5} throttled per call");
    assert_eq!(run.figures.failed, 0, "{name}: calls were given up");
    assert!(used >= at_least, "{name}: {used} used");
    assert!(
        throttled <= at_most,
        "{name}: {throttled} throttled per call"
    );
    run
}

#[test]
fn a_known_quota_is_used_and_never_throttled() {
    check("known-requests", 0.97, 0.0);
    check("known-tokens", 0.97, 0.0005);
    check("known-both", 0.955, 0.0005);
}

#[test]
fn small_quotas_are_used() {
    check("known-3", 0.99, 0.0);
    check("known-60", 0.87, 0.001);
    check("known-200", 0.92, 0.0005);
}

#[test]
fn seconds_are_kept_to() {
    check("known-both-slices", 0.955, 0.0005);
    check("known-both-growth", 0.92, 0.001);
}

#[test]
fn a_quota_that_is_told_too_high_is_found() {
    check("told-2x-both", 0.94, 0.0025);
    check("told-10x-both", 0.94, 0.0035);
}

#[test]
fn a_quota_that_falls_or_is_shared_unknown_is_followed() {
    check("falls-by-tenths", 0.90, 0.005);
    check("halved-restored", 0.82, 0.005);
    let run = check("four-blind-processes", 0.92, 0.01);
    // Seeds differ: 0.75 to 0.99.
    assert!(run.figures.jain >= 0.7, "{}", run.figures.jain);
}

#[test]
fn a_quota_that_doubles_is_found_where_more_is_looked_for() {
    let run = check("doubled", 0.85, 0.005);
    let adapted = run.figures.adapted(8..=21);
    assert!(adapted.is_some_and(|windows| windows <= 6), "{adapted:?}");
    // A plain quota is not exceeded, even where the provider gives more.
    let run = check("doubled-plain", 0.55, 0.0);
    assert_eq!(run.figures.adapted(8..=21), None);
}

#[test]
fn a_quota_that_nobody_gave_is_found() {
    let run = check("discover-800", 0.80, 0.005);
    let used = run.figures.used(8..=21);
    assert!(used >= 0.90, "{used}");
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let figures = || {
        let figures = case("told-10x-both-hints").run(7).figures;
        (
            figures.windows.clone(),
            figures.throttled,
            figures.wait(0.99),
        )
    };
    assert_eq!(figures(), figures());
}
