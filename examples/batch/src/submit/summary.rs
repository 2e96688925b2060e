//! What the jobs came to.

use std::fmt;

use serde::Serialize;
use tower_qwen_tokens::Money;

use super::{collect::Results, state::JobState};
use crate::{
    failures::FailureKind,
    summary::{Calls, Tokens},
    table::Table,
    words,
};

/// Kinds of failure that are shown.
const TOP_FAILURES: usize = 3;

/// What the jobs came to. Its JSON and its table say the same.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct JobSummary {
    /// Whom they went to.
    pub(super) provider: String,
    /// Whether the program was stopped before they ended.
    pub(super) stopped: bool,
    /// Why it ended before them, if it did by itself: `key`, `address`, `jobs`, ...
    pub(super) ended: Option<&'static str>,
    /// What to do about that.
    pub(super) advice: Vec<String>,
    /// What became of the calls. `not_sent` are those of jobs that have ended without an answer to them.
    pub(super) calls: Calls,
    /// The most frequent failures.
    pub(super) failures: Vec<FailureKind>,
    /// The jobs.
    pub(super) jobs: Vec<JobLine>,
    /// Tokens of all answers.
    pub(super) tokens: Tokens,
    /// What they cost as jobs, by the built-in prices.
    pub(super) cost: Vec<Money>,
    /// What live calls would have cost.
    pub(super) live_cost: Vec<Money>,
    /// Answers for which no price is known; they are missing from both.
    pub(super) unpriced: u64,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct JobLine {
    /// The provider's id; `None` where it was not created.
    batch: Option<String>,
    model: String,
    lines: u64,
    /// The provider's status, or how far it is here.
    status: String,
    /// What the provider says where it failed.
    message: Option<String>,
}

impl JobSummary {
    pub(super) fn new(provider: String, results: Results, jobs: &[JobState]) -> Self {
        let Results {
            counts,
            totals,
            live,
        } = results;
        Self {
            provider,
            stopped: counts.stopped,
            ended: None,
            advice: Vec::new(),
            failures: counts.failures.top(TOP_FAILURES),
            calls: Calls {
                succeeded: counts.succeeded,
                failed: counts.failed,
                failed_by: counts.failed_by,
                answered_before: counts.answered_before,
                bad_lines: counts.bad_lines,
                not_sent: counts.not_sent,
            },
            jobs: jobs.iter().map(JobLine::new).collect(),
            tokens: Tokens {
                prompt: totals.input_tokens,
                output: totals.output_tokens,
                cached: totals.cached_tokens,
                reasoning: totals.reasoning_tokens,
            },
            cost: totals.cost,
            live_cost: live.cost,
            unpriced: totals.unpriced_calls,
        }
    }

    /// Whether some call of the input has no answer, other than by a stop.
    pub(super) fn has_failures(&self) -> bool {
        self.calls.failed > 0 || self.calls.bad_lines > 0 || self.calls.not_sent > 0
    }
}

impl JobLine {
    fn new(job: &JobState) -> Self {
        let step = || match serde_json::to_value(job.step) {
            Ok(serde_json::Value::String(step)) => step,
            _ => String::new(),
        };
        let end = job.end.as_ref();
        Self {
            batch: job.batch.clone(),
            model: job.model.clone(),
            lines: job.lines,
            status: end.map_or_else(step, |end| end.status.clone()),
            message: end.and_then(|end| end.message.clone()),
        }
    }
}

impl fmt::Display for JobSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let calls = &self.calls;
        let mut table = Table::default();
        table.row("provider", &self.provider);
        let mut statuses: Vec<(&str, usize)> = Vec::new();
        for job in &self.jobs {
            match statuses
                .iter_mut()
                .find(|(status, _)| *status == job.status)
            {
                Some((_, count)) => *count += 1,
                None => statuses.push((&job.status, 1)),
            }
        }
        for (status, count) in statuses {
            table.row(format!("jobs {}", status.replace('_', " ")), count);
        }
        table.row("calls answered", calls.succeeded);
        table.row("calls failed", calls.failed);
        table.row_unless_zero("answered before", calls.answered_before);
        table.row_unless_zero("bad lines", calls.bad_lines);
        table.row_unless_zero("without an answer", calls.not_sent);
        table.row("prompt tokens", self.tokens.prompt);
        table.row("output tokens", self.tokens.output);
        table.row_unless_zero("reasoning tokens", self.tokens.reasoning);
        table.row("cost", words::money(&self.cost));
        table.row("as live calls", words::money(&self.live_cost));
        table.row_unless_zero("answers without a price", self.unpriced);
        match self.ended {
            _ if self.stopped => table.row("stopped", "run again to go on"),
            Some(reason) => table.row("ended early", reason),
            None => {}
        }
        fmt::Display::fmt(&table, f)?;
        if !self.failures.is_empty() {
            f.write_str("\nMost frequent failures:")?;
        }
        let mut failures = self.failures.iter();
        failures.try_for_each(|kind| write!(f, "\n- {kind}"))
    }
}
