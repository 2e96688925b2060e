//! Puts the results of jobs into the output, and sums them up.

use std::{
    fs::File,
    io::{self, BufRead, BufReader},
};

use tower_qwen_tokens::{
    Ledger, PriceBook, Usage,
    ledger::{Basis, End, Entry, Totals},
};

use super::{
    folder::{Folder, Part},
    merge::read,
    state::JobState,
};
use crate::{
    counts::Counts,
    ids::Ids,
    output::{Record, Writer},
};

/// Takes results.
pub(super) struct Collector<'a> {
    writer: &'a mut Writer,
    provider: String,
    /// Ids that the output answers.
    answered: Ids,
    counts: Counts,
    /// At the price of jobs, and at that of live calls.
    batch: Ledger,
    live: Ledger,
}

/// What all results come to.
#[derive(Debug)]
pub(super) struct Results {
    pub(super) counts: Counts,
    pub(super) totals: Totals,
    /// What live calls would have cost.
    pub(super) live: Totals,
}

impl<'a> Collector<'a> {
    pub(super) fn new(
        writer: &'a mut Writer,
        provider: &str,
        answered: Ids,
        counts: Counts,
        prices: PriceBook,
    ) -> Self {
        Self {
            writer,
            provider: provider.to_owned(),
            answered,
            counts,
            batch: Ledger::new(prices.clone()),
            live: Ledger::new(prices),
        }
    }

    /// Writes a line for each result of a job that has none in the output. May be called again in another process, whatever the
    /// one before has written.
    pub(super) fn merge(&mut self, folder: &Folder, job: &JobState) -> io::Result<()> {
        let mut ids = Ids::default();
        folder.ids(&job.name, &mut ids)?;
        let mut carried = folder.carried(&job.name)?;
        let mut seen = Ids::default();
        for part in [Part::Output, Part::Errors] {
            let mut file = match File::open(folder.part(&job.name, part)) {
                Ok(file) => BufReader::new(file),
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let mut line = Vec::new();
            while file.read_until(b'\n', &mut line)? > 0 {
                let merged = read(&line, &job.endpoint);
                line.clear();
                // A line that cannot be read, of no call of the job, or of one that had its line: the call stays without an
                // answer, and is submitted again by the next run.
                let Ok(merged) = merged else { continue };
                let id = merged.custom_id;
                if !ids.contains(&id) || seen.insert(&id, 0).is_some() {
                    continue;
                }
                if let Some(usage) = merged.usage {
                    self.book(&job.model, usage);
                }
                if self.answered.contains(&id) {
                    continue;
                }
                let carried = carried.remove(&id).unwrap_or_default();
                let record = Record::new(id, merged.outcome.response, merged.outcome.error)
                    .by(&self.provider)
                    .carrying(carried);
                self.writer.write(&record)?;
                self.counts.note(&record);
                if record.is_success() {
                    self.answered.insert(&record.custom_id, 0);
                }
            }
        }
        self.counts.not_sent += job.lines.saturating_sub(seen.len() as u64);
        Ok(())
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.writer.sync()
    }

    pub(super) fn finish(self) -> Results {
        Results {
            counts: self.counts,
            totals: self.batch.snapshot().total,
            live: self.live.snapshot().total,
        }
    }

    fn book(&self, model: &str, usage: Usage) {
        let mut entry = Entry::new(model, usage, Basis::Reported, End::Complete);
        self.live.record(&entry);
        entry.batch = true;
        self.batch.record(&entry);
    }
}
