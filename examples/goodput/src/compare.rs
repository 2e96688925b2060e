//! The comparison by the clock.

use std::io;
use std::thread;
use std::time::Duration;

use crate::bound::median;
use crate::clock;
use crate::ideal;
use crate::measure::Figures;
use crate::peers::Peer;
use crate::scenario::Scenario;
use crate::table;

/// What one scenario gave.
#[derive(Debug, Clone)]
pub struct Medians {
    /// What an ideal client uses ([`ideal`]).
    pub ideal: f64,
    /// The clients, in their order.
    pub rows: Vec<Row>,
}

/// The medians of one client in one scenario.
#[derive(Debug, Clone)]
pub struct Row {
    /// Share used of the quota in force in all windows but the first, of the larger dimension.
    pub used: f64,
    /// Throttles per call.
    pub throttled: f64,
    /// Calls given up, as a share of all.
    pub failed: f64,
    /// Waits in seconds, as if a minute took one: median and 99th percentile.
    pub waits: (f64, f64),
    /// The time to adapt in each period, in windows.
    pub adapted: String,
    /// The share used in each window.
    pub windows: Vec<f64>,
}

/// Runs all clients and seeds at one time, each against a provider of its own, each on a thread of its own: in a shared runtime, one
/// with many retries would delay the others.
///
/// # Errors
///
/// Where no port can be had, or a program cannot be started.
///
/// # Panics
///
/// Where a run does.
pub fn run(scenario: &Scenario, peers: &[Peer], seeds: u64) -> io::Result<Medians> {
    let figures: io::Result<Vec<Vec<Figures>>> = thread::scope(|scope| {
        let started: Vec<Vec<_>> = peers
            .iter()
            .map(|&peer| {
                (1..=seeds)
                    .map(|seed| scope.spawn(move || run_one(scenario, peer, seed)))
                    .collect()
            })
            .collect();
        let join = |run: thread::ScopedJoinHandle<'_, io::Result<Figures>>| {
            run.join().expect("a run has panicked")
        };
        started
            .into_iter()
            .map(|runs| runs.into_iter().map(join).collect())
            .collect()
    });
    let ideals: Vec<f64> = (1..=seeds)
        .map(|seed| ideal::used(&scenario.setup, seed))
        .collect();
    Ok(Medians {
        ideal: median(&ideals),
        rows: figures?
            .iter()
            .map(|seeds| Row::new(scenario, seeds))
            .collect(),
    })
}

fn run_one(scenario: &Scenario, peer: Peer, seed: u64) -> io::Result<Figures> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(clock::run(&scenario.setup, peer, scenario.told(), seed))
}

impl Row {
    fn new(scenario: &Scenario, seeds: &[Figures]) -> Self {
        let middle = |of: &dyn Fn(&Figures) -> f64| {
            let each: Vec<f64> = seeds.iter().map(of).collect();
            median(&each)
        };
        let setup = &scenario.setup;
        let minutes = Duration::from_secs(60).div_duration_f64(setup.provider.window);
        let wait = |share| middle(&|figures| figures.wait(share).as_secs_f64() * minutes);
        let all: Vec<&Figures> = seeds.iter().collect();
        Self {
            used: middle(&|figures| figures.used(2..=setup.windows)),
            throttled: middle(&Figures::throttled_per_call),
            failed: middle(&Figures::given_up),
            waits: (wait(0.5), wait(0.99)),
            adapted: table::adapted(&all, &setup.schedule.periods(setup.windows)),
            windows: (0..setup.windows as usize)
                .map(|window| middle(&|figures| figures.windows[window].larger()))
                .collect(),
        }
    }
}
