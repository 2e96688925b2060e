//! The head of the report: what the run was, and what it came to.

use std::time::{Duration, SystemTime};

use maud::{Markup, html};

use crate::{summary::Summary, words};

use super::text::{count, message, percent, shown};

/// The title of the page and of its first heading.
pub(super) fn title(summary: &Summary) -> String {
    let calls = &summary.calls;
    let all = calls.succeeded + calls.failed;
    format!(
        "{} of {} calls answered",
        count(calls.succeeded),
        count(all)
    )
}

/// The head.
pub(super) fn head(summary: &Summary, models: &[String], began: SystemTime) -> Markup {
    let calls = &summary.calls;
    let duration = Duration::try_from_secs_f64(summary.duration_seconds).unwrap_or_default();
    let began = httpdate::fmt_http_date(began);
    html! {
        header {
            h1 { (title(summary)) }
            p { (ending(summary)) }
            @for advice in &summary.advice { p.advice { bdi { (message(advice)) } } }
            dl.facts {
                (fact("provider", true, html! { bdi { (shown(&summary.provider)) } }))
                (fact("models", true, html! {
                    @for (number, model) in models.iter().enumerate() {
                        @if number > 0 { ", " }
                        bdi { (model) }
                    }
                    @if models.is_empty() { "none" }
                }))
                (fact("started", true, html! { (began) }))
                (fact("duration", false, html! { (words::duration(duration)) }))
                (fact("cost", true, html! { (words::money(&summary.cost)) }))
                (fact("prompt tokens", false, number(summary.tokens.prompt)))
                (fact("output tokens", false, number(summary.tokens.output)))
                (fact("answered", false, number(calls.succeeded)))
                @if calls.failed > 0 {
                    (fact("failed", false, html! { a.bad href="#failures" { (count(calls.failed)) } }))
                } @else {
                    (fact("failed", false, number(0)))
                }
                @for (name, amount) in [
                    ("answered before", calls.answered_before),
                    ("bad lines", calls.bad_lines),
                    ("not sent", calls.not_sent),
                ] {
                    @if amount > 0 { (fact(name, false, number(amount))) }
                }
                (fact("attempts", false, number(summary.attempts)))
                (fact("throttles", false, number(summary.throttles.total)))
                @for (name, quota, share) in [
                    ("quota of requests used", summary.quota.requests, summary.quota.requests_share),
                    ("quota of tokens used", summary.quota.tokens, summary.quota.tokens_share),
                ] {
                    @if quota < u64::MAX { (fact(name, false, html! { (percent(share)) })) }
                }
            }
        }
    }
}

/// How the run ended.
fn ending(summary: &Summary) -> String {
    match summary.ended {
        _ if summary.stopped => {
            "The run was stopped; the same command goes on where it was.".to_owned()
        }
        Some(reason) => format!("The run ended before its input: {reason}."),
        None => "The run came to the end of its input.".to_owned(),
    }
}

fn fact(name: &str, is_wide: bool, value: Markup) -> Markup {
    html! {
        div.wide[is_wide] { dt { (name) } dd { (value) } }
    }
}

fn number(amount: u64) -> Markup {
    html! { (count(amount)) }
}
