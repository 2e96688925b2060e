//! Opening an output file: locked, torn ends cut off, failed lines taken out.

use std::{
    fmt,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufReader, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{Existing, Foreign, OtherProvider, Writer, scan};

/// Why an output file cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum OpenError {
    /// Another process writes to it.
    Locked,
    /// It is no regular file.
    NotAFile,
    /// A line of it is not of a batch output.
    Foreign(Foreign),
    /// It holds answers of another provider.
    OtherProvider(OtherProvider),
    /// It is for what failed, but holds answers.
    HoldsAnswers,
    /// It cannot be read or written.
    Io(io::Error),
}

/// Opens an output file to go on with it, and returns what it answers already. All answers must be of these providers.
///
/// A torn last line is cut off. Lines of failed calls are taken out by way of a new file that takes the old one's
/// place, so that whatever kills the process finds or leaves a valid file. The file stays locked until the writer goes.
///
/// # Errors
///
/// See [`OpenError`]; nothing is changed then.
pub fn open<P: AsRef<str>>(path: &Path, providers: &[P]) -> Result<(Writer, Existing), OpenError> {
    let file = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(path)?;
    if !file.metadata()?.is_file() {
        return Err(OpenError::NotAFile);
    }
    lock(&file)?;
    let existing = scan(BufReader::new(&file), |_| Ok(()))?;
    if let Some(other) = existing.other_than(providers) {
        return Err(OpenError::OtherProvider(other));
    }
    if existing.stale > 0 {
        let path = fs::canonicalize(path)?;
        let rewritten = rewrite(&path, &file)?;
        let length = rewritten.metadata()?.len();
        return Ok((Writer::new(rewritten, length, Some(file)), existing));
    }
    let mut length = existing.whole;
    if existing.torn > 0 {
        file.set_len(length)?;
    }
    if existing.unterminated {
        (&file).write_all(b"\n")?;
        length += 1;
    }
    Ok((Writer::new(file, length, None), existing))
}

/// Checks that a file can be one for what fails, and changes nothing.
///
/// # Errors
///
/// See [`OpenError`].
pub fn check_errors(path: &Path) -> Result<(), OpenError> {
    match File::open(path) {
        Ok(file) if file.metadata()?.is_file() => {
            if !scan(BufReader::new(file), |_| Ok(()))?.answered.is_empty() {
                return Err(OpenError::HoldsAnswers);
            }
        }
        Ok(_) => return Err(OpenError::NotAFile),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error.into()),
    }
    Ok(())
}

/// Opens a file for what fails, and empties it: what failed in an earlier run is tried again in this one.
///
/// # Errors
///
/// See [`OpenError`]; nothing is changed then.
pub fn open_errors(path: &Path) -> Result<Writer, OpenError> {
    check_errors(path)?;
    // It holds no answers, so none of another provider.
    let (writer, _) = open(path, &[""])?;
    Ok(writer)
}

fn rewrite(path: &Path, file: &File) -> Result<File, OpenError> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".rewrite");
    let beside: PathBuf = path.with_file_name(name);
    let fresh = OpenOptions::new()
        .create(true)
        .read(true)
        .append(true)
        .open(&beside)?;
    lock(&fresh)?;
    fresh.set_len(0)?;
    fresh.set_permissions(file.metadata()?.permissions())?;
    let mut writer = BufWriter::new(&fresh);
    let mut old = file;
    old.seek(SeekFrom::Start(0))?;
    scan(BufReader::new(old), |line| {
        writer.write_all(line)?;
        writer.write_all(b"\n")
    })?;
    writer.flush()?;
    drop(writer);
    fresh.sync_all()?;
    fs::rename(&beside, path)?;
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(fresh)
}

fn lock(file: &File) -> Result<(), OpenError> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked),
        Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => Ok(()),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

impl From<io::Error> for OpenError {
    fn from(error: io::Error) -> Self {
        match error
            .get_ref()
            .and_then(|inner| inner.downcast_ref::<Foreign>())
        {
            Some(foreign) => Self::Foreign(*foreign),
            None => Self::Io(error),
        }
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked => f.write_str("another process writes to it"),
            Self::NotAFile => f.write_str("it is not a regular file"),
            Self::HoldsAnswers => f.write_str("it holds answers: it is an output"),
            Self::Foreign(foreign) => fmt::Display::fmt(foreign, f),
            Self::OtherProvider(other) => fmt::Display::fmt(other, f),
            Self::Io(error) => fmt::Display::fmt(error, f),
        }
    }
}

