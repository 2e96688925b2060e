//! How far the jobs are, as the file `jobs.json` says. It has neither a key nor a prompt.

use serde::{Deserialize, Serialize};

/// All jobs of an output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// Whom they were submitted to.
    pub(super) provider: String,
    /// Begins the names of the jobs, so that no two runs have a name in common.
    pub(super) run: String,
    /// The jobs, in the order of their first lines.
    pub(super) jobs: Vec<JobState>,
}

/// One job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobState {
    /// Its name, here and at the provider: of the uploaded file, and as `ds_name` in the metadata of the job.
    pub(super) name: String,
    pub(super) endpoint: String,
    pub(super) model: String,
    pub(super) lines: u64,
    pub(super) bytes: u64,
    /// Estimated tokens of the prompts.
    pub(super) tokens: u64,
    pub(super) completion_window: String,
    pub(super) step: Step,
    /// The id of the uploaded file.
    pub(super) file: Option<String>,
    /// The id of the job.
    pub(super) batch: Option<String>,
    /// When it was created. Unit: seconds since 1970.
    pub(super) created_at: Option<u64>,
    /// How it ended.
    pub(super) end: Option<JobEnd>,
}

/// How far a job is. Each step that changes something at the provider has two states, before and after: a process that is
/// killed between them looks at the provider first when it goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Step {
    /// Its file is written here.
    Planned,
    /// The file may be at the provider.
    Uploading,
    /// The file is at the provider.
    Uploaded,
    /// The job may be at the provider.
    Creating,
    /// The job is at the provider.
    Created,
    /// The job has ended there.
    Ended,
    /// Its results are in the output, and its files are deleted at the provider.
    Collected,
}

/// How a job ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct JobEnd {
    /// The provider's status, or `refused` or `not_created`.
    pub(super) status: String,
    pub(super) output_file: Option<String>,
    pub(super) error_file: Option<String>,
    /// What the provider says where it failed.
    pub(super) message: Option<String>,
}

/// What the jobs under way may have together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Allowance {
    /// Jobs.
    pub(super) jobs: usize,
    /// Prompt tokens of the jobs of one model; `None` without a limit.
    pub(super) tokens: Option<u64>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self {
            jobs: usize::MAX,
            tokens: None,
        }
    }
}

impl State {
    pub(super) fn new(provider: &str) -> Self {
        Self {
            provider: provider.to_owned(),
            run: format!("{:012x}", fastrand::u64(..1 << 48)),
            jobs: Vec::new(),
        }
    }

    /// The name of the job with this number, from 0.
    pub(super) fn name(&self, number: usize) -> String {
        format!("tower-qwen-{}-{:04}", self.run, number + 1)
    }

    /// Whether this job may be under way beside those that are. One that is larger than the allowance goes alone.
    pub(super) fn has_room(&self, index: usize, allowance: Allowance) -> bool {
        let job = &self.jobs[index];
        let (mut count, mut of_model, mut tokens) = (0, 0, job.tokens);
        for (number, other) in self.jobs.iter().enumerate() {
            if number == index || !other.is_enqueued() {
                continue;
            }
            count += 1;
            if other.model == job.model {
                of_model += 1;
                tokens = tokens.saturating_add(other.tokens);
            }
        }
        count < allowance.jobs
            && (of_model == 0 || allowance.tokens.is_none_or(|most| tokens <= most))
    }

    /// Whether nothing of it can be at the provider.
    pub(super) fn is_unsent(&self) -> bool {
        self.jobs.iter().all(|job| job.step == Step::Planned)
    }

    pub(super) fn is_done(&self) -> bool {
        self.jobs.iter().all(|job| job.step == Step::Collected)
    }
}

impl JobState {
    /// Whether it takes a place in the provider's queue.
    pub(super) fn is_enqueued(&self) -> bool {
        matches!(self.step, Step::Creating | Step::Created)
    }

    /// It ends without results.
    pub(super) fn end_as(&mut self, status: &str, message: Option<String>) {
        self.step = Step::Ended;
        self.end = Some(JobEnd {
            status: status.to_owned(),
            output_file: None,
            error_file: None,
            message,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(model: &str, tokens: u64, step: Step) -> JobState {
        JobState {
            name: String::new(),
            endpoint: String::new(),
            model: model.to_owned(),
            lines: 1,
            bytes: 1,
            tokens,
            completion_window: String::new(),
            step,
            file: None,
            batch: None,
            created_at: None,
            end: None,
        }
    }

    #[test]
    fn a_job_begins_where_the_jobs_under_way_leave_room() {
        use Step::{Created, Creating, Ended, Uploaded};
        for (others, jobs, tokens, expected) in [
            (vec![], 1, Some(1), true),
            (vec![("m", 1, Ended), ("m", 1, Uploaded)], 1, Some(1), true),
            (vec![("m", 40, Created)], 1, None, false),
            (vec![("m", 40, Creating)], 2, Some(100), true),
            (vec![("m", 41, Created)], 2, Some(100), false),
            (vec![("other", 99, Created)], 2, Some(100), true),
            (vec![("m", 99, Created)], 2, None, true),
        ] {
            let mut state = State::new("p");
            state.jobs.push(job("m", 60, Uploaded));
            let others = others.into_iter();
            state
                .jobs
                .extend(others.map(|(model, tokens, step)| job(model, tokens, step)));
            let allowance = Allowance { jobs, tokens };
            assert_eq!(state.has_room(0, allowance), expected, "{state:?}");
        }
    }
}
