//! What a run came to, as a table and as JSON.

mod models;
mod quota;
mod run;
mod table;

pub use models::{Latencies, ModelSummary};
pub use quota::{Learned, QuotaOfModel, QuotaUse};
pub use run::{Calls, Facts, ProviderView, Summary, Throttles, Tokens};
