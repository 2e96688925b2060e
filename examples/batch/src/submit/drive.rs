//! Takes each job from step to step, until all are collected.

use std::{io, time::Duration};

use tokio::time::{Instant, sleep_until};

use super::{
    api::Api,
    api_error::ApiError,
    collect::Collector,
    folder::{Folder, Part},
    poll::Interval,
    progress::{progress, second},
    state::{Allowance, JobEnd, State, Step},
    wire::{Batch, RequestCounts},
};
use crate::{app::say, fatal::Fatal};

/// Takes jobs to their ends.
pub(super) struct Driver<'a> {
    pub(super) api: Api,
    pub(super) folder: &'a Folder,
    pub(super) state: State,
    pub(super) collector: Collector<'a>,
    pub(super) allowance: Allowance,
    /// No job is created any more, and those that are there are cancelled.
    pub(super) cancel: bool,
    interval: Interval,
    watches: Vec<Watch>,
    notices: Vec<String>,
}

/// What is known of a job in this process alone.
struct Watch {
    /// Not looked at before.
    not_before: Option<Instant>,
    /// The waits after refusals.
    hold: Interval,
    status: String,
    counts: RequestCounts,
    is_cancelled: bool,
    is_merged: bool,
    /// Its creation was looked for once, and not found.
    is_missed: bool,
}

/// Why the jobs are not taken further now. The same command goes on with them.
#[derive(Debug)]
pub(super) enum Halt {
    /// No call can succeed.
    Fatal(Fatal),
    /// The provider does not know a job, or does not give its results.
    Unknown(String),
    /// A file here cannot be read or written.
    Io(io::Error),
}

impl<'a> Driver<'a> {
    pub(super) fn new(
        api: Api,
        folder: &'a Folder,
        state: State,
        collector: Collector<'a>,
        poll: Duration,
    ) -> Self {
        let watch = || Watch {
            not_before: None,
            hold: Interval::new(poll),
            status: String::new(),
            counts: RequestCounts::default(),
            is_cancelled: false,
            is_merged: false,
            is_missed: false,
        };
        Self {
            watches: state.jobs.iter().map(|_| watch()).collect(),
            api,
            folder,
            state,
            collector,
            allowance: Allowance::default(),
            cancel: false,
            interval: Interval::new(poll),
            notices: Vec::new(),
        }
    }

    /// Returns when all jobs are collected. Dropping the future at any point loses nothing and leaves a state to go on from.
    pub(super) async fn run(&mut self) -> Result<(), Halt> {
        // Their failed lines were taken out of the output when it was opened.
        for index in 0..self.state.jobs.len() {
            if self.state.jobs[index].step == Step::Collected {
                self.merge(index).map_err(Halt::Io)?;
            }
        }
        if self.state.is_done() {
            return Ok(());
        }
        // A wrong key or address is found before a file of half a gigabyte is sent.
        let checked = self.api.check().await;
        checked.map_err(|error| match error.of_path("/v1/batches") {
            ApiError::Fatal(fatal) => Halt::Fatal(fatal),
            ApiError::Io(error) => Halt::Io(error),
            other => Halt::Unknown(format!("The provider does not list its jobs ({other}).")),
        })?;
        loop {
            let mut has_moved = false;
            for index in 0..self.state.jobs.len() {
                has_moved |= self.advance(index).await?;
            }
            if self.state.is_done() {
                return Ok(());
            }
            if has_moved {
                self.interval.reset();
            }
            let wait = self.interval.next();
            let counts = self.watches.iter().map(|watch| watch.counts);
            say(format_args!("{}", progress(&self.state.jobs, counts, wait)));
            sleep_until(Instant::now() + wait).await;
        }
    }

    /// Takes a job as far as it goes now. Returns whether something has changed.
    async fn advance(&mut self, index: usize) -> Result<bool, Halt> {
        let mut has_moved = false;
        loop {
            let now = Instant::now();
            if self.watches[index].not_before.is_some_and(|at| at > now) {
                return Ok(has_moved);
            }
            let watch = &self.watches[index];
            let before = (watch.status.clone(), watch.counts);
            match self.step(index).await {
                Ok(true) => has_moved = true,
                Ok(false) => {
                    let watch = &self.watches[index];
                    let is_same = (&before.0, before.1) == (&watch.status, watch.counts);
                    return Ok(has_moved || !is_same);
                }
                Err(error) => {
                    self.after(index, error)?;
                    return Ok(has_moved);
                }
            }
        }
    }

