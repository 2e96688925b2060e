//! Why a run ended, and what to do about it, in one sentence.

use tower_qwen_ratelimit::budget::{Amount, BudgetError};
use tower_qwen_tokens::{data::Region, price::is_batch_host};

use crate::{
    base_url::BaseUrl,
    end_rules::Ended,
    fatal::{Fatal, FatalReason},
    words,
};

/// The beginning of the keys of plans.
const PLAN_KEY: &str = "sk-sp-";

/// The international address of Model Studio.
const INTERNATIONAL: &str = "https://dashscope-intl.aliyuncs.com/compatible-mode/v1";

/// The address of the plan for coding agents.
const CODING_PLAN: &str = "https://coding.dashscope.aliyuncs.com/v1";

/// Whom the calls went to, and with what.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name for people: a host and its port, or the built-in provider.
    pub name: String,
    /// The address without its path.
    pub origin: String,
    /// What kind of key they carried.
    pub key: KeyKind,
}

/// What kind of key calls carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// None.
    None,
    /// One of an account that pays by use.
    Usual,
    /// One of a plan.
    Plan,
}

impl Target {
    /// A server at an address, and the key for it.
    #[must_use]
    pub fn remote(origin: &str, key: Option<&str>) -> Self {
        Self {
            name: authority(origin).to_owned(),
            origin: origin.to_owned(),
            key: KeyKind::of(key),
        }
    }

    /// The provider inside this process.
    #[must_use]
    pub fn built_in() -> Self {
        Self {
            name: "the built-in provider".to_owned(),
            ..Self::remote("http://mock-qwen", None)
        }
    }
}

impl KeyKind {
    /// The kind of a key, by its beginning.
    #[must_use]
    pub fn of(key: Option<&str>) -> Self {
        match key.map(str::trim) {
            None => Self::None,
            Some(key) if key.starts_with(PLAN_KEY) => Self::Plan,
            Some(_) => Self::Usual,
        }
    }

    /// What has to be said of it before a call goes out.
    #[must_use]
    pub fn warning(self) -> Option<&'static str> {
        (self == Self::Plan).then_some(
            "The key is one of a plan (sk-sp-..): the plan's terms forbid scripts, such as this program, and allow \
             interactive tools alone. Calls in a batch may cost you the plan.",
        )
    }
}

impl Ended {
    /// A stable name of the reason, for the summary.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Fatal(fatal) => fatal.reason.as_str(),
            Self::Cap(BudgetError::Exceeded(exceeded)) => match exceeded.limit {
                Amount::Money(_) => "max_cost",
                _ => "max_tokens_total",
            },
            Self::Cap(error) => error.as_str(),
            Self::Failures(_) => "max_failures",
        }
    }

    /// Why the run ended, and what to do.
    #[must_use]
    pub fn advice(&self, target: &Target) -> String {
        match self {
            Self::Fatal(fatal) => fatal.advice(target),
            Self::Cap(error) => cap(error),
            Self::Failures(1) => "1 call failed, which ends the run (--max-failures).".to_owned(),
            Self::Failures(count) => {
                format!("{count} calls failed, which ends the run (--max-failures).")
            }
        }
    }
}

impl Fatal {
    /// What is wrong, and what to do.
    #[must_use]
    pub fn advice(&self, target: &Target) -> String {
        let Self {
            said, model, path, ..
        } = self;
        let host = &target.name;
        match self.reason {
            FatalReason::Key => format!("The key is not valid at {host} ({said}). {}", key(target)),
            FatalReason::Account => format!(
                "The account cannot be used at {host} ({said}). Look at its bills and its plan in the provider's console, \
                 then run again."
            ),
            FatalReason::Plan { until } => {
                let until = until.map_or_else(
                    || "when it begins anew".to_owned(),
                    |until| format!("after {}", httpdate(until)),
                );
                format!("A window of the account's plan is used up ({said}). Run again {until}.")
            }
            FatalReason::Address => format!(
                "{} cannot be reached: {said}. Check the address (--base-url or DASHSCOPE_BASE_URL) and the network.",
                target.origin
            ),
            FatalReason::NoProvider => format!(
                "{} does not answer as a provider of models does ({said}). {}",
                target.origin,
                path_of_base(target)
            ),
            FatalReason::Model => format!(
                "There is no model {model:?} for this key at {host} ({said}). Correct the lines, or name another model with --model."
            ),
            FatalReason::Path => format!(
                "There is nothing at {path} of {host} ({said}). {}",
                path_of_base(target)
            ),
            FatalReason::Permission => format!(
                "The key may not use {model:?} at {host} ({said}). Allow it in the provider's console, or name another \
                 model with --model."
            ),
            FatalReason::FreeTier => format!(
                "The free calls of {model:?} are used up ({said}). Allow paid ones in the provider's console, then run \
                 again."
            ),
        }
    }
}

