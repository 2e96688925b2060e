//! The report of a run: one HTML file to look at, with charts and tables, without a script and without a network.
//!
//! All texts that come from the input or the host are escaped by `maud`, which writes the page.

mod args;
mod chart;
mod failures;
mod file;
mod head;
mod page;
mod quota_chart;
mod scale;
mod spend;
mod text;
mod times_chart;

pub use args::ReportArgs;
pub use file::{Unwritable, check, write};
pub use page::{Report, page};
