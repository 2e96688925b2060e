//! Where the accounts of a fleet are.

pub mod redis;
