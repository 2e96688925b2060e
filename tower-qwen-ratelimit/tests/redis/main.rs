//! A fleet over a real server. Time is real here, so only counts and orders are asserted.

mod booking;
mod budget_storm;
mod budgets;
mod budgets_in_layers;
mod callers;
mod cluster;
mod conformance;
#[cfg(feature = "metrics")]
#[path = "../support/figures.rs"]
mod figures;
#[cfg(feature = "metrics")]
mod figures_of_a_fleet;
mod formats;
mod lease;
mod outage;
mod presence;
mod refusing;
mod server;
mod support;
mod usage;
