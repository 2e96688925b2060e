//! The server's side, in paused time.

mod axum;
mod before_read;
#[path = "../support/budget_sums.rs"]
mod budget_sums;
mod budgets;
mod contract;
mod headers;
mod limits;
mod queue;
mod rejections;
mod settling;
mod shadow;
mod support;
mod try_acquire;
mod unsent;
