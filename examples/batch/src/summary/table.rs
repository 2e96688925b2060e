//! The summary as a table for people.

use std::{collections::BTreeMap, fmt, time::Duration};

use crate::{measure::Percentiles, table::Table, words};

use super::{Latencies, Learned, QuotaUse, Summary};

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = &self.calls;
        let mut table = Table::default();
        table.row("provider", &self.provider);
        table.row("calls answered", calls.succeeded);
        table.row("calls failed", with_parts(calls.failed, &calls.failed_by));
        table.row_unless_zero("answered before", calls.answered_before);
        table.row_unless_zero("bad lines", calls.bad_lines);
        table.row_unless_zero("not sent", calls.not_sent);
        table.row("attempts", self.attempts);
        table.row(
            "throttles",
            with_parts(self.throttles.total, &self.throttles.by_cause),
        );
        table.row("prompt tokens", self.tokens.prompt);
        table.row("output tokens", self.tokens.output);
        table.row("cached tokens", self.tokens.cached);
        table.row_unless_zero("reasoning tokens", self.tokens.reasoning);
        table.row("cost", words::money(&self.cost));
        table.row_unless_zero("attempts without a price", self.unpriced);
        for account in &self.accounts {
            table.row(format!("account {}", account.name), account);
        }
        let duration = Duration::try_from_secs_f64(self.duration_seconds).unwrap_or_default();
        table.row("duration", words::duration(duration));
        let Latencies {
            wait_seconds,
            first_token_seconds,
            total_seconds,
        } = self.latencies;
        for (name, times) in [
            ("wait", wait_seconds),
            ("first token", first_token_seconds),
            ("whole call", total_seconds),
        ] {
            if let Some(times) = times {
                table.row(format!("{name}: p50, p95, p99"), percentiles(times));
            }
        }
        let QuotaUse { window_seconds, .. } = self.quota;
        for (name, amount, share) in [
            (
                "quota of requests used",
                self.quota.requests,
                self.quota.requests_share,
            ),
            (
                "quota of tokens used",
                self.quota.tokens,
                self.quota.tokens_share,
            ),
        ] {
            match amount {
                u64::MAX => table.row(name, "there is no limit"),
                _ => table.row(
                    name,
                    format!("{:.1} % of {amount} per {window_seconds} s", share * 100.0),
                ),
            }
        }
        for Learned {
            model,
            account,
            requests,
            tokens,
        } in &self.learned
        {
            table.row(
                "quota learned",
                match account.as_str() {
                    "" => format!("{model}: {requests} requests, {tokens} tokens"),
                    name => format!("{model} at {name}: {requests} requests, {tokens} tokens"),
                },
            );
        }
        if let Some(view) = &self.provider_view {
            table.row(
                "seen by the provider",
                format!("{} requests, {} throttled", view.seen, view.throttled),
            );
        }
        match self.ended {
            _ if self.stopped => table.row("stopped", "run again to go on"),
            Some(reason) => table.row("ended early", reason),
            None => {}
        }
        fmt::Display::fmt(&table, f)?;
        if !self.failures.is_empty() {
            f.write_str("\nMost frequent failures:")?;
        }
        self.failures
            .iter()
            .try_for_each(|kind| write!(f, "\n- {kind}"))
    }
}

fn percentiles(times: Percentiles) -> String {
    let Percentiles { p50, p95, p99, .. } = times;
    let text = |seconds| words::duration(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    [p50, p95, p99].map(text).join(", ")
}

fn with_parts<K: fmt::Display>(total: u64, parts: &BTreeMap<K, u64>) -> String {
    if parts.is_empty() {
        return total.to_string();
    }
    let parts: Vec<_> = parts
        .iter()
        .map(|(part, count)| format!("{part} {count}"))
        .collect();
    format!("{total} ({})", parts.join(", "))
}
