//! Where the quota of a model is from.

use std::{fmt, time::Duration};

use http::HeaderValue;
use indicatif::HumanCount;
use serde::Serialize;
use tower_qwen_ratelimit::Quota;
use tower_qwen_tokens::data::{ModelQuota, QuotaBook, Region};

use crate::{
    account_list::{NoList, read_list},
    accounts::{Account, AccountLimits},
    args::{Args, QuotaArg},
    base_url::BaseUrl,
    provider::Provider,
    stack::transport,
};

/// Hosts of Model Studio whose accounts have quotas of their own, which the rows of their region say nothing of: a plan
/// counts credits, a trial has less.
const OTHER_QUOTAS: [&str; 2] = ["token-plan.", "trial."];

/// The window of an account's own figures, which the file gives by the minute.
const MINUTE: Duration = Duration::from_secs(60);

/// Says what quota a model has.
#[derive(Debug, Clone)]
pub struct QuotaSource {
    known: Known,
    args: Args,
    /// Whether the figures are an account's own, in place of `--rpm` and `--tpm`.
    is_of_account: bool,
}

#[derive(Debug, Clone)]
enum Known {
    /// One quota for each model. In a box, since the other variant is far smaller.
    Same(Box<Quota>, QuotaOrigin),
    /// Of `--quota auto`.
    Books {
        list: Result<QuotaBook, NoList>,
        built_in: Option<(Region, QuotaBook)>,
    },
}

/// The quota of a model, and where it is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundQuota {
    /// The quota.
    pub quota: Quota,
    /// Where it is from.
    pub origin: QuotaOrigin,
    /// Why it is from nowhere better, where that is so.
    why: Option<String>,
}

/// Where a quota is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaOrigin {
    /// `--rpm` and `--tpm`.
    Told,
    /// `--rpm` and `--tpm`, as the least.
    AtLeast,
    /// From nowhere: it is found out.
    Discover,
    /// The provider inside this process.
    Mock,
    /// The account's own list.
    Account,
    /// The row of the built-in list.
    BuiltIn,
    /// None: the batch host lets calls wait in a queue of its own.
    BatchHost,
}

impl QuotaSource {
    /// What the command line says, else what the lists say. The account's own is asked for with this key, at the address
    /// of the calls.
    pub async fn choose(
        args: &Args,
        provider: &Provider,
        base: &BaseUrl,
        key: Option<&HeaderValue>,
    ) -> Self {
        // Without a key and an address the forecast of a file is about DashScope, though nothing would be sent there.
        let is_of_file = args.input.is_some() || args.bundled;
        let is_mock = provider.is_mock() && (args.mock || !args.dry_run || !is_of_file);
        if let Some(source) = Self::of_args(args, is_mock) {
            return source;
        }
        let list = read_list(transport(1), base, key).await;
        Self::of_books(args, list, base)
    }

    /// What the account's own figures say, else as for a run with one account.
    pub async fn of_account(args: &Args, provider: &Provider, account: &Account) -> Self {
        let limits = account.own_limits();
        if limits == AccountLimits::default() {
            return Self::choose(args, provider, account.base(), account.authorization()).await;
        }
        let own = Args {
            rpm: limits.requests.or(args.rpm),
            tpm: limits.tokens.or(args.tpm),
            window: MINUTE,
            ..args.clone()
        };
        Self {
            known: Known::Same(Box::new(own.told_quota()), QuotaOrigin::Told),
            args: own,
            is_of_account: true,
        }
    }

    /// What the command line says; `None` with `--quota auto`, where [`QuotaSource::of_books`] is for.
    #[must_use]
    pub fn of_args(args: &Args, is_mock: bool) -> Option<Self> {
        let told = args.told_quota();
        let (quota, origin) = match args.quota_mode() {
            QuotaArg::Told => (told, QuotaOrigin::Told),
            QuotaArg::AtLeast => {
                let quota = Quota::at_least(told.requests(), told.tokens()).window(args.window);
                (args.paced(quota), QuotaOrigin::AtLeast)
            }
            QuotaArg::Discover => (discover(args), QuotaOrigin::Discover),
            // It is started with these figures.
            // Real-time limits do not bind there: help.aliyun.com/document_detail/2712574.html, read on 2026-12-01.
            QuotaArg::Auto if args.account_args.batch_host => {
                (Quota::unlimited(), QuotaOrigin::BatchHost)
            }
            QuotaArg::Auto if is_mock => (told, QuotaOrigin::Mock),
            QuotaArg::Auto => return None,
        };
        Some(Self {
            known: Known::Same(Box::new(quota), origin),
            args: args.clone(),
            is_of_account: false,
        })
    }

