//! Classifying an answer once.
//!
//! The cause of a throttle stands in the body, not in the status. So the first of our layers that meets an error answer
//! reads the head of its body, puts a [`Verdict`](crate::Verdict) into the answer's extensions and gives the whole body
//! on; the others use that verdict.
//!
//! A stream may also begin with an error, behind a status of 200. Whoever can still do something about it, Retry for one,
//! asks for the first event with [`ClassifyOptions`] in the request's extensions. Then the first layer outside of the Meter
//! holds the answer back until that event has come, and all hear of the error as if it were the answer's status.

pub(crate) mod future;
pub(crate) mod options;
mod reading;

pub(crate) use future::{Classify, classify};
pub use options::{ClassifyOptions, FirstEvent};
