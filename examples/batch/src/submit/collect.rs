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

#[cfg(test)]
mod tests {
    use std::{error::Error, fs};

    use super::*;
    use crate::{
        output,
        submit::state::{State, Step},
    };

    const CALLS: &str = "{\"custom_id\":\"a\"}\n{\"custom_id\":\"b\"}\n{\"custom_id\":\"c\"}\n{\"custom_id\":\"d\"}\n";
    const CARRIED: &str = r#"{"custom_id":"a","fields":[["z",1.50],["metadata",{"n":1}]]}"#;

    fn answer(id: &str, text: &str) -> String {
        format!(
            r#"{{"id":"i","custom_id":"{id}","response":{{"status_code":200,"request_id":"r","body":{{"choices":[{{"finish_reason":"stop","message":{{"content":"{text}"}}}}],"usage":{{"prompt_tokens":9,"completion_tokens":1}}}}}},"error":null}}"#
        ) + "\n"
    }

    fn job() -> JobState {
        JobState {
            name: "j".to_owned(),
            endpoint: "/v1/chat/completions".to_owned(),
            model: "qwen-plus".to_owned(),
            lines: 4,
            bytes: 0,
            tokens: 0,
            completion_window: "24h".to_owned(),
            step: Step::Ended,
            file: None,
            batch: None,
            created_at: None,
            end: None,
        }
    }

    #[test]
    fn each_call_has_its_first_result_however_often_it_is_merged() -> Result<(), Box<dyn Error>> {
        let place = tempfile::tempdir()?;
        let path = place.path().join("out.jsonl");
        let folder = Folder::beside(&path);
        folder.create()?;
        fs::write(folder.part("j", Part::Input), CALLS)?;
        fs::write(folder.part("j", Part::Carried), CARRIED)?;
        // Twice, foreign, and torn.
        let text = answer("a", "one")
            + &answer("a", "two")
            + &answer("x", "three")
            + "{\"custom_id\":\"c\"";
        fs::write(folder.part("j", Part::Output), text)?;
        let failed = r#"{"id":"i","custom_id":"b","response":null,"error":{"code":"batch_expired","message":"m"}}"#;
        fs::write(folder.part("j", Part::Errors), format!("{failed}\n"))?;
        for time in 1..=2 {
            let (mut writer, existing) = output::open(&path, &["p"])?;
            let prices = PriceBook::builtin();
            let counts = Counts::default();
            let mut collector = Collector::new(&mut writer, "p", existing.answered, counts, prices);
            collector.merge(&folder, &job())?;
            let results = collector.finish();
            assert_eq!(
                results.counts.succeeded,
                2 - time,
                "written the first time alone"
            );
            assert_eq!((results.counts.failed, results.counts.not_sent), (1, 2));
            assert_eq!(
                results.totals.input_tokens, 9,
                "booked each time: it was paid once"
            );
            drop(writer);
            let text = fs::read_to_string(&path)?;
            let lines: Vec<&str> = text.lines().collect();
            assert_eq!(lines.len(), 2, "{text}");
            assert!(
                lines[0].contains("\"one\"")
                    && lines[0].ends_with(r#""z":1.50,"metadata":{"n":1}}"#),
                "{text}"
            );
            assert!(
                lines[1].contains(r#""custom_id":"b","provider":"p","response":null"#),
                "{text}"
            );
        }
        Ok(())
    }

    #[test]
    fn a_state_is_read_as_it_was_written() -> Result<(), Box<dyn Error>> {
        let place = tempfile::tempdir()?;
        let folder = Folder::beside(&place.path().join("out.jsonl"));
        assert_eq!(folder.load()?, None);
        folder.create()?;
        let mut state = State::new("p");
        let mut ended = job();
        ended.end_as("refused", Some("why".to_owned()));
        state.jobs.push(ended);
        folder.save(&state)?;
        assert_eq!(folder.load()?.as_ref(), Some(&state));
        fs::write(folder.path().join("jobs.json"), "{")?;
        assert!(folder.load().is_err(), "it is not taken for none");
        folder.remove()?;
        assert_eq!(folder.load()?, None);
        Ok(())
    }
}
