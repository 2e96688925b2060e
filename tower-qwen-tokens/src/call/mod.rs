//! The request, read once.
//!
//! The first of our layers that meets a request collects its body, reads it and puts an `Arc<Call>` into the request's
//! extensions. The later ones find it there, retried attempts included, so that a retried call keeps its place.

mod account_id;
#[expect(clippy::module_inception, reason = "it holds the type of that name")]
mod call;
mod ceiling;
mod collected;
mod counting;
mod deadline;
mod edit;
pub(crate) mod facts;
mod include_usage;
mod max_wait;
mod model_call;
mod other_model;
mod predict_wait;
mod read;
mod read_error;
mod read_options;
mod report;
mod request_body;
mod rewrite;
pub(crate) mod running;
mod signed;

pub use account_id::AccountId;
pub use call::Call;
pub(crate) use ceiling::Ceiling;
pub use deadline::Deadline;
pub(crate) use edit::{JsonEdit, replaced};
pub use max_wait::MaxWait;
pub use model_call::ModelCall;
pub use predict_wait::{AccountOf, PredictWait};
pub use read::{ReadCall, UnbufferedBody};
pub use read_error::{BoxError, ReadError};
pub use read_options::ReadOptions;
pub use report::CallReport;
pub use request_body::{ParseError, ParseErrorKind};
pub(crate) use rewrite::{may_rewrite, rewrite};
pub(crate) use signed::is_signed;
