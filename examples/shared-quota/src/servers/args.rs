//! What the command line may say of servers.

use std::{path::PathBuf, time::Duration};

use batch::args::duration;
use clap::{Args as Group, ValueEnum};

use crate::args::Mode;

#[derive(Debug, Group)]
pub(crate) struct ServersArgs {
    /// Server processes
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) servers: u32,
    /// Calls of all tenants together
    #[arg(long, default_value_t = 100_000)]
    pub(crate) calls: u64,
    /// Calls a second; 0: as fast as they go
    #[arg(long, default_value_t = 2_000)]
    pub(crate) rate: u64,
    /// Calls under way at one time
    #[arg(long, default_value_t = 128)]
    pub(crate) concurrency: usize,
    /// Two servers are killed, after a fifth and after three fifths of the calls, and started again
    #[arg(long)]
    pub(crate) kill: bool,
    /// The store is away after two fifths of the calls; without a value it stands still
    #[arg(long, value_enum, num_args = 0..=1, default_missing_value = "pause", conflicts_with = "memory")]
    pub(crate) outage: Option<Outage>,
    /// For how long it is away
    #[arg(long, value_name = "TIME", default_value = "3s", value_parser = duration)]
    pub(crate) outage_time: Duration,
    #[command(flatten)]
    pub(crate) tenants: TenantArgs,
}

/// What becomes of the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Outage {
    /// It stands still, and goes on.
    Pause,
    /// It is killed, and comes back empty.
    Restart,
}

#[derive(Debug, Clone, Group)]
pub(crate) struct TenantArgs {
    /// Tenants
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) tenants: u32,
    /// Requests that a tenant may send in a window
    #[arg(long, default_value_t = 120)]
    pub(crate) rpm: u64,
    /// Tokens that a tenant may use in a window
    #[arg(long, default_value_t = 8_000)]
    pub(crate) tpm: u64,
    /// Length of the window of both
    #[arg(long, value_name = "TIME", default_value = "6s", value_parser = duration)]
    pub(crate) window: Duration,
    /// Tokens that one of ten tenants may use for ever
    #[arg(long, default_value_t = 8_000)]
    pub(crate) budget: u64,
    /// Tokens that all tenants together may use for ever
    #[arg(long, default_value_t = 4_000_000)]
    pub(crate) budget_of_all: u64,
    /// Quotas and budgets that no call ever meets, for what an admission costs
    #[arg(long)]
    pub(crate) wide: bool,
    /// Without a store: each server counts for itself
    #[arg(long)]
    pub(crate) memory: bool,
    /// What becomes of calls while the store is away
    #[arg(long, value_enum, default_value_t = Mode::LocalShare)]
    pub(crate) away: Mode,
}

#[derive(Debug, Group)]
pub(crate) struct ServerArgs {
    #[arg(long)]
    pub(crate) base: String,
    #[arg(long)]
    pub(crate) redis: Option<String>,
    #[arg(long)]
    pub(crate) ledger: PathBuf,
    #[command(flatten)]
    pub(crate) tenants: TenantArgs,
}

impl TenantArgs {
    /// As a server gets them.
    pub(crate) fn to_arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--tenants={}", self.tenants),
            format!("--rpm={}", self.rpm),
            format!("--tpm={}", self.tpm),
            format!("--window={}ms", self.window.as_millis()),
            format!("--budget={}", self.budget),
            format!("--budget-of-all={}", self.budget_of_all),
        ];
        arguments.extend(self.wide.then(|| "--wide".to_owned()));
        arguments.extend(self.memory.then(|| "--memory".to_owned()));
        if let Some(mode) = self.away.to_possible_value() {
            arguments.push(format!("--away={}", mode.get_name()));
        }
        arguments
    }
}
