//! The file of the report: whole, or as it was before.

use std::{
    fmt, fs,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

use super::page::GENERATOR;

/// The name of the program stands within so many bytes of a report.
const HEAD: u64 = 1_024;

/// Why a report cannot be written where it should.
#[derive(Debug)]
#[non_exhaustive]
pub enum Unwritable {
    /// It is a folder, a device or a pipe.
    NoFile,
    /// It is a file of another program, which would be lost.
    Foreign,
    /// The system does not let it.
    Io(io::Error),
}

/// Checks that a report can be written there, and leaves everything as it is.
///
/// # Errors
///
/// See [`Unwritable`].
pub fn check(path: &Path) -> Result<(), Unwritable> {
    match fs::metadata(path) {
        Ok(about) if !about.is_file() => return Err(Unwritable::NoFile),
        Ok(about) if about.len() > 0 => {
            let mut head = Vec::new();
            fs::File::open(path)?.take(HEAD).read_to_end(&mut head)?;
            if !String::from_utf8_lossy(&head).contains(GENERATOR) {
                return Err(Unwritable::Foreign);
            }
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    let beside = beside(&target(path));
    fs::File::create(&beside)?;
    Ok(fs::remove_file(&beside)?)
}

/// Writes the report there: beside it, and then under its name, so that nobody ever sees a part of it.
///
/// # Errors
///
/// As writing does. A report that was there before is then as it was.
pub fn write(path: &Path, page: &str) -> io::Result<()> {
    let path = target(path);
    let beside = beside(&path);
    let write = || {
        let mut file = fs::File::create(&beside)?;
        file.write_all(page.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, &path)
    };
    write().inspect_err(|_| {
        // What failed is more than this.
        fs::remove_file(&beside).ok();
    })
}

/// A link stays one: what it leads to is replaced.
fn target(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// In the same folder, since a file is renamed within one file system. Two runs at one time do not write to one file.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.part", std::process::id()));
    path.with_file_name(name)
}

impl From<io::Error> for Unwritable {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Unwritable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoFile => f.write_str("it is a folder, a device or a pipe, and no file"),
            Self::Foreign => {
                f.write_str("it is there already, is no report of this program, and would be lost")
            }
            Self::Io(error) => write!(f, "it cannot be written: {error}"),
        }
    }
}

impl std::error::Error for Unwritable {}

#[cfg(test)]
mod tests {
    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn names(folder: &Path) -> io::Result<Vec<String>> {
        let entries = fs::read_dir(folder)?;
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    #[test]
    fn a_check_leaves_nothing_behind_and_a_report_replaces_reports_alone() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("run.html");
        check(&path)?;
        assert!(names(folder.path())?.is_empty());
        let page = format!("<!DOCTYPE html><meta name=\"generator\" content=\"{GENERATOR}\">");
        write(&path, &page)?;
        check(&path)?;
        write(&path, &page)?;
        assert_eq!(names(folder.path())?, ["run.html"]);
        assert_eq!(fs::read_to_string(&path)?, page);

        fs::write(&path, "my own")?;
        assert!(matches!(check(&path), Err(Unwritable::Foreign)));
        assert_eq!(fs::read_to_string(&path)?, "my own");
        assert!(matches!(check(folder.path()), Err(Unwritable::NoFile)));
        let sub = folder.path().join("sub");
        fs::create_dir(&sub)?;
        assert!(write(&sub, "a folder is in the way").is_err());
        fs::remove_dir(&sub)?;
        assert_eq!(names(folder.path())?, ["run.html"]);
        let nowhere = folder.path().join("missing").join("run.html");
        assert!(matches!(check(&nowhere), Err(Unwritable::Io(_))));
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_link_stays_a_link_and_the_rights_are_the_usual_ones() -> TestResult {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir()?;
        let (path, link) = (folder.path().join("run.html"), folder.path().join("link"));
        write(&path, "one")?;
        let plain = folder.path().join("plain");
        fs::write(&plain, "")?;
        let rights = |path: &Path| fs::metadata(path).map(|about| about.permissions().mode());
        assert_eq!(rights(&path)?, rights(&plain)?);
        std::os::unix::fs::symlink(&path, &link)?;
        write(&link, "two")?;
        assert!(fs::symlink_metadata(&link)?.is_symlink());
        assert_eq!(fs::read_to_string(&path)?, "two");
        Ok(())
    }
}
