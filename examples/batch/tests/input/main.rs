//! The built program on inputs of every format, against a provider at an address of its own.

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod formats;
mod memory;
mod options;
mod parquet;
mod program;
mod selection;
mod wrong;
