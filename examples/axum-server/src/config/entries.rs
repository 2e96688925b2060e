//! Callers and groups, as the file, the state file and the admin API write them.

use std::{num::NonZeroU64, time::Duration};

use serde::{Deserialize, Serialize};
use tower_qwen_ratelimit::{
    Budget,
    budget::Amount,
    period::{Period, TimeZone},
};
use tower_qwen_tokens::price::Currency;

use super::{
    section::Section,
    values::{Class, Cost, Decimal, Instant},
};
use crate::api_key::{ApiKey, BadKey, KeyHash, is_name};

const DAY: Duration = Duration::from_secs(86_400);

/// A caller.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CallerEntry {
    /// Its name.
    pub name: String,
    /// Its key. Only the hash is stored.
    #[serde(skip_serializing)]
    pub key: Option<ApiKey>,
    /// The SHA-256 of its key.
    pub key_sha256: Option<KeyHash>,
    /// When that key expires.
    pub expires: Option<Instant>,
    /// A second key, which lives on while the caller changes to the first one.
    #[serde(skip_serializing)]
    pub old_key: Option<ApiKey>,
    /// The SHA-256 of the second key.
    pub old_key_sha256: Option<KeyHash>,
    /// When the second key expires.
    pub old_key_expires: Option<Instant>,
    /// The models that it may call.
    pub models: Option<Vec<String>>,
    /// The group whose budget its calls count in.
    pub group: Option<String>,
    /// How urgent its calls are.
    pub priority: Option<Class>,
    /// Its quota of requests.
    pub requests_per_minute: Option<NonZeroU64>,
    /// Its quota of tokens.
    pub tokens_per_minute: Option<NonZeroU64>,
    /// What it may spend a day.
    pub cost_per_day: Option<Cost>,
    /// The same in US dollars.
    #[serde(skip_serializing)]
    pub usd_per_day: Option<Decimal>,
    /// What it may spend a month.
    pub cost_per_month: Option<Cost>,
    /// Tokens that it may use a day.
    pub tokens_per_day: Option<NonZeroU64>,
}

/// A group of callers with one budget.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupEntry {
    /// Its name.
    pub name: String,
    /// The group that it is part of.
    pub group: Option<String>,
    /// What all may spend a day.
    pub cost_per_day: Option<Cost>,
    /// The same in US dollars.
    #[serde(skip_serializing)]
    pub usd_per_day: Option<Decimal>,
    /// What all may spend a month.
    pub cost_per_month: Option<Cost>,
    /// Tokens that all may use a day.
    pub tokens_per_day: Option<NonZeroU64>,
}

/// What is wrong with one member of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The member.
    pub key: &'static str,
    /// What is wrong with it.
    pub message: String,
}

impl Fault {
    pub(super) fn new(key: &'static str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { key, message }
    }
}

impl CallerEntry {
    /// Reads it from its table.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        let key_form = BadKey::Key.to_string();
        let hash_form = BadKey::Hash.to_string();
        Self {
            name: section.value("name").unwrap_or_default(),
            key: section.secret("key", &key_form),
            key_sha256: section.secret("key_sha256", &hash_form),
            expires: section.value("expires"),
            old_key: section.secret("old_key", &key_form),
            old_key_sha256: section.secret("old_key_sha256", &hash_form),
            old_key_expires: section.value("old_key_expires"),
            group: section.value("group"),
            ..Self::defaults(section)
        }
    }

    /// Reads what may stand in `[defaults]` too.
    pub(super) fn defaults(section: &mut Section<'_, '_>) -> Self {
        Self {
            models: section.value("models"),
            priority: section.value("priority"),
            requests_per_minute: section.value("requests_per_minute"),
            tokens_per_minute: section.value("tokens_per_minute"),
            cost_per_day: section.value("cost_per_day"),
            usd_per_day: section.value("usd_per_day"),
            cost_per_month: section.value("cost_per_month"),
            tokens_per_day: section.value("tokens_per_day"),
            ..Self::default()
        }
    }

    /// Hashes the keys, resolves what is written in two ways, and says what is wrong.
    pub fn settle(&mut self) -> Vec<Fault> {
        let mut faults = Vec::new();
        check_name(&self.name, &mut faults);
        let (key, hash) = (self.key.take(), &mut self.key_sha256);
        settle_key("key", key, hash, &mut faults);
        let (key, hash) = (self.old_key.take(), &mut self.old_key_sha256);
        settle_key("old_key", key, hash, &mut faults);
        if self.key_sha256.is_none() {
            faults.push(Fault::new("key", "a caller needs `key` or `key_sha256`"));
        }
        settle_costs(&mut self.cost_per_day, self.usd_per_day.take(), &mut faults);
        faults
    }

    /// The same with what it does not say itself from `[defaults]`.
    #[must_use]
    pub fn or(self, defaults: &Self) -> Self {
        Self {
            models: self.models.or_else(|| defaults.models.clone()),
            priority: self.priority.or(defaults.priority),
            requests_per_minute: self.requests_per_minute.or(defaults.requests_per_minute),
            tokens_per_minute: self.tokens_per_minute.or(defaults.tokens_per_minute),
            cost_per_day: self.cost_per_day.or(defaults.cost_per_day),
            cost_per_month: self.cost_per_month.or(defaults.cost_per_month),
            tokens_per_day: self.tokens_per_day.or(defaults.tokens_per_day),
            ..self
        }
    }

    /// What it may spend.
    pub fn budget(&self, zone: TimeZone) -> Budget {
        budget(
            self.cost_per_day,
            self.cost_per_month,
            self.tokens_per_day,
            zone,
        )
    }

    /// The longest period of its budget.
    pub(super) fn longest_period(&self) -> Option<Duration> {
        longest_period(self.cost_per_day, self.cost_per_month, self.tokens_per_day)
    }

    /// The currencies of its budget, each with the member that names it.
    pub(super) fn currencies(&self) -> impl Iterator<Item = (&'static str, Currency)> + use<> {
        currencies(self.cost_per_day, self.cost_per_month)
    }
}

