//! What a run came to, as a table and as JSON.

mod models;
mod quota;
mod summary;
mod table;

pub use models::{Latencies, ModelSummary};
pub use quota::{Learned, QuotaOfModel, QuotaUse};
pub use summary::{Calls, Facts, ProviderView, Summary, Throttles, Tokens};
