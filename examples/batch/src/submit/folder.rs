//! The folder of the jobs, beside the output.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::state::State;
use crate::{carried::Carried, ids::Ids};

/// `OUTPUT.jobs`: what is submitted, and how far it is.
///
/// Names of files end in `.lines`, so that no pattern such as `**/*.jsonl` takes them for an input.
#[derive(Debug, Clone)]
pub(super) struct Folder {
    path: PathBuf,
}

/// A file of a job.
#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    /// What is uploaded.
    Input,
    /// What its calls brought along.
    Carried,
    /// The provider's file of answers.
    Output,
    /// The provider's file of errors.
    Errors,
}

/// What one call brought along. A list of pairs, since their order counts.
#[derive(Serialize, Deserialize)]
pub(super) struct CarriedLine {
    custom_id: String,
    fields: Vec<(String, Box<RawValue>)>,
}

impl Folder {
    pub(super) fn beside(output: &Path) -> Self {
        let mut path = output.as_os_str().to_owned();
        path.push(".jobs");
        Self { path: path.into() }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn part(&self, job: &str, part: Part) -> PathBuf {
        let end = match part {
            Part::Input => "input.lines",
            Part::Carried => "carried.lines",
            Part::Output => "output.lines",
            Part::Errors => "errors.lines",
        };
        self.path.join(format!("{job}.{end}"))
    }

    pub(super) fn create(&self) -> io::Result<()> {
        fs::create_dir_all(&self.path)
    }

    /// Removes it with all that is in it.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// The jobs that were submitted before; `None` where there are none.
    pub(super) fn load(&self) -> io::Result<Option<State>> {
        match fs::read(self.path.join("jobs.json")) {
            Ok(text) => serde_json::from_slice(&text)
                .map(Some)
                .map_err(io::Error::from),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Writes the state whole or not at all, whenever the process is killed.
    pub(super) fn save(&self, state: &State) -> io::Result<()> {
        let fresh = self.path.join("jobs.json.new");
        let file = File::create(&fresh)?;
        serde_json::to_writer_pretty(&file, state)?;
        file.sync_all()?;
        fs::rename(&fresh, self.path.join("jobs.json"))?;
        // The rename itself is on the disk only with the folder. Not every system can do that.
        File::open(&self.path)
            .and_then(|folder| folder.sync_all())
            .ok();
        Ok(())
    }

    /// The ids of the calls of all jobs.
    pub(super) fn all_ids(&self, state: &State) -> io::Result<Ids> {
        let mut ids = Ids::default();
        for job in &state.jobs {
            self.ids(&job.name, &mut ids)?;
        }
        Ok(ids)
    }

    /// The ids of a job's calls.
    pub(super) fn ids(&self, job: &str, ids: &mut Ids) -> io::Result<()> {
        #[derive(Deserialize)]
        struct Line {
            custom_id: String,
        }
        let mut file = BufReader::new(File::open(self.part(job, Part::Input))?);
        let mut line = Vec::new();
        while file.read_until(b'\n', &mut line)? > 0 {
            let Line { custom_id } = serde_json::from_slice(&line)?;
            ids.insert(&custom_id, 0);
            line.clear();
        }
        Ok(())
    }

    /// What the calls of a job brought along, by id.
    pub(super) fn carried(
        &self,
        job: &str,
    ) -> io::Result<std::collections::HashMap<String, Carried>> {
        let file = match File::open(self.part(job, Part::Carried)) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok([].into()),
            Err(error) => return Err(error),
        };
        let read = |line: io::Result<String>| {
            let line: CarriedLine = serde_json::from_str(&line?)?;
            let mut carried = Carried::default();
            for (name, value) in line.fields {
                carried.push(&name, value);
            }
            Ok((line.custom_id, carried))
        };
        file.lines().map(read).collect()
    }
}

impl CarriedLine {
    pub(super) fn new(custom_id: &str, carried: Carried) -> Self {
        Self {
            custom_id: custom_id.to_owned(),
            fields: carried.into_fields(),
        }
    }
}
