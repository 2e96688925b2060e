//! The figures of cases as text.

use std::io::{self, Write};
use std::time::Duration;

use crate::bound::{Bound, CaseRun, median};
use crate::cases::Case;
use crate::ideal;

/// Writes the names of the columns: what an ideal client uses ([`ideal`]); what was used, of the larger dimension, with the least and
/// the most of the seeds, and of each dimension; throttles per call; calls given up; waits; and the window from which on 0.9 is used.
///
/// # Errors
///
/// Where it cannot be written.
pub fn head(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "{:<26} {:>6} {:>6} {:>15} {:>6} {:>6} {:>9} {:>6} {:>6} {:>7} {:>5}  bounds (median, least and most of the seeds)",
        "case",
        "ideal",
        "used",
        "least - most",
        "rpm",
        "tpm",
        "throttled",
        "failed",
        "p50 s",
        "p99 s",
        "from"
    )
}

/// Writes the medians of a case, and each bound with its figure. Returns whether all bounds hold.
///
/// # Errors
///
/// Where it cannot be written.
pub fn row(out: &mut impl Write, case: &Case, runs: &[CaseRun]) -> io::Result<bool> {
    let all = |of: &dyn Fn(&CaseRun) -> f64| runs.iter().map(of).collect::<Vec<f64>>();
    let middle = |of: &dyn Fn(&CaseRun) -> f64| median(&all(of));
    let windows = 2..=case.setup.windows;
    let used = all(&|run| run.figures.used(windows.clone()));
    let (least, most) = ends(&used);
    let wait = |share: f64| middle(&|run| run.figures.wait(share).as_secs_f64());
    // Never is later than any window.
    let from = middle(&|run| {
        run.figures
            .well_used_from()
            .map_or(f64::INFINITY, f64::from)
    });
    let ideals: Vec<f64> = (1..=runs.len() as u64)
        .filter_map(|seed| ideal::used(&case.setup, seed))
        .collect();
    write!(
        out,
        "{:<26} {:>6} {:>6.4} {least:>6.4} - {most:.4} {:>6.4} {:>6.4} {:>9.5} {:>6} {:>6.1} {:>7.1} {from:>5}",
        case.name,
        ideal_column(&ideals),
        median(&used),
        middle(&|run| run.figures.mean(windows.clone()).requests),
        middle(&|run| run.figures.mean(windows.clone()).tokens),
        middle(&|run| run.figures.throttled_per_call()),
        middle(&|run| run.figures.failed as f64),
        wait(0.5),
        wait(0.99),
    )?;
    let mut all_hold = true;
    for bound in &case.bounds {
        let figures = all(&|run| bound.figure(run));
        let (figure, (least, most)) = (median(&figures), ends(&figures));
        let holds = bound.holds(figure);
        all_hold &= holds;
        let word = if holds { "ok" } else { "MISSED" };
        let digits = if matches!(bound, Bound::Throttled(_)) {
            5
        } else {
            4
        };
        write!(
            out,
            "  {word} {bound}: {figure:.digits$} ({least:.digits$} - {most:.digits$})"
        )?;
    }
    writeln!(out)?;
    Ok(all_hold)
}

/// Writes what each window of a run used, larger dimension first, and how it was throttled on the whole.
///
/// # Errors
///
/// Where it cannot be written.
pub fn windows(out: &mut impl Write, seed: u64, run: &CaseRun) -> io::Result<()> {
    write!(out, "    seed {seed}:")?;
    for share in &run.figures.windows {
        write!(out, " {:.3}", share.larger())?;
    }
    writeln!(
        out,
        "; {} throttled of {}",
        run.figures.throttled, run.figures.admitted
    )
}

/// Writes how long some runs took.
///
/// # Errors
///
/// Where it cannot be written.
pub fn took(out: &mut impl Write, time: Duration) -> io::Result<()> {
    writeln!(out, "took {:.1} s", time.as_secs_f64())
}

fn ideal_column(ideals: &[f64]) -> String {
    match ideals {
        [] => "-".to_owned(),
        _ => format!("{:.4}", median(ideals)),
    }
}

fn ends(figures: &[f64]) -> (f64, f64) {
    let least = figures.iter().copied().fold(f64::INFINITY, f64::min);
    let most = figures.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    (least, most)
}
