//! Traces and figures of calls by OTLP, the protocol of OpenTelemetry (feature `otlp`). Names, and what is not exported: see
//! `README.md`.

mod answer;
mod attempt;
mod call_span;
mod collector;
mod figures;
mod telemetry;

pub use answer::ReadBody;
pub use attempt::Traced;
pub(crate) use call_span::{CallEnd, CallSpan};
pub use telemetry::Telemetry;

/// The schema of all names here: the last release of OpenTelemetry's conventions that has those for generative AI in force.
/// `/metrics` has the same names.
// 1.42.0 (2026-06-12, its notes) deprecates them for those of open-telemetry/semantic-conventions-genai. That one's 0.1.0 renames
// the metrics, and its README states no address of a schema (both read on 2026-11-30).
const SCHEMA: &str = "https://opentelemetry.io/schemas/1.41.0";