    /// The account's list where there is one, else the built-in rows of the region that the address is in.
    #[must_use]
    pub fn of_books(args: &Args, list: Result<QuotaBook, NoList>, base: &BaseUrl) -> Self {
        let host = base.host();
        let is_other = OTHER_QUOTAS.iter().any(|begin| host.starts_with(begin));
        let region = Region::of_host(host).filter(|_| !is_other);
        Self {
            known: Known::Books {
                list,
                built_in: region.map(|region| (region, QuotaBook::builtin().region(region))),
            },
            args: args.clone(),
            is_of_account: false,
        }
    }

    /// Whether the calls go to the batch host.
    #[must_use]
    pub fn is_of_batch_host(&self) -> bool {
        self.args.account_args.batch_host
    }

    /// The quota of models that have no other.
    pub fn default_quota(&self) -> Quota {
        match &self.known {
            Known::Same(quota, _) => **quota,
            Known::Books { .. } => discover(&self.args),
        }
    }

    /// The quota of this model.
    #[must_use]
    pub fn find(&self, model: &str) -> FoundQuota {
        let (list, built_in) = match &self.known {
            Known::Same(quota, origin) => {
                return FoundQuota {
                    quota: **quota,
                    origin: *origin,
                    why: None,
                };
            }
            Known::Books { list, built_in } => (list, built_in),
        };
        let why = match list {
            Ok(list) => match list.quota(model) {
                None => "the account's list has no such model".to_owned(),
                Some(row) => match self.of_row(row) {
                    Some(quota) => {
                        return FoundQuota {
                            quota,
                            origin: QuotaOrigin::Account,
                            why: None,
                        };
                    }
                    None => "the account's list says that the model is closed".to_owned(),
                },
            },
            Err(no_list) => no_list.to_string(),
        };
        let why = match built_in {
            None => format!("{why}, and the built-in one does not know the host"),
            Some((region, book)) => match book.quota(model) {
                None => format!("{why}, and the built-in one for {} neither", place(*region)),
                Some(row) => match self.of_row(row) {
                    Some(quota) => {
                        return FoundQuota {
                            quota,
                            origin: QuotaOrigin::BuiltIn,
                            why: Some(format!("for {}: {why}", place(*region))),
                        };
                    }
                    None => format!("{why}, and by the built-in one the model is closed"),
                },
            },
        };
        FoundQuota {
            quota: discover(&self.args),
            origin: QuotaOrigin::Discover,
            why: Some(why),
        }
    }

    /// What these models have, in sentences.
    #[must_use]
    pub fn sentences<'a>(&self, models: impl IntoIterator<Item = &'a String>) -> Vec<String> {
        match self.sentence_of_all() {
            Some(sentence) => vec![sentence],
            None => models
                .into_iter()
                .map(|model| self.find(model).sentence(model))
                .collect(),
        }
    }

    /// What all models have, in a sentence; `None` where each model has its own.
    #[must_use]
    pub fn sentence_of_all(&self) -> Option<String> {
        let Known::Same(quota, origin) = &self.known else {
            return None;
        };
        let args = &self.args;
        let figures = figures(quota);
        Some(match origin {
            QuotaOrigin::Told | QuotaOrigin::AtLeast => {
                let given = match (args.rpm, args.tpm) {
                    _ if self.is_of_account => "by the file of accounts",
                    (Some(_), Some(_)) => "--rpm and --tpm",
                    (Some(_), None) => "--rpm, and the default of --tpm",
                    (None, Some(_)) => "--tpm, and the default of --rpm",
                    (None, None) => "the defaults of --rpm and --tpm",
                };
                match origin {
                    QuotaOrigin::AtLeast => {
                        format!("Quota of each model: at least {figures} ({given}).")
                    }
                    _ => format!("Quota of each model: {figures} ({given})."),
                }
            }
            QuotaOrigin::BatchHost => {
                "Quota: none, since calls wait in a queue at the batch host.".to_owned()
            }
            QuotaOrigin::Mock => format!("Quota: {figures}, as the built-in mock has."),
            _ => format!(
                "Quota of each model: not known (--quota discover). It starts with {figures} and tries for more."
            ),
        })
    }

    /// The quota of a row; `None` where it lets no call through, as of a model that is retired.
    fn of_row(&self, row: &ModelQuota) -> Option<Quota> {
        let quota = match row.is_dynamic {
            true => Quota::at_least(row.requests, row.tokens),
            false => Quota::per_minute(row.requests, row.tokens),
        };
        let quota = self.args.paced(quota.window(row.period));
        quota.check().is_ok().then_some(quota)
    }
}

