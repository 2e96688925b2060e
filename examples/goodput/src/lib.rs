//! How much of a quota a client uses, how often the provider throttles it, and how long its calls wait.
//!
//! A [`Setup`](setup::Setup) says what the provider allows and who calls it. [`paused::run`] runs it with time paused: 21
//! minutes take a fraction of a second, and the same seed gives the same figures. A [`Case`](cases::Case) is a setup, what the
//! client is told, and the bounds that its figures must keep to.
//!
//! The jobs and the provider's times are the same everywhere: [`jobs`], [`provider`].

pub mod args;
pub mod bare;
pub mod bare_chart;
pub mod bound;
pub mod callers;
pub mod cases;
pub mod chart;
pub mod clock;
pub mod compare;
pub mod compare_table;
pub mod ideal;
pub mod jobs;
pub mod measure;
pub mod paused;
pub mod peers;
pub mod provider;
pub mod record;
pub mod request;
pub mod scenario;
pub mod schedule;
pub mod setup;
pub mod stack;
pub mod table;