    /// What an error means for a job: it is tried again later, or it has ended, or nothing can go on.
    fn after(&mut self, index: usize, error: ApiError) -> Result<(), Halt> {
        let job = &mut self.state.jobs[index];
        let (wait, said) = match error {
            ApiError::Io(error) => return Err(Halt::Io(error)),
            // The network may come back; jobs go on without it.
            ApiError::Fatal(fatal) if fatal.reason.may_pass() => (None, fatal.said),
            ApiError::Fatal(fatal) => return Err(Halt::Fatal(fatal)),
            ApiError::Later(wait, said) => (wait, said),
            ApiError::Lost(said) => (None, said),
            ApiError::Refused(said) | ApiError::Missing(said) if job.step < Step::Created => {
                say(format_args!("The provider refuses {}: {said}", job.name));
                job.end_as("refused", Some(said));
                return self.save().map_err(Halt::Io);
            }
            ApiError::Refused(said) | ApiError::Missing(said) => {
                return Err(Halt::Unknown(format!(
                    "The provider does not give the job {} ({said}): it has another key, or is older than the provider \
                     keeps jobs (Model Studio: 30 days). Remove {} to submit its calls anew, at their price.",
                    job.batch.as_deref().unwrap_or(&job.name),
                    self.folder.path().display()
                )));
            }
        };
        let watch = &mut self.watches[index];
        let wait = wait.unwrap_or_else(|| watch.hold.next());
        watch.not_before = Some(Instant::now() + wait);
        let notice = format!("{}: {said}. It is tried again.", job.name);
        self.notice(notice);
        Ok(())
    }

    /// The next step of a job. Returns whether it was made, and another one may follow at once.
    async fn step(&mut self, index: usize) -> Result<bool, ApiError> {
        let job = self.state.jobs[index].clone();
        match (job.step, job.file, job.batch) {
            (Step::Collected, ..) => Ok(false),
            (Step::Ended, ..) => self.collect(index).await.map(|()| true),
            (Step::Created, _, Some(batch)) => self.watch(index, &batch).await,
            (Step::Creating, Some(file), _) => match self.api.find_batch(&file).await? {
                Some(batch) => self.created(index, batch),
                None if self.misses(index) => Ok(false),
                None => self.create(index, &file).await,
            },
            (Step::Uploaded, Some(file), _) => self.create(index, &file).await,
            (Step::Uploading, ..) => {
                let name = format!("{}.jsonl", job.name);
                match self.api.find_file(&name, job.bytes).await? {
                    Some(file) => self.uploaded(index, file),
                    None => self.upload(index).await,
                }
            }
            // Without an id the step before did not come to its end.
            _ => self.upload(index).await,
        }
    }

    async fn upload(&mut self, index: usize) -> Result<bool, ApiError> {
        if self.drop_if_cancelled(index)? {
            return Ok(true);
        }
        if !self.state.has_room(index, self.allowance) {
            return Ok(false);
        }
        self.go_to(index, Step::Uploading)?;
        let job = &self.state.jobs[index];
        let path = self.folder.part(&job.name, Part::Input);
        let name = format!("{}.jsonl", job.name);
        let file = self.api.upload(&path, &name).await;
        let file = file.map_err(|error| error.of_path("/v1/files"))?;
        self.uploaded(index, file.id)
    }

    fn uploaded(&mut self, index: usize, file: String) -> Result<bool, ApiError> {
        self.state.jobs[index].file = Some(file);
        self.go_to(index, Step::Uploaded).map(|()| true)
    }

    async fn create(&mut self, index: usize, file: &str) -> Result<bool, ApiError> {
        if self.drop_if_cancelled(index)? {
            return Ok(true);
        }
        if !self.state.has_room(index, self.allowance) {
            return Ok(false);
        }
        self.watches[index].is_missed = false;
        self.go_to(index, Step::Creating)?;
        let created = self.api.create(&self.state.jobs[index], file).await;
        if let Err(ApiError::Later(..)) = created {
            // It did nothing, so nothing has to be looked for.
            self.go_to(index, Step::Uploaded)?;
        }
        self.created(index, created?)
    }