impl FoundQuota {
    /// The quota, unless it is only where the search for it starts.
    #[must_use]
    pub fn limit(&self) -> Option<Quota> {
        let is_known = !matches!(self.origin, QuotaOrigin::Discover | QuotaOrigin::AtLeast);
        is_known.then_some(self.quota)
    }

    /// What a model has and why, in a sentence.
    #[must_use]
    pub fn sentence(&self, model: &str) -> String {
        let figures = figures(&self.quota);
        let why = self.why.as_deref().unwrap_or_default();
        match self.origin {
            QuotaOrigin::Account => {
                format!("Quota of {model}: {figures}, by the account's own list.")
            }
            QuotaOrigin::BuiltIn => {
                format!("Quota of {model}: {figures}, by the built-in list {why}.")
            }
            QuotaOrigin::Discover if !why.is_empty() => format!(
                "Quota of {model}: not known ({why}). It starts with {figures} and tries for more."
            ),
            _ => format!("Quota of {model}: {figures}."),
        }
    }
}

/// A quota for people to read.
#[must_use]
pub fn figures(quota: &Quota) -> String {
    let amount = |amount: u64, unit: &str| match amount {
        u64::MAX => format!("any number of {unit}"),
        amount => format!("{} {unit}", HumanCount(amount)),
    };
    let requests = amount(quota.requests(), "requests");
    let tokens = amount(quota.tokens(), "tokens");
    format!("{requests} and {tokens} {}", Per(quota.window_length()))
}

/// A window for people to read, as in "60 requests a minute".
#[derive(Debug, Clone, Copy)]
pub struct Per(pub Duration);

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            window if window == Duration::from_secs(60) => f.write_str("a minute"),
            window if window == Duration::from_secs(1) => f.write_str("a second"),
            window => write!(f, "in {window:?}"),
        }
    }
}

fn discover(args: &Args) -> Quota {
    args.paced(Quota::discover().window(args.window))
}

