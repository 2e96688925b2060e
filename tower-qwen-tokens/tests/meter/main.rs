//! The Meter: what passes, what is reported, and when.
#![cfg(feature = "http")]

mod answers;
mod ends;
mod requests;
mod support;
