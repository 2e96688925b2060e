//! Which accounts a run has, by its arguments.

use std::{collections::BTreeSet, path::Path};

use tower_qwen_tokens::PriceBook;

use super::{Account, AccountArgs, Accounts, at_batch_host, file::check_name, read_file};
use crate::{
    args::Args,
    base_url::BaseUrl,
    news::News,
    provider::{Environment, NoProvider, Provider, RunningMock},
};

/// Whom the calls of a run go to.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// The provider of the first account.
    pub provider: Provider,
    /// The accounts; empty for a run with one key at one address, which needs no more than these.
    pub accounts: Vec<Account>,
}

impl Chosen {
    /// The prices of each account; of the provider where there are none.
    #[must_use]
    pub fn prices(&self) -> Vec<PriceBook> {
        match self.accounts.is_empty() {
            true => vec![self.provider.prices()],
            false => self.accounts.iter().map(Account::prices).collect(),
        }
    }

    /// The names of all providers in the lines of the output.
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        if self.provider.is_mock() || self.accounts.is_empty() {
            return vec![self.provider.name()];
        }
        let names: BTreeSet<String> = self.accounts.iter().map(Account::provider).collect();
        names.into_iter().collect()
    }

    /// Whom the calls go to, for people to read.
    #[must_use]
    pub fn origins(&self) -> String {
        match &self.provider {
            Provider::Remote(base) if self.accounts.is_empty() => base.origin().to_owned(),
            _ => self.names().join(", "),
        }
    }

    /// The accounts for a run; `None` where it needs none. The built-in provider stands for the one it has.
    #[must_use]
    pub fn running(&self, mock: Option<&RunningMock>, news: &News) -> Option<Accounts> {
        let stand_in = mock.map(|mock| mock.base().clone());
        let accounts = self.accounts.iter().cloned();
        let accounts: Vec<Account> = accounts
            .map(|account| match &stand_in {
                Some(mock) => account.stand_in(Some(mock.clone())),
                None => account,
            })
            .collect();
        (!accounts.is_empty()).then(|| Accounts::new(accounts, news.clone()))
    }
}

/// Reads who takes part.
///
/// # Errors
///
/// In words: there is no provider, the file of accounts is wrong, or an account cannot use the batch host.
pub fn choose(args: &Args, environment: &Environment) -> Result<Chosen, String> {
    let of = &args.account_args;
    let provider = match of.names_accounts() {
        false => Provider::choose(args, environment).map_err(|none| none.to_string())?,
        true if args.input.is_none() && !args.bundled => {
            return Err(NoProvider::NotBundled(option(of)).to_string());
        }
        true => Provider::Remote(base(args, environment)?),
    };
    let mut accounts = match (&of.accounts, &provider) {
        (Some(path), Provider::Remote(base)) => file(path, base)?,
        (None, Provider::Remote(base)) if !of.api_key_env.is_empty() => {
            keys(&of.api_key_env, base)?
        }
        _ if !of.batch_host => {
            return Ok(Chosen {
                provider,
                accounts: Vec::new(),
            });
        }
        (_, provider) => vec![nameless(provider, environment)?],
    };
    if of.batch_host {
        accounts = accounts
            .into_iter()
            .map(|account| {
                let name = account.name().to_owned();
                at_batch_host(account).map_err(|why| match name.as_str() {
                    "" => why.to_string(),
                    name => format!("account {name}: {why}"),
                })
            })
            .collect::<Result<_, _>>()?;
    }
    let provider = match (provider, accounts.first()) {
        (Provider::Remote(_), Some(first)) => Provider::Remote(first.address().clone()),
        (provider, _) => provider,
    };
    Ok(Chosen { provider, accounts })
}

/// The option that names accounts.
fn option(of: &AccountArgs) -> &'static str {
    match of.accounts {
        Some(_) => "--accounts",
        None => "--api-key-env",
    }
}

/// The address of accounts that name none.
fn base(args: &Args, environment: &Environment) -> Result<BaseUrl, String> {
    let (address, from) = match (&args.base_url, &environment.base_url) {
        (Some(address), _) => (address.as_str(), "--base-url"),
        (None, Some(address)) => (address.as_str(), "DASHSCOPE_BASE_URL"),
        (None, None) => (BaseUrl::DASHSCOPE, "the default address"),
    };
    let base = address.parse();
    base.map_err(|bad| NoProvider::Address(from, bad).to_string())
}

fn file(path: &Path, base: &BaseUrl) -> Result<Vec<Account>, String> {
    read_file(path, base, Environment::variable).map_err(|bad| bad.to_string())
}

/// An account for each variable with a key, named like it. One alone is no pool, and needs no name.
fn keys(names: &[String], base: &BaseUrl) -> Result<Vec<Account>, String> {
    let mut accounts: Vec<Account> = Vec::new();
    for name in names {
        check_name(name).map_err(|_| "--api-key-env names an environment variable".to_owned())?;
        let key = Environment::variable(name).ok_or_else(|| {
            format!("--api-key-env: no key is in the environment variable {name}")
        })?;
        let account = Account::new(if names.len() > 1 { name } else { "" }, base.clone());
        let account = account
            .key(&key)
            .map_err(|bad| format!("--api-key-env {name}: {bad}"))?;
        let has_it = |other: &&Account| other.authorization() == account.authorization();
        if let Some(other) = accounts.iter().find(has_it) {
            let other = other.name();
            return Err(format!(
                "--api-key-env: {name} and {other} hold the same key"
            ));
        }
        accounts.push(account);
    }
    Ok(accounts)
}

/// The one account of a run without names.
fn nameless(provider: &Provider, environment: &Environment) -> Result<Account, String> {
    let base = match provider {
        Provider::Remote(base) => base.clone(),
        // A forecast without a provider, or the built-in one, whose address is known once it runs.
        Provider::Mock => BaseUrl::DASHSCOPE
            .parse()
            .map_err(|bad| NoProvider::Address("the default address", bad).to_string())?,
    };
    let account = Account::new("", base);
    match provider.key(environment) {
        Some(key) => account
            .key(key)
            .map_err(|bad| format!("DASHSCOPE_API_KEY: {bad}")),
        None => Ok(account),
    }
}