fn place(region: Region) -> &'static str {
    match region {
        Region::Beijing => "Beijing",
        Region::HongKong => "Hong Kong",
        Region::Frankfurt => "Frankfurt",
        Region::Virginia => "Virginia",
        // The international site.
        _ => "Singapore",
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use http::StatusCode;

    use super::*;

    fn args(line: &[&str]) -> Args {
        Args::try_parse_from(std::iter::once(&"batch").chain(line)).expect("good usage")
    }

    fn books(list: Result<QuotaBook, NoList>, base: &str) -> QuotaSource {
        QuotaSource::of_books(&args(&[]), list, &base.parse().expect("an address"))
    }

    const FORBIDDEN: Result<QuotaBook, NoList> = Err(NoList::Status(StatusCode::FORBIDDEN));
    const BEIJING: &str = BaseUrl::DASHSCOPE;

    #[test]
    fn the_accounts_list_comes_first() {
        let mine = ModelQuota::per_minute(1_200, 900_000);
        let list = QuotaBook::empty()
            .with("qwen-plus", mine)
            .with("qwen-max", ModelQuota::per_minute(0, 0));
        let source = books(Ok(list), BEIJING);
        let found = source.find("qwen-plus");
        assert_eq!(found.quota, Quota::per_minute(1_200, 900_000));
        assert_eq!(found.limit(), Some(found.quota));
        assert_eq!(
            found.sentence("qwen-plus"),
            "Quota of qwen-plus: 1,200 requests and 900,000 tokens a minute, by the account's own list."
        );
        let other = source.find("qwen-flash");
        assert_eq!(other.origin, QuotaOrigin::BuiltIn);
        assert_eq!(
            other.sentence("qwen-flash"),
            "Quota of qwen-flash: 30,000 requests and 10,000,000 tokens a minute, by the built-in list for Beijing: \
             the account's list has no such model."
        );
        let closed = source.find("qwen-max");
        assert_eq!(closed.quota, Quota::per_minute(1_200, 1_000_000));
        assert!(
            closed
                .sentence("qwen-max")
                .ends_with("says that the model is closed.")
        );
        assert_eq!(source.default_quota(), Quota::discover());
        assert_eq!(source.sentence_of_all(), None);
    }

    #[test]
    fn the_built_in_row_is_that_of_the_region() {
        for (base, requests) in [
            (BEIJING, Some(30_000)),
            ("https://dashscope-intl.aliyuncs.com", Some(600)),
            (
                "https://ws-1.cn-beijing.maas.aliyuncs.com:443/v1",
                Some(30_000),
            ),
            ("https://token-plan.cn-beijing.maas.aliyuncs.com", None),
            ("https://trial.cn-beijing.maas.aliyuncs.com", None),
            ("https://coding.dashscope.aliyuncs.com/v1", None),
            ("http://[::1]:8080/v1", None),
            ("https://api.example.org/v1", None),
        ] {
            let found = books(FORBIDDEN, base).find("qwen-plus");
            let limit = found.limit().map(|quota| quota.requests());
            assert_eq!(limit, requests, "{base}");
            if requests.is_none() {
                assert_eq!(found.quota, Quota::discover(), "{base}");
            }
        }
    }

    #[test]
    fn a_row_that_moves_is_the_least() {
        let found = books(FORBIDDEN, BEIJING).find("qwen3.8-max");
        assert_eq!(found.quota, Quota::at_least(u64::MAX, 5_000_000));
        let sentence = found.sentence("qwen3.8-max");
        assert!(sentence.contains("any number of requests and 5,000,000 tokens a minute"));
    }

    #[test]
    fn what_nobody_knows_is_found_out_and_says_why() {
        assert_eq!(
            books(FORBIDDEN, BEIJING).find("mine").sentence("mine"),
            "Quota of mine: not known (the key may not read the account's list (403), and the built-in one for \
             Beijing neither). It starts with 60 requests and 60,000 tokens a minute and tries for more."
        );
    }

    #[test]
    fn the_command_line_says_it_for_all_models() {
        for (line, expected) in [
            (
                &["--rpm", "60", "--tpm", "1000000"][..],
                "Quota of each model: 60 requests and 1,000,000 tokens a minute (--rpm and --tpm).",
            ),
            (
                &["--rpm", "60", "--window", "6s"],
                "Quota of each model: 60 requests and 800,000 tokens in 6s (--rpm, and the default of --tpm).",
            ),
            (
                &["--quota", "at-least", "--tpm", "5"],
                "Quota of each model: at least 800 requests and 5 tokens a minute (--tpm, and the default of --rpm).",
            ),
            (
                &["--quota", "told"],
                "Quota of each model: 800 requests and 800,000 tokens a minute (the defaults of --rpm and --tpm).",
            ),
            (
                &["--quota", "discover"],
                "Quota of each model: not known (--quota discover). It starts with 60 requests and 60,000 tokens \
                 a minute and tries for more.",
            ),
        ] {
            let source = QuotaSource::of_args(&args(line), false).expect("no book");
            assert_eq!(source.sentence_of_all().as_deref(), Some(expected));
            assert_eq!(source.find("any").quota, source.default_quota());
        }
        let at_least = QuotaSource::of_args(&args(&["--quota", "at-least"]), false);
        let expected = Quota::at_least(800, 800_000);
        assert_eq!(
            at_least.map(|source| source.default_quota()),
            Some(expected)
        );
        assert!(QuotaSource::of_args(&args(&[]), false).is_none());
        let mock = QuotaSource::of_args(&args(&[]), true).expect("no book");
        assert_eq!(mock.find("any").origin, QuotaOrigin::Mock);
    }
}
