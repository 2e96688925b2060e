//! What would be submitted: `--dry-run --submit`.

use std::fmt;

use serde::Serialize;
use tower_qwen_tokens::Money;

use super::plan::Plan;
use crate::{dry_run::ASSUMED_OUTPUT, table::Table, words};

/// What would be submitted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct JobForecast {
    /// The jobs.
    jobs: Vec<PlannedJob>,
    /// Calls in them.
    calls: u64,
    /// Calls that are answered already.
    answered_before: u64,
    /// Calls of jobs that are submitted already.
    submitted_before: u64,
    /// Lines that are no calls.
    bad_lines: u64,
    /// Calls that no job can have.
    refused: u64,
    /// Estimated tokens of the prompts.
    prompt_tokens: u64,
    /// Tokens of the answers at most.
    output_tokens: u64,
    /// Calls without a ceiling, whose answers are assumed.
    without_ceiling: u64,
    /// What the jobs cost at most.
    cost: Vec<Money>,
    /// What live calls would cost at most.
    live_cost: Vec<Money>,
    /// Calls for which no price is known.
    unpriced: u64,
}

/// A job that would be submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct PlannedJob {
    endpoint: String,
    model: String,
    lines: u64,
    bytes: u64,
    prompt_tokens: u64,
}

/// Jobs that the table shows. The JSON has all.
const SHOWN: usize = 20;

impl JobForecast {
    pub(super) fn new(plan: Plan) -> Self {
        let jobs = plan.jobs.into_iter().map(|job| PlannedJob {
            endpoint: job.group.endpoint,
            model: job.group.model,
            lines: job.lines,
            bytes: job.bytes,
            prompt_tokens: job.tokens,
        });
        Self {
            jobs: jobs.collect(),
            calls: plan.total.calls,
            answered_before: plan.answered_before,
            submitted_before: plan.submitted_before,
            bad_lines: plan.bad_lines,
            refused: plan.refused,
            prompt_tokens: plan.total.prompt_tokens,
            output_tokens: plan.total.output_tokens,
            without_ceiling: plan.total.without_ceiling,
            cost: plan.total.cost,
            live_cost: plan.live.cost,
            unpriced: plan.total.unpriced,
        }
    }

    /// Whether some line would have no answer.
    pub(super) fn has_failures(&self) -> bool {
        self.bad_lines + self.refused > 0
    }
}

impl fmt::Display for JobForecast {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = Table::default();
        table.row("jobs", self.jobs.len());
        for (index, job) in self.jobs.iter().take(SHOWN).enumerate() {
            table.row(
                format!("job {}", index + 1),
                format!(
                    "{}: {} calls, {} bytes, {} prompt tokens",
                    job.model, job.lines, job.bytes, job.prompt_tokens
                ),
            );
        }
        let more = self.jobs.len().saturating_sub(SHOWN);
        table.row_unless_zero("jobs that are not shown", more as u64);
        table.row("calls to submit", self.calls);
        table.row_unless_zero("answered before", self.answered_before);
        table.row_unless_zero("submitted before", self.submitted_before);
        table.row_unless_zero("bad lines", self.bad_lines);
        table.row_unless_zero("calls that no job can have", self.refused);
        table.row("prompt tokens, estimated", self.prompt_tokens);
        table.row("output tokens, at most", self.output_tokens);
        if self.without_ceiling > 0 {
            table.row(
                format!("of these assumed, {ASSUMED_OUTPUT} a call"),
                format!("{} calls", self.without_ceiling),
            );
        }
        table.row("cost, at most", words::money(&self.cost));
        table.row("as live calls", words::money(&self.live_cost));
        table.row_unless_zero("calls without a price", self.unpriced);
        fmt::Display::fmt(&table, f)
    }
}
