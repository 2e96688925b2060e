//! `--submit`: the program itself against the mock's Batch API.

mod ends;
mod killed;
mod limits;
mod place;
#[path = "../support/mod.rs"]
mod support;
mod whole;
