//! The Meter: what goes through it, what it reports, and when.
#![cfg(feature = "http")]

mod answers;
mod calibration;
mod ends;
mod hosts;
mod report;
mod requests;
mod support;
mod usage_request;
