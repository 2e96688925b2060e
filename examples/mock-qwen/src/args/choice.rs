//! The choices by name.

use clap::ValueEnum;
use mock_qwen::{Charge, Enforce, PlanWindow, QuotaList, RateLimitHeaders, RetryAfter};

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum EnforceArg {
    Sliding,
    Fixed,
    Bucket,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum ChargeArg {
    Start,
    End,
    Estimate,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RetryAfterArg {
    None,
    Secs,
    Ms,
    Date,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum RateLimitHeadersArg {
    None,
    Openai,
    Groq,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum QuotaListArg {
    Open,
    Forbidden,
    Missing,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum PlanWindowArg {
    #[value(name = "5h")]
    FiveHours,
    Day,
    Week,
    Month,
}

impl From<PlanWindowArg> for PlanWindow {
    fn from(arg: PlanWindowArg) -> Self {
        match arg {
            PlanWindowArg::FiveHours => Self::FiveHours,
            PlanWindowArg::Day => Self::Day,
            PlanWindowArg::Week => Self::Week,
            PlanWindowArg::Month => Self::Month,
        }
    }
}

impl From<QuotaListArg> for QuotaList {
    fn from(arg: QuotaListArg) -> Self {
        match arg {
            QuotaListArg::Open => Self::Open,
            QuotaListArg::Forbidden => Self::Forbidden,
            QuotaListArg::Missing => Self::Missing,
        }
    }
}

impl From<EnforceArg> for Enforce {
    fn from(arg: EnforceArg) -> Self {
        match arg {
            EnforceArg::Sliding => Self::Sliding,
            EnforceArg::Fixed => Self::Fixed,
            EnforceArg::Bucket => Self::Bucket,
        }
    }
}

impl From<ChargeArg> for Charge {
    fn from(arg: ChargeArg) -> Self {
        match arg {
            ChargeArg::Start => Self::Start,
            ChargeArg::End => Self::End,
            ChargeArg::Estimate => Self::Estimate,
        }
    }
}

impl From<RetryAfterArg> for RetryAfter {
    fn from(arg: RetryAfterArg) -> Self {
        match arg {
            RetryAfterArg::None => Self::None,
            RetryAfterArg::Secs => Self::Seconds,
            RetryAfterArg::Ms => Self::Milliseconds,
            RetryAfterArg::Date => Self::Date,
        }
    }
}

impl From<RateLimitHeadersArg> for RateLimitHeaders {
    fn from(arg: RateLimitHeadersArg) -> Self {
        match arg {
            RateLimitHeadersArg::None => Self::None,
            RateLimitHeadersArg::Openai => Self::OpenAi,
            RateLimitHeadersArg::Groq => Self::Groq,
        }
    }
}
