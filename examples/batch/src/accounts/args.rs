//! The part of the command line that is about accounts.

use std::path::PathBuf;

use clap::Args;

/// Which accounts share the calls, and whether these go to the batch host.
#[derive(Debug, Clone, Default, Args)]
pub struct AccountArgs {
    /// Accounts that share the calls, each with its own key, address and quota: a TOML file, as the README describes it.
    /// Each call goes to the account that can send it soonest.
    // The mock has one account, and its answers are no test of a key.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["api_key_env", "mock"])]
    pub accounts: Option<PathBuf>,

    /// The environment variable with the key, in place of `DASHSCOPE_API_KEY`. Given several times, each one is an account
    /// at the address of the run, and they share the calls.
    #[arg(long, value_name = "NAME", conflicts_with = "mock")]
    pub api_key_env: Vec<String>,

    /// Recommended where answers may take up to an hour: the same calls with the same key go to the batch host of Model
    /// Studio (`batch.dashscope.aliyuncs.com`) and cost half the price. For keys of Beijing, and for chat completions.
    /// With `--base-url` of another server, that one stands for the batch host, such as a proxy in front of it.
    #[arg(long)]
    pub batch_host: bool,
}

impl AccountArgs {
    /// Whether accounts are named.
    #[must_use]
    pub fn names_accounts(&self) -> bool {
        self.accounts.is_some() || !self.api_key_env.is_empty()
    }
}