impl Fatal {
    /// What is wrong with one account of several, which has no advice of its own: the others go on.
    #[must_use]
    pub fn of_account(&self, target: &Target) -> String {
        let Target { name, origin, .. } = target;
        match self.reason {
            FatalReason::Key if target.key == KeyKind::None => {
                format!("it has no key for {name} ({self})")
            }
            FatalReason::Key => format!("its key is not valid at {name} ({self})"),
            FatalReason::Account => format!("it cannot be used at {name} ({self})"),
            FatalReason::Plan { .. } => format!("a window of its plan is used up ({self})"),
            FatalReason::Address => format!("{origin} cannot be reached ({self})"),
            FatalReason::NoProvider => {
                format!("{origin} does not answer as a provider of models does ({self})")
            }
            _ => format!("it cannot serve calls of {:?} ({self})", self.model),
        }
    }
}

fn cap(error: &BudgetError) -> String {
    let exceeded = match error {
        BudgetError::Exceeded(exceeded) => exceeded,
        BudgetError::NoRate {
            model,
            priced,
            budget,
            ..
        } => {
            return format!(
                "--max-cost is in {budget}, and the price of {model:?} in {priced}: give the cap in {priced}, or a rate of \
                 exchange (--rate {priced}=..{budget})."
            );
        }
        BudgetError::NoPrice { model, .. } => {
            return format!(
                "--max-cost: no price of {model:?} is known, so its cost cannot be held: use --max-tokens-total."
            );
        }
        other => return format!("{other}."),
    };
    let option = match exceeded.limit {
        Amount::Money(_) => "--max-cost",
        _ => "--max-tokens-total",
    };
    let amount = |amount: Amount| match amount {
        Amount::Money(sum) => words::money(&[sum]),
        other => other.to_string(),
    };
    let (limit, spent, needed) = (
        amount(exceeded.limit),
        amount(exceeded.spent),
        amount(exceeded.needed),
    );
    match exceeded.is_too_large() {
        true => format!(
            "A call may need {needed}, which is more than all of {option} ({limit}). Set a lower `max_tokens` in the \
             lines, or raise {option}."
        ),
        false => format!(
            "The cap of {limit} is reached: {spent} are used, and the next call may need {needed}. Run again with \
             another {option} to go on."
        ),
    }
}

fn key(target: &Target) -> String {
    let region = Region::of_host(host(&target.origin));
    match (target.key, region) {
        (KeyKind::None, _) => "No key was sent: set DASHSCOPE_API_KEY.".to_owned(),
        (KeyKind::Plan, _) => format!(
            "It is the key of a plan, which is valid at the plan's own address alone (--base-url {CODING_PLAN})."
        ),
        (KeyKind::Usual, _) if is_batch_host(host(&target.origin)) => {
            "The batch host takes keys of Beijing alone: leave out --batch-host for another one."
                .to_owned()
        }
        (KeyKind::Usual, Some(Region::Beijing)) => {
            format!(
                "A key is valid in one region: for an international key add --base-url {INTERNATIONAL}"
            )
        }
        (KeyKind::Usual, Some(_)) => format!(
            "A key is valid in one region: for a key of mainland China add --base-url {}",
            BaseUrl::DASHSCOPE
        ),
        (KeyKind::Usual, None) => "Set DASHSCOPE_API_KEY to a key of this provider.".to_owned(),
    }
}