impl std::error::Error for OpenError {}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;
    use crate::output::{ErrorPart, Record};

    const PROVIDER: &str = "http://h";

    type TestResult = Result<(), Box<dyn Error>>;

    fn answer(id: &str) -> String {
        format!(
            r#"{{"id":"i","custom_id":"{id}","provider":"{PROVIDER}","response":{{"status_code":200,"request_id":null,"body":{{"t":"字"}}}},"error":null}}"#
        )
    }

    fn failed(id: &str) -> String {
        format!(
            r#"{{"id":"i","custom_id":"{id}","response":null,"error":{{"code":"c","message":"m"}}}}"#
        )
    }

    #[test]
    fn a_last_line_torn_at_any_byte_is_repaired() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("out.jsonl");
        let whole = format!("{}\n", answer("a"));
        let last = format!("{}\n", answer("b"));
        for cut in 0..=last.len() {
            fs::write(&path, [whole.as_bytes(), &last.as_bytes()[..cut]].concat())?;
            let (mut writer, existing) = open(&path, &[PROVIDER])?;
            let has_last = cut >= last.len() - 1;
            assert_eq!(existing.answered.contains("b"), has_last, "{cut}");
            assert!(existing.answered.contains("a"));
            writer.write(&Record::new(
                "c".into(),
                None,
                Some(ErrorPart::new("c", "m")),
            ))?;
            writer.sync()?;
            drop(writer);
            let text = fs::read_to_string(&path)?;
            let expected = if has_last {
                [&whole[..], &last].concat()
            } else {
                whole.clone()
            };
            let added = text
                .strip_prefix(&expected)
                .ok_or("what was whole is gone")?;
            assert!(
                added.ends_with('\n') && added.contains(r#""custom_id":"c""#),
                "{cut}"
            );
        }
        Ok(())
    }

    #[test]
    fn failed_lines_are_taken_out_and_answers_kept() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("out.jsonl");
        let text = [
            failed("x"),
            answer("a"),
            answer("a"),
            failed("y"),
            answer("b"),
        ]
        .join("\n");
        for torn in ["", "\n", "\n{\"id\":\"i\",\"cus"] {
            fs::write(&path, format!("{text}{torn}"))?;
            let (writer, existing) = open(&path, &[PROVIDER])?;
            assert_eq!(existing.stale, 3);
            assert!(existing.answered.contains("a") && existing.answered.contains("b"));
            assert!(!existing.answered.contains("x"));
            assert_eq!(
                fs::read_to_string(&path)?,
                format!("{}\n{}\n", answer("a"), answer("b"))
            );
            assert!(matches!(open(&path, &[PROVIDER]), Err(OpenError::Locked)));
            drop(writer);
            assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        }
        Ok(())
    }

    #[test]
    fn a_file_for_errors_is_begun_anew_and_never_an_output() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("errors.jsonl");
        for _ in 0..2 {
            let mut errors = open_errors(&path)?;
            assert_eq!(fs::read_to_string(&path)?, "");
            errors.write(&Record::new(
                "a".into(),
                None,
                Some(ErrorPart::new("c", "m")),
            ))?;
            assert!(matches!(open_errors(&path), Err(OpenError::Locked)));
        }
        for (text, expected) in [
            (answer("a"), "it holds answers"),
            ("log".to_owned(), "line 1 is not"),
        ] {
            let text = format!("{}\n{text}\n", failed("x"));
            fs::write(&path, &text)?;
            let error = open_errors(&path).expect_err("not for errors").to_string();
            assert!(
                error.starts_with(expected) || error.contains("is not of a batch output"),
                "{error}"
            );
            assert_eq!(fs::read_to_string(&path)?, text);
        }
        assert!(matches!(
            open_errors(folder.path()),
            Err(OpenError::NotAFile)
        ));
        Ok(())
    }

    #[test]
    fn a_rewrite_that_was_killed_leaves_nothing_behind() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("out.jsonl");
        fs::write(&path, format!("{}\n{}\n", failed("x"), answer("a")))?;
        fs::write(
            folder.path().join("out.jsonl.rewrite"),
            "half a line of an earlier run",
        )?;
        drop(open(&path, &[PROVIDER])?);
        assert_eq!(fs::read_to_string(&path)?, format!("{}\n", answer("a")));
        assert_eq!(fs::read_dir(folder.path())?.count(), 1);
        Ok(())
    }

    #[test]
    fn one_process_at_a_time_and_no_foreign_file() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("out.jsonl");
        let (writer, _) = open(&path, &[PROVIDER])?;
        assert!(matches!(open(&path, &[PROVIDER]), Err(OpenError::Locked)));
        drop(writer);
        let foreign = "dear diary\ntorn";
        fs::write(&path, foreign)?;
        assert!(matches!(
            open(&path, &[PROVIDER]),
            Err(OpenError::Foreign(Foreign { line: 1 }))
        ));
        assert_eq!(fs::read_to_string(&path)?, foreign);
        assert!(matches!(
            open(folder.path(), &[PROVIDER]),
            Err(OpenError::Io(_))
        ));
        Ok(())
    }

    #[test]
    fn answers_of_another_provider_are_not_taken_up_and_not_changed() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("out.jsonl");
        let text = format!("{}\n{}\n{{\"id\":\"i", failed("x"), answer("a"));
        fs::write(&path, &text)?;
        let error = open(&path, &["mock-qwen"]).expect_err("another provider");
        assert_eq!(
            error.to_string(),
            "line 2 was answered by http://h, and the calls go to mock-qwen: name another file with --output. \
             Nothing was changed"
        );
        assert_eq!(fs::read_to_string(&path)?, text);
        Ok(())
    }

    #[cfg(unix)]
    #[test]
    fn a_link_and_the_permissions_stay() -> TestResult {
        use std::os::unix::fs::{PermissionsExt, symlink};

        let folder = tempfile::tempdir()?;
        let (path, link) = (folder.path().join("out.jsonl"), folder.path().join("link"));
        fs::write(&path, format!("{}\n", failed("x")))?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640))?;
        symlink(&path, &link)?;
        drop(open(&link, &[PROVIDER])?);
        assert!(fs::symlink_metadata(&link)?.is_symlink());
        assert_eq!(fs::metadata(&path)?.permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_to_string(&path)?, "");
        Ok(())
    }
}
