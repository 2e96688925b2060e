//! The cases, with time paused.

use std::io;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::bail;
use goodput::args::Args;
use goodput::bound::CaseRun;
use goodput::cases::{self, Case};
use goodput::table;
use tokio::time::Instant;

const SEEDS: u64 = 5;

/// Fails where a bound does not hold.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let chosen: Vec<Case> = cases::all()
        .into_iter()
        .filter(|case| match args.case.as_slice() {
            [] => !case.is_slow,
            names => names
                .iter()
                .any(|name| case.name.starts_with(name.as_str())),
        })
        .collect();
    if chosen.is_empty() {
        bail!("no such case");
    }
    let mut out = io::stdout().lock();
    let mut all_hold = true;
    table::head(&mut out)?;
    for case in &chosen {
        let begun = Instant::now();
        let runs = run_seeds(case, args.seeds.unwrap_or(SEEDS));
        all_hold &= table::row(&mut out, case, &runs)?;
        if args.windows {
            for (seed, run) in (1..).zip(&runs) {
                table::windows(&mut out, seed, run)?;
            }
            table::took(&mut out, begun.elapsed())?;
        }
    }
    Ok(if all_hold {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the seeds 1, 2, .. of a case, as many at one time as there are processors.
fn run_seeds(case: &Case, seeds: u64) -> Vec<CaseRun> {
    let threads = thread::available_parallelism().map_or(1, usize::from);
    let next = AtomicU64::new(1);
    let runs = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed > seeds {
                        break;
                    }
                    let run = case.run(seed);
                    let mut runs = runs.lock().expect("no other thread has panicked");
                    runs.push((seed, run));
                }
            });
        }
    });
    let mut runs = runs.into_inner().expect("all threads have ended well");
    runs.sort_by_key(|(seed, _)| *seed);
    runs.into_iter().map(|(_, run)| run).collect()
}
