//! Which files are read, in which order, and what they are called.

use std::{
    fs,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use super::{
    Unusable,
    feed::{Content, feed},
    prompts::bundled,
    unusable::why,
};

/// Names of packed files end so; the format is that of the name before.
const PACKED: [&str; 3] = [".gz", ".zst", ".zstd"];
const STDIN: &str = "-";

/// A file of the input.
#[derive(Debug, Clone)]
pub(super) struct Source {
    origin: Origin,
    /// Its name in messages and ids: below the folder in which a pattern begins, and without `.gz` and the like.
    pub(super) name: Arc<str>,
    /// It can be read more than once.
    pub(super) is_file: bool,
}

#[derive(Debug, Clone)]
enum Origin {
    Bundled,
    Stdin,
    File(PathBuf),
}

impl Source {
    pub(super) fn bundled() -> Self {
        Self {
            origin: Origin::Bundled,
            name: "prompts.jsonl".into(),
            is_file: true,
        }
    }

    /// Where it is, for people to read.
    pub(super) fn path(&self) -> String {
        match &self.origin {
            Origin::File(path) => path.display().to_string(),
            Origin::Bundled | Origin::Stdin => self.name.to_string(),
        }
    }

    pub(super) fn content(&self) -> Content<'static> {
        match &self.origin {
            Origin::Bundled => Box::new(bundled()),
            Origin::Stdin => feed(None),
            Origin::File(path) => feed(Some(path)),
        }
    }
}

/// The files that arguments name, patterns included. What a pattern finds is in the order of the names; files that the
/// run itself writes, `written`, are left out of it.
///
/// # Errors
///
/// [`Unusable`]: there is no such file, or two files would have ids in common.
pub(super) fn sources(named: &[&Path], written: &[&Path]) -> Result<Vec<Source>, Unusable> {
    let mut sources: Vec<Source> = Vec::new();
    let mut seen: Vec<PathBuf> = Vec::new();
    for &path in named {
        if path == Path::new(STDIN) {
            if named.len() > 1 {
                return Err(unusable(path, "the standard input goes alone"));
            }
            return Ok(vec![Source {
                origin: Origin::Stdin,
                name: "stdin".into(),
                is_file: false,
            }]);
        }
        for (path, name) in files(path, written)? {
            let metadata = fs::metadata(&path).map_err(|error| unusable(&path, why(&error)))?;
            if metadata.is_dir() {
                return Err(unusable(&path, "it is a directory"));
            }
            let canonical = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
            if seen.contains(&canonical) {
                return Err(unusable(&path, "it is named twice"));
            }
            if sources.iter().any(|other| *other.name == *name) {
                let why = format!(
                    "another file is called {name} too, and ids are made of names: use a pattern above both folders"
                );
                return Err(unusable(&path, why));
            }
            seen.push(canonical);
            sources.push(Source {
                origin: Origin::File(path),
                name: name.into(),
                is_file: metadata.is_file(),
            });
        }
    }
    Ok(sources)
}

/// The files that a path or a pattern stands for, each with its name.
fn files(path: &Path, written: &[&Path]) -> Result<Vec<(PathBuf, String)>, Unusable> {
    let text = path.to_string_lossy();
    // A file may well have such letters in its name.
    if !text.contains(['*', '?', '[']) || path.exists() {
        return Ok(vec![(path.to_owned(), plain_name(path, None))]);
    }
    let root = root(path);
    let found = glob::glob(&text).map_err(|error| unusable(path, error))?;
    let mut files = Vec::new();
    for file in found {
        let file = file.map_err(|error| unusable(error.path(), error.error()))?;
        if !file.is_dir() && !written.iter().any(|written| is_same(written, &file)) {
            let name = plain_name(&file, Some(&root));
            files.push((file, name));
        }
    }
    match files.is_empty() {
        true => Err(unusable(path, "no file has such a name")),
        false => Ok(files),
    }
}

/// The folder in which a pattern begins.
fn root(pattern: &Path) -> PathBuf {
    let is_plain =
        |part: &Component<'_>| !part.as_os_str().to_string_lossy().contains(['*', '?', '[']);
    let folder = pattern.parent().unwrap_or(Path::new(""));
    folder.components().take_while(is_plain).collect()
}

/// The name of a file of a pattern is its path below the folder in which that begins.
fn plain_name(path: &Path, root: Option<&Path>) -> String {
    let name = match root {
        Some(root) => path.strip_prefix(root).unwrap_or(path).as_os_str(),
        None => path.file_name().unwrap_or(path.as_os_str()),
    };
    without_packing(&name.to_string_lossy()).to_owned()
}

/// A name without the end that says how the file is packed.
pub(crate) fn without_packing(name: &str) -> &str {
    PACKED
        .iter()
        .find_map(|end| name.strip_suffix(end))
        .unwrap_or(name)
}

/// Whether two paths lead to the same file.
pub(crate) fn is_same(one: &Path, other: &Path) -> bool {
    one == other
        || matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

fn unusable(path: &Path, why: impl std::fmt::Display) -> Unusable {
    Unusable::new(format!("--input: {}: {why}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    type TestResult = Result<(), Box<dyn Error>>;

    fn names(named: &[PathBuf], written: &[&Path]) -> Result<Vec<String>, String> {
        let named: Vec<&Path> = named.iter().map(PathBuf::as_path).collect();
        let sources = sources(&named, written).map_err(|unusable| unusable.to_string())?;
        Ok(sources
            .iter()
            .map(|source| source.name.to_string())
            .collect())
    }

    #[test]
    fn patterns_find_files_by_name_and_leave_out_what_the_run_writes() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        for name in ["b/p.csv", "a/p.csv.gz", "a/q.csv", "out.csv", "[x].csv"] {
            fs::create_dir_all(path(name).parent().ok_or("no parent")?)?;
            fs::write(path(name), "")?;
        }
        let ok = |names: &[&str]| Ok(names.iter().map(|&name| name.to_owned()).collect());
        assert_eq!(names(&[path("*/p.csv*")], &[]), ok(&["a/p.csv", "b/p.csv"]));
        assert_eq!(
            names(&[path("**/*.csv")], &[&path("out.csv")]),
            ok(&["[x].csv", "a/q.csv", "b/p.csv"])
        );
        assert_eq!(
            names(&[path("a/q.csv"), path("b/p.csv")], &[]),
            ok(&["q.csv", "p.csv"])
        );
        assert_eq!(names(&[path("[x].csv")], &[]), ok(&["[x].csv"]));
        assert_eq!(names(&["-".into()], &[]), ok(&["stdin"]));
        Ok(())
    }

    #[test]
    fn what_is_missing_double_or_no_file_is_named() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = |name: &str| folder.path().join(name);
        for name in ["a", "b"] {
            fs::create_dir(path(name))?;
            fs::write(path(name).join("p.csv"), "")?;
        }
        for (named, said) in [
            (vec![path("none.csv")], "none.csv: there is no such file"),
            (vec![path("*.none")], "*.none: no file has such a name"),
            (vec![path("a")], "it is a directory"),
            (
                vec![path("a/p.csv"), path("a/../a/p.csv")],
                "it is named twice",
            ),
            (
                vec![path("a/p.csv"), path("b/p.csv")],
                "another file is called p.csv too",
            ),
            (vec!["-".into(), path("a/p.csv")], "goes alone"),
            (vec![path("[")], "[: "),
        ] {
            let found = names(&named, &[]).expect_err("unusable");
            assert!(
                found.starts_with("--input: ") && found.contains(said),
                "{found}"
            );
        }
        Ok(())
    }
}
