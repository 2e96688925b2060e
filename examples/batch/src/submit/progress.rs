//! The line that is said after each look at the jobs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    state::{JobState, Step},
    wire::RequestCounts,
};
use crate::words;

/// How far the jobs are, by the counts that the provider gave last.
pub(super) fn progress(
    jobs: &[JobState],
    counts: impl Iterator<Item = RequestCounts>,
    wait: Duration,
) -> String {
    let is_over = |step: Step| step >= Step::Ended;
    let done = jobs.iter().filter(|job| is_over(job.step)).count();
    let (mut calls, mut calls_done) = (0, 0);
    for (job, counts) in jobs.iter().zip(counts) {
        calls += job.lines;
        calls_done += match is_over(job.step) {
            true => job.lines,
            false => counts.completed + counts.failed,
        };
    }
    let created = jobs.iter().filter(|job| job.step == Step::Created);
    let oldest = created.filter_map(|job| job.created_at).min();
    let age = oldest.map_or_else(String::new, |at| {
        let age = Duration::from_secs(second().saturating_sub(at));
        format!(", the oldest job is {} old", words::duration(age))
    });
    format!(
        "{done}/{} jobs done, {calls_done}/{calls} calls done{age}; next look in {}",
        jobs.len(),
        words::duration(wait)
    )
}

/// Now, in seconds since 1970.
pub(super) fn second() -> u64 {
    #[allow(clippy::disallowed_methods, reason = "for dates, not for waits")]
    let now = SystemTime::now();
    now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}
