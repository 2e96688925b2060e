//! The built program on inputs of every format, against a provider at an address of its own.

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod formats;
#[cfg(target_os = "linux")]
mod interrupted;
#[cfg(target_os = "linux")]
mod memory;
mod options;
mod parquet;
mod program;
mod selection;
mod wrong;
