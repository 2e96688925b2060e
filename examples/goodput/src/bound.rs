//! Bounds of a run's figures.

use std::fmt;

use crate::measure::Figures;

/// A figure of a run, and the least or the most that it may be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// The mean share used of the quota in force, in the windows `from` to `to`.
    Used {
        /// The first window, from 1.
        from: u32,
        /// The last window.
        to: u32,
        /// At least so much.
        at_least: f64,
    },
    /// Throttles per call over the whole run, at most.
    Throttled(f64),
    /// Jain's index of the processes, at least.
    Jain(f64),
    /// Calls done, as a share of those that are done where nothing is refused, at least.
    Throughput(f64),
}

/// What one seed of a case gave.
#[derive(Debug, Clone)]
pub struct CaseRun {
    /// The figures.
    pub figures: Figures,
    /// Calls done without faults, where that is compared.
    pub done_without_faults: Option<u64>,
}

impl Bound {
    /// The figure that is bounded. Not a number where it was not measured.
    #[must_use]
    pub fn figure(&self, run: &CaseRun) -> f64 {
        let figures = &run.figures;
        match *self {
            Self::Used { from, to, .. } => figures.used(from..=to),
            Self::Throttled(_) => figures.throttled_per_call(),
            Self::Jain(_) => figures.jain,
            Self::Throughput(_) => {
                let without = run.done_without_faults;
                without.map_or(f64::NAN, |without| figures.done as f64 / without as f64)
            }
        }
    }

    /// Whether a figure keeps to it.
    #[must_use]
    pub fn holds(&self, figure: f64) -> bool {
        match *self {
            Self::Used { at_least, .. } | Self::Jain(at_least) | Self::Throughput(at_least) => {
                figure >= at_least
            }
            Self::Throttled(at_most) => figure <= at_most,
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // All windows but the first, in every case.
            Self::Used {
                from: 2, at_least, ..
            } => write!(f, "used at least {at_least}"),
            Self::Used { from, to, at_least } => {
                write!(f, "windows {from} to {to}: at least {at_least}")
            }
            Self::Throttled(at_most) => write!(f, "throttled at most {at_most}"),
            Self::Jain(at_least) => write!(f, "Jain's index at least {at_least}"),
            Self::Throughput(at_least) => write!(f, "throughput at least {at_least}"),
        }
    }
}

/// The middle of some figures; of an even number, the lower of the two.
#[must_use]
pub fn median(figures: &[f64]) -> f64 {
    let mut sorted = figures.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len().saturating_sub(1) / 2;
    sorted.get(middle).copied().unwrap_or(f64::NAN)
}
