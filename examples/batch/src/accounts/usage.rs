//! What was used at each account.

use std::fmt;

use serde::Serialize;
use tower_qwen_ratelimit::Limiter;
use tower_qwen_tokens::Money;

use super::Accounts;
use crate::words;

/// What was used at an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AccountUse {
    /// Its name.
    pub name: String,
    /// Whom its calls went to.
    pub provider: String,
    /// Requests that went to it.
    pub attempts: u64,
    /// Of these: throttled.
    pub throttles: u64,
    /// Tokens of prompts.
    pub prompt_tokens: u64,
    /// Tokens of answers.
    pub output_tokens: u64,
    /// What they cost, by the prices of its region.
    pub cost: Vec<Money>,
    /// Why it is left out at the end, if it is: `key`, `account`, `plan_window`, ...
    pub left_out: Option<&'static str>,
}

impl AccountUse {
    /// What was used so far; empty where there is no more than one account.
    #[must_use]
    pub fn all(accounts: Option<&Accounts>, limiter: &Limiter) -> Vec<Self> {
        let Some(accounts) = accounts.filter(|accounts| accounts.count() > 1) else {
            return Vec::new();
        };
        let mut throttles = vec![0_u64; accounts.count()];
        for account in limiter.snapshot() {
            if let Some(index) = accounts.index(account.key.account()) {
                throttles[index] += account.throttled.values().sum::<u64>();
            }
        }
        let all = accounts.iter().zip(throttles).enumerate();
        all.map(|(index, (account, throttles))| {
            let total = accounts.ledger(index).snapshot().total;
            Self {
                name: account.name().to_owned(),
                provider: account.provider(),
                attempts: total.calls,
                throttles,
                prompt_tokens: total.input_tokens,
                output_tokens: total.output_tokens,
                cost: total.cost,
                left_out: accounts.why_left_out(index),
            }
        })
        .collect()
    }

    /// In a few words, for a line of progress.
    #[must_use]
    pub fn short(&self) -> String {
        let Self {
            name,
            attempts,
            throttles,
            ..
        } = self;
        let cost = words::money(&self.cost);
        match self.left_out {
            Some(_) => format!("{name} left out"),
            None => format!("{name} {attempts} calls, {throttles} throttles, {cost}"),
        }
    }
}

impl fmt::Display for AccountUse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            attempts,
            throttles,
            prompt_tokens,
            output_tokens,
            ..
        } = self;
        let tokens = prompt_tokens.saturating_add(*output_tokens);
        let cost = words::money(&self.cost);
        write!(
            f,
            "{attempts} calls, {throttles} throttles, {tokens} tokens, {cost}"
        )?;
        match self.left_out {
            Some(why) => write!(f, ", left out ({why})"),
            None => Ok(()),
        }
    }
}
