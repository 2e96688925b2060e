//! The Meter: what passes, what is reported, and when.
#![cfg(feature = "http")]

mod answers;
mod asking;
mod calibrating;
mod ends;
mod requests;
mod support;
