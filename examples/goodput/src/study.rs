//! The cases, with time paused.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use anyhow::bail;
use goodput::args::Args;
use goodput::bound::CaseRun;
use goodput::cases::{self, Case};
use goodput::table;

use crate::document;

const SEEDS: u64 = 5;

/// Fails where a bound does not hold.
pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let is_chosen = |case: &Case| match args.case.as_slice() {
        [] => !case.is_slow,
        names => names
            .iter()
            .any(|name| case.name.starts_with(name.as_str())),
    };
    let mut all_hold = true;
    let mut tables = Vec::new();
    let mut against_backoff = table::BACKOFF_HEAD.to_owned();
    for (group, cases) in cases::groups() {
        let chosen: Vec<Case> = cases.into_iter().filter(is_chosen).collect();
        if chosen.is_empty() {
            continue;
        }
        let mut table = table::HEAD.to_owned();
        print!("{table}");
        for case in &chosen {
            let seeds = args.seeds.unwrap_or(SEEDS);
            let runs = run_seeds(seeds, &|seed| case.run(seed));
            let (row, holds) = table::row(case, &runs);
            print!("{row}");
            all_hold &= holds;
            table.push_str(&row);
            if args.backoff {
                let backoff = run_seeds(seeds, &|seed| case.run_backoff(seed));
                against_backoff.push_str(&table::against_backoff(case, &backoff, &runs));
            }
            if args.windows {
                for (seed, run) in (1..).zip(&runs) {
                    println!("{}", table::windows(seed, &run.figures));
                }
            }
        }
        println!();
        tables.push((format!("cases: {group}"), table));
    }
    if args.backoff {
        print!("{against_backoff}");
    }
    if tables.is_empty() {
        bail!("no such case");
    }
    if args.write {
        document::replace(&args.document(), &tables)?;
    }
    Ok(if all_hold {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

/// Runs the seeds 1, 2, .., as many at one time as there are processors.
fn run_seeds(seeds: u64, run: &(dyn Fn(u64) -> CaseRun + Sync)) -> Vec<CaseRun> {
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
                    let run = run(seed);
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
