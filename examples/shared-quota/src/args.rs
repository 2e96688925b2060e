//! What the command line may say.

use std::{path::PathBuf, time::Duration};

use batch::args::duration;
use clap::{Args as Group, Parser, Subcommand, ValueEnum};
use tower_qwen_ratelimit::{OutagePolicy, Quota};

use crate::servers::{ServerArgs, ServersArgs};

/// Processes that share one quota through Redis, against one mock of the provider.
#[derive(Debug, Parser)]
#[command(version)]
pub(crate) struct Args {
    #[command(subcommand)]
    pub(crate) role: Option<Role>,
    #[command(flatten)]
    pub(crate) fleet: FleetArgs,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Role {
    /// One of the processes; started by the program itself.
    #[command(hide = true)]
    Worker(WorkerArgs),
    /// How many calls a process admits in a second, by each way of sharing
    Speed(SpeedArgs),
    /// Servers that share the quotas and budgets of their callers, under a storm of calls
    Servers(ServersArgs),
    /// One of the servers; started by the program itself.
    #[command(hide = true)]
    Server(ServerArgs),
}

#[derive(Debug, Group)]
pub(crate) struct SpeedArgs {
    /// A Redis or Valkey server
    #[arg(long, value_name = "URL")]
    pub(crate) redis: String,
}

#[derive(Debug, Group)]
pub(crate) struct FleetArgs {
    /// Processes that share the quota
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pub(crate) workers: u32,
    /// A Redis or Valkey server; without it, one is started
    #[arg(long, value_name = "URL")]
    pub(crate) redis: Option<String>,
    /// How long it runs
    #[arg(long = "for", value_name = "TIME", default_value = "30s", value_parser = duration)]
    pub(crate) time: Duration,
    /// A worker is killed after a third of the time, and another joins after half of it
    #[arg(long)]
    pub(crate) kill: bool,
    /// Length of an answer, on the mean
    #[arg(long, value_name = "TOKENS", default_value_t = 160)]
    pub(crate) output_tokens: u64,
    #[command(flatten)]
    pub(crate) share: ShareArgs,
}

#[derive(Debug, Clone, Group)]
pub(crate) struct ShareArgs {
    /// Requests that the provider allows in a window
    #[arg(long, default_value_t = 800)]
    pub(crate) rpm: u64,
    /// Tokens that the provider allows in a window
    #[arg(long, default_value_t = 200_000)]
    pub(crate) tpm: u64,
    /// Length of the window of both
    #[arg(long, default_value = "6s", value_parser = duration)]
    pub(crate) window: Duration,
    /// Lease parts of the rate in place of booking each call
    #[arg(long)]
    pub(crate) lease: bool,
    /// What becomes of calls while the server is away
    #[arg(long, value_enum, default_value_t = Mode::LocalShare)]
    pub(crate) outage: Mode,
    /// Three of four callers give their calls this time for getting out
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) deadline: Option<Duration>,
    /// The Redis server is a node of a cluster
    #[arg(long)]
    pub(crate) cluster: bool,
    /// Trust these authorities (PEM) of a server at `rediss://..`, in place of the public ones
    #[arg(long, value_name = "FILE")]
    pub(crate) authorities: Option<PathBuf>,
    /// Calls that each worker holds at once, waiting ones included
    #[arg(long, default_value_t = 64)]
    pub(crate) concurrency: usize,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(crate) enum Mode {
    LocalShare,
    Unlimited,
    Reject,
}

#[derive(Debug, Group)]
pub(crate) struct WorkerArgs {
    #[arg(long)]
    pub(crate) number: u32,
    #[arg(long)]
    pub(crate) base: String,
    #[arg(long)]
    pub(crate) redis: String,
    #[arg(long = "for", value_parser = duration)]
    pub(crate) time: Duration,
    #[command(flatten)]
    pub(crate) share: ShareArgs,
}

impl ShareArgs {
    pub(crate) fn quota(&self) -> Quota {
        Quota::per_minute(self.rpm, self.tpm).window(self.window)
    }

    /// As a worker is told.
    pub(crate) fn to_arguments(&self) -> Vec<String> {
        let mut arguments = vec![
            format!("--rpm={}", self.rpm),
            format!("--tpm={}", self.tpm),
            format!("--window={}ms", self.window.as_millis()),
            format!("--concurrency={}", self.concurrency),
        ];
        arguments.extend(self.lease.then(|| "--lease".to_owned()));
        if let Some(mode) = self.outage.to_possible_value() {
            arguments.push(format!("--outage={}", mode.get_name()));
        }
        if let Some(deadline) = self.deadline {
            arguments.push(format!("--deadline={}ms", deadline.as_millis()));
        }
        arguments.extend(self.cluster.then(|| "--cluster".to_owned()));
        if let Some(path) = &self.authorities {
            arguments.push(format!("--authorities={}", path.display()));
        }
        arguments
    }
}

impl From<Mode> for OutagePolicy {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::LocalShare => Self::LocalShare,
            Mode::Unlimited => Self::Unlimited,
            Mode::Reject => Self::Reject,
        }
    }
}
