//! The comparison by the clock: what the provider does, and what the clients are told.

use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use mock_qwen::{Enforce, Growth, RetryAfter};

use crate::bound::median;
use crate::clock;
use crate::measure::Figures;
use crate::peers::{Peer, Told};
use crate::schedule::{Change, Schedule};
use crate::setup::Setup;

/// Windows of a run, the first apart.
const WINDOWS: u32 = 13;
/// The limits halve in the beginning of this window, and are the whole again from the other on.
const HALVED: (u32, u32) = (4, 9);
/// The scenario in which they do.
pub const HALVED_NAME: &str = "halved, restored";

/// What the provider does, and what the clients are told of its quota.
#[derive(Debug, Clone)]
pub struct Scenario {
    /// A word or two.
    pub name: &'static str,
    /// What the provider does.
    pub setup: Setup,
    /// The clients are told this many times the quota.
    pub times: f64,
}

/// The medians of one client in one scenario.
#[derive(Debug, Clone)]
pub struct Row {
    /// Of what was in force, what finished calls used of the larger dimension.
    pub finished: f64,
    /// Share used of the quota in force in all windows but the first.
    pub used: f64,
    /// Throttles per call.
    pub throttled: f64,
    /// Calls given up, as a share of all.
    pub failed: f64,
    /// Waits in seconds, as if a minute took one: median and 99th percentile.
    pub waits: (f64, f64),
    /// The share used in each window.
    pub windows: Vec<f64>,
}

/// All scenarios, a minute taking `minute`.
#[must_use]
pub fn scenarios(minute: Duration) -> Vec<Scenario> {
    let with = |name, times, change: &dyn Fn(&mut Setup)| {
        let mut setup = Setup::new(800);
        setup.windows = WINDOWS;
        change(&mut setup);
        Scenario {
            name,
            setup: setup.of_minute(minute),
            times,
        }
    };
    let slices = |setup: &mut Setup| {
        setup.provider.enforce = Enforce::Bucket;
        setup.provider.per_second = true;
    };
    let change = |window, share| Change { window, share };
    vec![
        with("sliding window", 1.0, &|_| {}),
        with("fixed window", 1.0, &|setup| {
            setup.provider.enforce = Enforce::Fixed;
        }),
        with("bucket", 1.0, &|setup| {
            setup.provider.enforce = Enforce::Bucket;
        }),
        with("bucket, seconds", 1.0, &slices),
        with("growth punished", 1.0, &|setup| {
            setup.provider.growth = Some(Growth::default());
        }),
        with("60 a minute", 1.0, &|setup| {
            let windows = setup.windows;
            *setup = Setup {
                windows,
                ..Setup::new(60)
            };
        }),
        with("told ten times", 10.0, &|_| {}),
        with("the same, hints", 10.0, &|setup| {
            setup.provider.retry_after = RetryAfter::Seconds;
        }),
        with("told a tenth", 0.1, &|_| {}),
        with(HALVED_NAME, 1.0, &|setup| {
            let (halved, restored) = HALVED;
            setup.schedule = Schedule::new(vec![change(halved, 0.5), change(restored, 1.0)]);
        }),
        with("falls by tenths", 1.0, &|setup| {
            let fall = |step: u32| change(4 + step, 0.9_f64.powi(step as i32 + 1));
            setup.schedule = Schedule::new((0..6).map(fall).collect());
        }),
        with("four processes", 1.0, &|setup| setup.processes = 4),
    ]
}

impl Scenario {
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
    pub fn run(&self, peers: &[Peer], seeds: u64) -> io::Result<Vec<Row>> {
        let figures: io::Result<Vec<Vec<Figures>>> = thread::scope(|scope| {
            let started: Vec<Vec<_>> = peers
                .iter()
                .map(|&peer| {
                    (1..=seeds)
                        .map(|seed| scope.spawn(move || self.run_one(peer, seed)))
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
        let figures = figures?;
        let minute = self.setup.provider.window;
        Ok(figures.iter().map(|each| Row::new(each, minute)).collect())
    }

    fn run_one(&self, peer: Peer, seed: u64) -> io::Result<Figures> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(clock::run(&self.setup, peer, self.told(), seed))
    }

    fn told(&self) -> Told {
        let provider = &self.setup.provider;
        let of = |limit: u64| (limit as f64 * self.times) as u64;
        Told {
            rpm: of(provider.rpm),
            tpm: of(provider.tpm),
            window: provider.window,
        }
    }
}

impl Row {
    fn new(seeds: &[Figures], minute: Duration) -> Self {
        let middle = |of: &dyn Fn(&Figures) -> f64| {
            let each: Vec<f64> = seeds.iter().map(of).collect();
            median(&each)
        };
        let windows = seeds.first().map_or(0, |figures| figures.windows.len());
        let last = u32::try_from(windows).unwrap_or(u32::MAX);
        let wait = |share| {
            middle(&|figures| figures.wait(share).as_secs_f64() * 60.0 / minute.as_secs_f64())
        };
        Self {
            finished: middle(&|figures| figures.finished.larger()),
            used: middle(&|figures| figures.used(2..=last)),
            throttled: middle(&|figures| figures.throttled_per_call()),
            failed: middle(&|figures| {
                figures.failed as f64 / (figures.failed + figures.done).max(1) as f64
            }),
            waits: (wait(0.5), wait(0.99)),
            windows: (0..windows)
                .map(|window| middle(&|figures| figures.windows[window].larger()))
                .collect(),
        }
    }
}

/// Writes a scenario as rows of a table in Markdown.
///
/// # Errors
///
/// Where it cannot be written.
pub fn write(
    out: &mut impl Write,
    scenario: &Scenario,
    peers: &[Peer],
    rows: &[Row],
) -> io::Result<()> {
    for (peer, row) in peers.iter().zip(rows) {
        writeln!(
            out,
            "| {} | {} | {:.3} | {:.3} | {:.4} | {:.1} % | {:.1} | {:.1} |",
            scenario.name,
            peer.name(),
            row.finished,
            row.used,
            row.throttled,
            row.failed * 100.0,
            row.waits.0,
            row.waits.1,
        )?;
    }
    out.flush()
}

/// Writes the head of that table.
///
/// # Errors
///
/// Where it cannot be written.
pub fn write_head(out: &mut impl Write) -> io::Result<()> {
    writeln!(
        out,
        "| provider | client | finished of the bound | used | throttled per call | given up | wait p50 s | p99 s |\n|---|---|---|---|---|---|---|---|"
    )
}