impl GroupEntry {
    /// Reads it from its table.
    pub(super) fn read(section: &mut Section<'_, '_>) -> Self {
        Self {
            name: section.value("name").unwrap_or_default(),
            group: section.value("group"),
            cost_per_day: section.value("cost_per_day"),
            usd_per_day: section.value("usd_per_day"),
            cost_per_month: section.value("cost_per_month"),
            tokens_per_day: section.value("tokens_per_day"),
        }
    }

    /// Resolves what is written in two ways, and says what is wrong.
    pub fn settle(&mut self) -> Vec<Fault> {
        let mut faults = Vec::new();
        check_name(&self.name, &mut faults);
        settle_costs(&mut self.cost_per_day, self.usd_per_day.take(), &mut faults);
        faults
    }

    /// What all of it may spend together.
    pub fn budget(&self, zone: TimeZone) -> Budget {
        budget(
            self.cost_per_day,
            self.cost_per_month,
            self.tokens_per_day,
            zone,
        )
    }

    /// The longest period of its budget.
    pub(super) fn longest_period(&self) -> Option<Duration> {
        longest_period(self.cost_per_day, self.cost_per_month, self.tokens_per_day)
    }

    /// The currencies of its budget, each with the member that names it.
    pub(super) fn currencies(&self) -> impl Iterator<Item = (&'static str, Currency)> + use<> {
        currencies(self.cost_per_day, self.cost_per_month)
    }
}

fn check_name(name: &str, faults: &mut Vec<Fault>) {
    if !is_name(name) {
        faults.push(Fault::new("name", BadKey::Name.to_string()));
    }
}

fn settle_key(
    member: &'static str,
    key: Option<ApiKey>,
    hash: &mut Option<KeyHash>,
    faults: &mut Vec<Fault>,
) {
    let Some(key) = key else { return };
    if hash.replace(KeyHash::of(&key)).is_some() {
        let message = format!("either `{member}` or `{member}_sha256`, not both");
        faults.push(Fault::new(member, message));
    }
}

fn settle_costs(cost: &mut Option<Cost>, usd: Option<Decimal>, faults: &mut Vec<Fault>) {
    const USD: &str = "usd_per_day";
    let Some(Decimal(usd)) = usd else { return };
    match format!("{usd} USD").parse() {
        Ok(_) if cost.is_some() => {
            faults.push(Fault::new(
                USD,
                "either `cost_per_day` or `usd_per_day`, not both",
            ));
        }
        Ok(amount) => *cost = Some(amount),
        Err(_) => faults.push(Fault::new(USD, "an amount is a number, not below zero")),
    }
}

fn budget(
    cost_per_day: Option<Cost>,
    cost_per_month: Option<Cost>,
    tokens_per_day: Option<NonZeroU64>,
    zone: TimeZone,
) -> Budget {
    let mut budget = Budget::unlimited();
    if let Some(Cost(money)) = cost_per_day {
        budget = budget.and(money, Period::day(zone));
    }
    if let Some(Cost(money)) = cost_per_month {
        budget = budget.and(money, Period::month(zone));
    }
    if let Some(tokens) = tokens_per_day {
        budget = budget.and(Amount::Tokens(tokens.get()), Period::day(zone));
    }
    budget
}

fn longest_period(
    cost_per_day: Option<Cost>,
    cost_per_month: Option<Cost>,
    tokens_per_day: Option<NonZeroU64>,
) -> Option<Duration> {
    let has_day = cost_per_day.is_some() || tokens_per_day.is_some();
    let month = cost_per_month.map(|_| 31 * DAY);
    month.or(has_day.then_some(DAY))
}

fn currencies(
    cost_per_day: Option<Cost>,
    cost_per_month: Option<Cost>,
) -> impl Iterator<Item = (&'static str, Currency)> + use<> {
    let costs = [
        ("cost_per_day", cost_per_day),
        ("cost_per_month", cost_per_month),
    ];
    let costs = costs.into_iter();
    costs.filter_map(|(key, cost)| Some((key, cost?.0.currency())))
}
