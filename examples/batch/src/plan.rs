//! How the calls of a forecast are shared among accounts.

use std::collections::BTreeMap;

use tower_qwen_ratelimit::Quota;
use tower_qwen_tokens::PriceBook;

use crate::{accounts::Account, dry_run::Need, quota_source::QuotaSource};

/// Where the calls of a forecast go.
#[derive(Debug)]
pub struct Plan(Vec<Member>);

#[derive(Debug)]
struct Member {
    account: Option<Account>,
    quotas: QuotaSource,
    prices: PriceBook,
}

/// Who has which calls of a model, and how long that takes.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Shares {
    pub(crate) portions: Vec<Portion>,
    pub(crate) seconds: f64,
    /// Whether some quota is not known.
    pub(crate) is_to_find: bool,
}

/// The calls between two shares of all go to this member.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Portion {
    pub(crate) member: usize,
    pub(crate) from: f64,
    pub(crate) to: f64,
}

impl Plan {
    /// Calls that go to one account.
    #[must_use]
    pub fn one(quotas: QuotaSource, prices: PriceBook) -> Self {
        Self(vec![Member {
            account: None,
            quotas,
            prices,
        }])
    }

    /// Calls that go to these accounts, each with its source of quotas; without accounts to one with these prices.
    #[must_use]
    pub fn new(sources: Vec<QuotaSource>, accounts: &[Account], prices: PriceBook) -> Self {
        let of = |(at, quotas)| {
            let account = accounts.get(at);
            Member {
                account: account.cloned(),
                quotas,
                prices: account.map_or_else(|| prices.clone(), Account::prices),
            }
        };
        Self(sources.into_iter().enumerate().map(of).collect())
    }

    /// The prices of each member.
    pub(crate) fn prices(&self) -> impl ExactSizeIterator<Item = &PriceBook> {
        self.0.iter().map(|member| &member.prices)
    }

    pub(crate) fn names(&self) -> Vec<String> {
        let names = self.0.iter().map(Member::name);
        names.map(str::to_owned).collect()
    }

    /// How long calls take of which nothing is known but their number.
    pub(crate) fn unread_seconds(&self, calls: u64) -> f64 {
        let speed = |member: &Member| 1.0 / seconds(calls, 0, member.quotas.default_quota());
        1.0 / self.0.iter().map(speed).sum::<f64>()
    }

    /// Who has which calls of a model: each so many as its quota lets through in the same time.
    pub(crate) fn shares(&self, model: &str, need: &Need) -> Shares {
        let tokens = need.prompt_tokens.saturating_add(need.output_tokens);
        let members = self.0.iter().enumerate();
        let mut speeds = Vec::new();
        let mut is_to_find = false;
        for (at, member) in members.filter(|(_, member)| member.serves(model)) {
            let found = member.quotas.find(model);
            is_to_find |= found.limit().is_none();
            // However much it allows, it takes some time.
            let seconds = seconds(need.calls, tokens, found.quota).max(f64::MIN_POSITIVE);
            speeds.push((at, 1.0 / seconds));
        }
        let sum: f64 = speeds.iter().map(|(_, speed)| speed).sum();
        let mut so_far = 0.0;
        let last = speeds.len().saturating_sub(1);
        let portions = speeds
            .into_iter()
            .enumerate()
            .map(|(number, (member, speed))| {
                let from = so_far / sum;
                so_far += speed;
                // Rounding leaves no call over.
                let to = if number == last { 1.0 } else { so_far / sum };
                Portion { member, from, to }
            });
        Shares {
            portions: portions.collect(),
            seconds: if sum > 0.0 { 1.0 / sum } else { 0.0 },
            is_to_find,
        }
    }

    /// What these models have, in sentences.
    #[must_use]
    pub fn sentences<N>(&self, models: &BTreeMap<String, N>) -> Vec<String> {
        let of = |member: &Member| {
            let served = models.keys().filter(|model| member.serves(model));
            let sentences = member.quotas.sentences(served).into_iter();
            let sentences = sentences.map(|sentence| match member.name() {
                "" => sentence,
                name => format!("Account {name}: {sentence}"),
            });
            sentences.collect::<Vec<_>>()
        };
        self.0.iter().flat_map(of).collect()
    }
}

impl Member {
    fn name(&self) -> &str {
        self.account.as_ref().map_or("", Account::name)
    }

    fn serves(&self, model: &str) -> bool {
        let account = self.account.as_ref();
        account.is_none_or(|account| account.serves(model))
    }
}

/// How long so many calls take, by the scarcer of both dimensions.
fn seconds(calls: u64, tokens: u64, quota: Quota) -> f64 {
    let requests = calls as f64 / quota.requests().max(1) as f64;
    let tokens = tokens as f64 / quota.tokens().max(1) as f64;
    requests.max(tokens) * quota.window_length().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    fn member(requests: &str) -> QuotaSource {
        let line = ["batch", "--rpm", requests, "--tpm", "1000000000"];
        let args = Args::try_parse_from(line).expect("good usage");
        QuotaSource::of_args(&args, false).expect("no list is needed")
    }

    #[test]
    fn each_account_has_what_its_quota_lets_through_in_the_same_time() {
        let account = |name, models: &[&str]| {
            let base = "http://h/v1".parse().expect("an address");
            let models = models.iter().map(|&model| model.to_owned()).collect();
            Account::new(name, base).models(Some(models))
        };
        let accounts = [account("a", &["m", "n"]), account("b", &["m"])];
        let sources = vec![member("100"), member("300")];
        let plan = Plan::new(sources, &accounts, PriceBook::empty());
        let need = Need {
            calls: 800,
            ..Need::default()
        };
        let both = plan.shares("m", &need);
        let portion = |member, from, to| Portion { member, from, to };
        assert_eq!(
            both.portions,
            [portion(0, 0.0, 0.25), portion(1, 0.25, 1.0)]
        );
        assert!((both.seconds - 120.0).abs() < 1e-6, "{both:?}");
        let one = plan.shares("n", &need);
        assert_eq!(one.portions, [portion(0, 0.0, 1.0)]);
        assert!((one.seconds - 480.0).abs() < 1e-6, "{one:?}");
        assert_eq!(plan.shares("o", &need), Shares::default());
    }
}