fn path_of_base(target: &Target) -> String {
    match Region::of_host(host(&target.origin)) {
        Some(_) => format!(
            "Check --base-url: here it ends in /compatible-mode/v1 ({}/compatible-mode/v1).",
            target.origin
        ),
        None => "Check --base-url: most servers have their calls below /v1.".to_owned(),
    }
}

/// The host of an address, without scheme and port.
#[must_use]
pub fn host(origin: &str) -> &str {
    let host = authority(origin);
    match host.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => host,
    }
}

fn authority(origin: &str) -> &str {
    origin.rsplit_once("://").map_or(origin, |(_, host)| host)
}

fn httpdate(at: std::time::SystemTime) -> String {
    // The library has words for an instant where it says until when a plan is used up.
    let text = tower_qwen_tokens::PlanUsedUp::new(Some(at)).to_string();
    let until = text.rsplit_once(" until ");
    until.map_or_else(|| "it".to_owned(), |(_, date)| date.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice(reason: FatalReason, target: &Target) -> String {
        let mut fatal = Fatal::not_json(200).of("qwen-nope", "/v1/chat/completions");
        fatal.reason = reason;
        fatal.said = "401 invalid_api_key".to_owned();
        fatal.advice(target)
    }

    #[test]
    fn a_key_of_another_region_is_sent_to_its_address() {
        let beijing = "https://dashscope.aliyuncs.com";
        let international = "https://dashscope-intl.aliyuncs.com:443";
        for (origin, key, expected) in [
            (
                beijing,
                Some("sk-1"),
                "add --base-url https://dashscope-intl.aliyuncs.com/compatible-mode/v1",
            ),
            (
                international,
                Some("sk-1"),
                "add --base-url https://dashscope.aliyuncs.com/compatible-mode/v1",
            ),
            (beijing, None, "No key was sent: set DASHSCOPE_API_KEY."),
            (
                beijing,
                Some(" sk-sp-1"),
                "--base-url https://coding.dashscope.aliyuncs.com/v1",
            ),
            (
                "https://batch.dashscope.aliyuncs.com",
                Some("sk-1"),
                "The batch host takes keys of Beijing alone",
            ),
            (
                "http://localhost:8080",
                Some("sk-1"),
                "a key of this provider.",
            ),
        ] {
            let said = advice(FatalReason::Key, &Target::remote(origin, key));
            assert!(said.contains(expected), "{said}");
            assert!(said.starts_with("The key is not valid at "), "{said}");
        }
    }

    #[test]
    fn every_reason_says_what_to_do() {
        let target = Target::remote("https://h:8443", Some("sk-1"));
        for (reason, expected) in [
            (FatalReason::Account, "the provider's console"),
            (
                FatalReason::Plan { until: None },
                "Run again when it begins anew.",
            ),
            (
                FatalReason::Plan {
                    until: Some(std::time::SystemTime::UNIX_EPOCH),
                },
                "Run again after Thu, 01 Jan 1970 00:00:00 GMT.",
            ),
            (FatalReason::Address, "https://h:8443 cannot be reached: "),
            (FatalReason::NoProvider, "Check --base-url"),
            (
                FatalReason::Model,
                "There is no model \"qwen-nope\" for this key at h:8443",
            ),
            (
                FatalReason::Path,
                "There is nothing at /v1/chat/completions of h:8443",
            ),
            (FatalReason::Permission, "The key may not use \"qwen-nope\""),
            (
                FatalReason::FreeTier,
                "The free calls of \"qwen-nope\" are used up",
            ),
        ] {
            let said = advice(reason, &target);
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn the_key_of_a_plan_has_its_warning() {
        assert!(KeyKind::of(Some("sk-sp-abc")).warning().is_some());
        for key in [None, Some("sk-abc")] {
            assert_eq!(KeyKind::of(key).warning(), None);
        }
    }
}