    /// Whether a creation that was not found is looked for once more: it may still be on its way through the provider.
    fn misses(&mut self, index: usize) -> bool {
        let watch = &mut self.watches[index];
        let is_first = !std::mem::replace(&mut watch.is_missed, true);
        if is_first {
            watch.not_before = Some(Instant::now() + watch.hold.next());
        }
        is_first
    }

    fn created(&mut self, index: usize, batch: Batch) -> Result<bool, ApiError> {
        let job = &mut self.state.jobs[index];
        job.batch = Some(batch.id);
        job.created_at = batch.created_at.or(Some(second()));
        self.watches[index].not_before = None;
        self.go_to(index, Step::Created).map(|()| true)
    }

    /// Looks at a job that was created.
    async fn watch(&mut self, index: usize, id: &str) -> Result<bool, ApiError> {
        if self.cancel && !self.watches[index].is_cancelled {
            match self.api.cancel(id).await {
                // It has ended before.
                Ok(_) | Err(ApiError::Refused(_)) => self.watches[index].is_cancelled = true,
                Err(error) => return Err(error),
            }
        }
        let polled = self.api.poll(id).await?;
        let batch = polled.batch;
        let watch = &mut self.watches[index];
        watch.not_before = polled.wait.map(|wait| Instant::now() + wait);
        watch.counts = batch.request_counts.unwrap_or_default();
        watch.status.clone_from(&batch.status);
        if !self.cancel && batch.is_over_queue() {
            let wait = watch.hold.next();
            watch.not_before = Some(Instant::now() + wait);
            self.state.jobs[index].batch = None;
            self.go_to(index, Step::Uploaded)?;
            self.notice(
                "The provider takes no more tokens into its queue. The job is created again when there is room; a smaller \
                 --enqueued-tokens avoids this."
                    .to_owned(),
            );
            return Ok(false);
        }
        if !batch.is_end() {
            return Ok(false);
        }
        let message = batch.failure();
        if let Some(message) = &message {
            say(format_args!("The job {id} has failed: {message}"));
        }
        self.state.jobs[index].end = Some(JobEnd {
            status: batch.status,
            output_file: batch.output_file_id,
            error_file: batch.error_file_id,
            message,
        });
        self.go_to(index, Step::Ended).map(|()| true)
    }

    /// Takes the results of a job, and deletes its files at the provider.
    async fn collect(&mut self, index: usize) -> Result<(), ApiError> {
        let job = self.state.jobs[index].clone();
        let end = job.end.as_ref();
        let output = end.and_then(|end| end.output_file.as_deref());
        let errors = end.and_then(|end| end.error_file.as_deref());
        for (file, part) in [(output, Part::Output), (errors, Part::Errors)] {
            let path = self.folder.part(&job.name, part);
            if let Some(file) = file.filter(|_| !path.exists()) {
                self.api.download(file, &path).await?;
            }
        }
        if !self.watches[index].is_merged {
            self.merge(index).map_err(ApiError::Io)?;
        }
        // The answers are on the disk before they are deleted anywhere else.
        self.collector.sync().map_err(ApiError::Io)?;
        for file in [job.file.as_deref(), output, errors].into_iter().flatten() {
            match self.api.delete(file).await {
                Err(ApiError::Refused(said)) => {
                    self.notice(format!("The file {file} stays at the provider: {said}."));
                }
                deleted => deleted?,
            }
        }
        self.go_to(index, Step::Collected)
    }

    fn merge(&mut self, index: usize) -> io::Result<()> {
        self.collector.merge(self.folder, &self.state.jobs[index])?;
        self.watches[index].is_merged = true;
        Ok(())
    }

    /// Whether the job was dropped: it was not created, and is not to be.
    fn drop_if_cancelled(&mut self, index: usize) -> Result<bool, ApiError> {
        if self.cancel {
            self.state.jobs[index].end_as("not_created", None);
            self.save().map_err(ApiError::Io)?;
        }
        Ok(self.cancel)
    }

    fn go_to(&mut self, index: usize, step: Step) -> Result<(), ApiError> {
        self.state.jobs[index].step = step;
        self.save().map_err(ApiError::Io)
    }

    fn save(&self) -> io::Result<()> {
        self.folder.save(&self.state)
    }

    /// Says something once.
    fn notice(&mut self, text: String) {
        if !self.notices.contains(&text) {
            say(format_args!("{text}"));
            self.notices.push(text);
        }
    }
}
