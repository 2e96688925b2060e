//! Redis and Valkey: the gates of an account, shared by a fleet of processes.

mod names;
mod script;
#[cfg(test)]
mod tests;
