//! What a run measures of each model: waits and latencies as distributions, and its course over time.
//!
//! The memory is bounded, whatever the number of calls and however long the run: a distribution keeps two digits of a
//! duration, and a course has a fixed number of slots, which become wider.

mod model;
mod observer;
mod run;
mod series;
mod slot;
mod times;

pub use model::ModelFigures;
pub use observer::Measured;
pub use run::{Measure, OTHERS};
pub use series::{Merge, Series};
pub use slot::{Mean, Slot};
pub use times::{Bar, Percentiles, Times};
