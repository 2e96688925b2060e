//! The figures of cases, as a table in Markdown.

use std::fmt::Write;
use std::ops::RangeInclusive;

use crate::bound::{Bound, CaseRun, median};
use crate::cases::Case;
use crate::ideal;
use crate::measure::Figures;

/// The names of the columns: what an ideal client uses ([`ideal`]); what was used of the larger dimension, with the least and the most
/// of the seeds; that as a share of the ideal; throttles; waits; the time to adapt; and the bounds.
pub const HEAD: &str = "\
| case | ideal | used | of the ideal | throttled of 1,000 | wait, p50 and p99, s | adapts after, windows | bounds |
|---|---|---|---|---|---|---|---|
";

/// The medians of a case, and each bound with its figure where no other column has it. Also whether all bounds hold.
#[must_use]
pub fn row(case: &Case, runs: &[CaseRun]) -> (String, bool) {
    let all = |of: &dyn Fn(&CaseRun) -> f64| runs.iter().map(of).collect::<Vec<f64>>();
    let used = all(&|run| run.figures.used(2..=case.setup.windows));
    let least = used.iter().copied().fold(f64::INFINITY, f64::min);
    let most = used.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let used = median(&used);
    let wait = |share: f64| median(&all(&|run| run.figures.wait(share).as_secs_f64()));
    let seeds = 1..=runs.len() as u64;
    let ideals: Vec<f64> = seeds.map(|seed| ideal::used(&case.setup, seed)).collect();
    let figures: Vec<&Figures> = runs.iter().map(|run| &run.figures).collect();
    let [ideal, of_ideal, adapted] = if case.is_about_faults() {
        // Nothing of it is about the quota.
        ["-"; 3].map(str::to_owned)
    } else {
        let ideal = median(&ideals);
        let periods = case.setup.schedule.periods(case.setup.windows);
        let adapted = adapted(&figures, &periods);
        [
            format!("{ideal:.3}"),
            format!("{:.2}", used / ideal),
            adapted,
        ]
    };
    let mut bounds = Vec::new();
    let mut all_hold = true;
    for bound in &case.bounds {
        let figure = median(&all(&|run| bound.figure(run)));
        let holds = bound.holds(figure);
        all_hold &= holds;
        bounds.push(bound_cell(bound, holds, figure));
    }
    if bounds.is_empty() {
        bounds.push("none is set".to_owned());
    }
    let row = format!(
        "| `{}`: {} | {ideal} | {used:.3} ({least:.3} to {most:.3}) | {of_ideal} | {} | {:.1}, {:.1} | {adapted} | {} |\n",
        case.name,
        case.about,
        thousandths(median(&all(&|run| run.figures.throttled_per_call()))),
        wait(0.5),
        wait(0.99),
        bounds.join("; "),
    );
    (row, all_hold)
}

fn bound_cell(bound: &Bound, holds: bool, figure: f64) -> String {
    let missed = if holds { "" } else { "**missed**: " };
    let figure = match *bound {
        // Another column has these.
        Bound::Used { from: 2, .. } | Bound::Throttled(_) => String::new(),
        _ => format!(" ({figure:.3})"),
    };
    format!("{missed}{bound}{figure}")
}

/// Throttles of 1,000 calls, of those of one call.
#[must_use]
pub fn thousandths(per_call: f64) -> String {
    if per_call == 0.0 {
        return "0".to_owned();
    }
    format!("{:.2}", per_call * 1_000.0)
}

/// The median time to adapt in each period of a run, in windows.
#[must_use]
pub fn adapted(seeds: &[&Figures], periods: &[RangeInclusive<u32>]) -> String {
    let period = |windows: &RangeInclusive<u32>| {
        // Never is later than any window.
        let after = |figures: &&Figures| {
            let adapted = figures.adapted(windows.clone());
            adapted.map_or(f64::INFINITY, f64::from)
        };
        let after = median(&seeds.iter().map(after).collect::<Vec<f64>>());
        if after.is_finite() {
            after.to_string()
        } else {
            "never".to_owned()
        }
    };
    let periods: Vec<String> = periods.iter().map(period).collect();
    periods.join(", ")
}

/// The names of the columns of [`against_backoff`].
pub const BACKOFF_HEAD: &str = "\
| case | backoff alone: used | throttled of 1,000 | given up | ours: used | throttled of 1,000 | given up | fewer throttles |
|---|---|---|---|---|---|---|---|
";

/// The medians of a client with nothing but backoff, and of ours, in the same case.
#[must_use]
pub fn against_backoff(case: &Case, backoff: &[CaseRun], ours: &[CaseRun]) -> String {
    let middle = |runs: &[CaseRun], of: &dyn Fn(&Figures) -> f64| {
        median(
            &runs
                .iter()
                .map(|run| of(&run.figures))
                .collect::<Vec<f64>>(),
        )
    };
    let throttled = |runs| middle(runs, &Figures::throttled_per_call);
    let cells = |runs| {
        let used = middle(runs, &|figures| figures.used(2..=case.setup.windows));
        let given_up = middle(runs, &Figures::given_up);
        let throttled = thousandths(throttled(runs));
        format!("{used:.3} | {throttled} | {:.1} %", given_up * 100.0)
    };
    let fewer = 1.0 - throttled(ours) / throttled(backoff);
    format!(
        "| `{}` | {} | {} | {:.1} % |\n",
        case.name,
        cells(backoff),
        cells(ours),
        fewer * 100.0
    )
}

/// What each window of a run used, larger dimension first, and how it was throttled on the whole.
#[must_use]
pub fn windows(seed: u64, figures: &Figures) -> String {
    let mut line = format!("    seed {seed}:");
    for share in &figures.windows {
        let _ = write!(line, " {:.3}", share.larger());
    }
    let _ = write!(
        line,
        "; {} throttled of {}",
        figures.throttled, figures.admitted
    );
    line
}
