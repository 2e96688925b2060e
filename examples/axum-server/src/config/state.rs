//! What the admin API has changed: callers and groups, in a file of their own. The operator's file is never written.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::entries::{CallerEntry, GroupEntry};

/// Callers and groups beside those of the file. Written with the hashes of keys, never with keys.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct State {
    version: Version,
    /// The callers.
    #[serde(default)]
    pub callers: Vec<CallerEntry>,
    /// The groups.
    #[serde(default)]
    pub groups: Vec<GroupEntry>,
}

/// The format of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u64", try_from = "u64")]
struct Version;

impl State {
    /// Reads it; empty where there is no file yet.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or is none that this program writes.
    pub fn load(path: &Path) -> io::Result<Self> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            Err(error) => return Err(error),
        };
        let mut state: Self = serde_json::from_slice(&text)?;
        let callers = state.callers.iter_mut();
        let mut faults = callers.flat_map(CallerEntry::settle);
        let groups = state.groups.iter_mut();
        match faults
            .next()
            .or_else(|| groups.flat_map(GroupEntry::settle).next())
        {
            Some(fault) => Err(io::Error::other(format!(
                "`{}`: {}",
                fault.key, fault.message
            ))),
            None => Ok(state),
        }
    }

    /// Writes it, whole or not at all, and forces it to the disk. Nobody but the owner may read it.
    ///
    /// # Errors
    ///
    /// When the disk fails; the file is then as it was.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(self)?;
        text.push(b'\n');
        // Beside it, since a file is renamed within one file system.
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let new = path.with_file_name(name);
        let saved = write(&new, &text).and_then(|()| fs::rename(&new, path));
        if saved.is_err() {
            // It may not be there.
            let _ = fs::remove_file(&new);
            return saved;
        }
        // The name is on the disk only with its folder.
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        match File::open(folder.unwrap_or(Path::new("."))) {
            Ok(folder) => folder.sync_all(),
            Err(error) => Err(error),
        }
    }
}

fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

impl From<Version> for u64 {
    fn from(_: Version) -> Self {
        1
    }
}

impl TryFrom<u64> for Version {
    type Error = String;

    fn try_from(version: u64) -> Result<Self, String> {
        match version {
            1 => Ok(Self),
            other => Err(format!("version {other} of the state file is not known")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_with_hashes_alone_and_read_again() -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("state.json");
        assert_eq!(State::load(&path)?, State::default());
        let mut caller: CallerEntry = serde_json::from_str(
            r#"{"name":"acme","key":"sk-secret","usd_per_day":2.5,"models":["qwen-plus"],"expires":"2030-01-01"}"#,
        )?;
        assert_eq!(caller.settle(), []);
        let mut state = State::default();
        state.callers.push(caller);
        state.save(&path)?;
        state.save(&path)?;
        let text = fs::read_to_string(&path)?;
        assert!(
            !text.contains("secret") && text.contains("2.5 USD"),
            "{text}"
        );
        assert_eq!(State::load(&path)?, state);
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        }
        Ok(())
    }

    #[test]
    fn what_is_no_state_file_is_not_taken() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("state.json");
        for wrong in ["", "{}", "{\"version\":2}", "{\"version\":1,\"other\":1}"] {
            fs::write(&path, wrong)?;
            assert!(State::load(&path).is_err(), "{wrong}");
        }
        let nowhere = folder.path().join("missing/state.json");
        assert!(State::default().save(&nowhere).is_err());
        Ok(())
    }
}
