//! Reads the ledger's file back at the start, so that sums and budgets go on where the process before ended.

use std::{
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tower_qwen_ratelimit::Budgets;
use tower_qwen_tokens::ledger::{Day, Record, read_line};
use tracing::{info, warn};

use crate::clock::wall;

/// What was read back.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct History {
    /// The files.
    pub files: u64,
    /// The lines that were counted.
    pub lines: u64,
    /// The lines that are none of a ledger.
    pub invalid: u64,
    /// When the first of them was written.
    pub from: Option<SystemTime>,
}

/// Counts the lines of the ledger and of its rotated files, as far as they reach into the longest period of a budget: in the
/// budgets, and by `count`.
///
/// # Errors
///
/// When a file cannot be read.
pub fn restore(
    ledger: &Path,
    longest_period: Option<Duration>,
    budgets: &Budgets,
    mut count: impl FnMut(&Record<'_>),
) -> io::Result<History> {
    let begun = wall();
    let mut history = History::default();
    // A device or a pipe holds nothing to go on from, and may be read without end.
    if !fs::metadata(ledger)?.is_file() {
        return Ok(History::default());
    }
    let mut files = rotated(ledger, longest_period)?;
    files.push(ledger.to_owned());
    for path in &files {
        history.read(path, budgets, &mut count)?;
    }
    info!(
        files = history.files,
        lines = history.lines,
        invalid = history.invalid,
        from = history.from.map(date),
        ms = wall().duration_since(begun).unwrap_or_default().as_millis(),
        "read the ledger back"
    );
    Ok(history)
}

impl History {
    fn read(
        &mut self,
        path: &Path,
        budgets: &Budgets,
        count: &mut impl FnMut(&Record<'_>),
    ) -> io::Result<()> {
        self.files += 1;
        let mut lines = BufReader::with_capacity(1 << 16, File::open(path)?);
        let mut text = Vec::new();
        while lines.read_until(b'\n', &mut text)? > 0 {
            let line = std::str::from_utf8(&text).ok();
            match line.and_then(|line| read_line(line).ok()) {
                Some(record) => {
                    self.lines += 1;
                    budgets.restore_record(&record);
                    count(&record);
                    let earlier = record
                        .at
                        .filter(|at| self.from.is_none_or(|from| *at < from));
                    self.from = earlier.or(self.from);
                }
                None => self.invalid += 1,
            }
            text.clear();
        }
        Ok(())
    }
}

/// The files beside the ledger whose names begin with its name and `.` or `-`, as logrotate names them, and which were
/// written to within the period.
fn rotated(ledger: &Path, longest_period: Option<Duration>) -> io::Result<Vec<PathBuf>> {
    let Some(period) = longest_period else {
        return Ok(Vec::new());
    };
    let Some(name) = ledger.file_name().and_then(|name| name.to_str()) else {
        return Ok(Vec::new());
    };
    let since = wall().checked_sub(period);
    let folder = ledger
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut files = Vec::new();
    for file in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
        let file = file?;
        let other = file.file_name();
        let rest = other.to_str().and_then(|other| other.strip_prefix(name));
        let about = file.metadata()?;
        let is_recent = || since.is_none_or(|since| about.modified().is_ok_and(|at| at >= since));
        if !rest.is_some_and(|rest| rest.starts_with(['.', '-']))
            || !about.is_file()
            || !is_recent()
        {
            continue;
        }
        let path = file.path();
        if is_compressed(&path) {
            warn!(file = %path.display(), "a rotated ledger is compressed: what it holds is not counted");
            continue;
        }
        files.push(path);
    }
    files.sort();
    Ok(files)
}

fn is_compressed(path: &Path) -> bool {
    let ends = ["gz", "zst", "xz", "bz2"];
    path.extension()
        .is_some_and(|end| ends.iter().any(|known| end == *known))
}

/// An instant, for people.
fn date(at: SystemTime) -> String {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    let of_day = since.as_secs() % 86_400;
    let (hours, minutes, seconds) = (of_day / 3_600, of_day / 60 % 60, of_day % 60);
    format!("{}T{hours:02}:{minutes:02}:{seconds:02}Z", Day::of(at))
}

#[cfg(test)]
mod tests {
    use tower_qwen_ratelimit::{
        Budget,
        budget::{Amount, BudgetTable},
        period::{Period, TimeZone},
    };
    use tower_qwen_tokens::{Ledger, PriceBook};

    use super::*;

    type TestResult = Result<(), Box<dyn std::error::Error>>;

    fn line(at: &str, tokens: u64) -> String {
        format!(
            "{{\"at\":\"{at}\",\"model\":\"qwen-plus\",\"v\":2,\"tenant\":\"acme\",\"end\":\"complete\",\"basis\":\"reported\",\"input_tokens\":{tokens},\"output_tokens\":0}}\n"
        )
    }

    #[test]
    fn rotated_files_count_as_far_as_a_budget_reaches() -> TestResult {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("calls.jsonl");
        let now = date(wall()).replace('Z', ".000Z");
        fs::write(&path, line(&now, 5) + "torn")?;
        fs::write(folder.path().join("calls.jsonl.1"), line(&now, 7))?;
        fs::write(folder.path().join("calls.jsonl-20261129.gz"), "zipped")?;
        fs::write(folder.path().join("calls.jsonlines"), line(&now, 100))?;
        let old = folder.path().join("calls.jsonl.2");
        fs::write(&old, line("2020-01-01T00:00:00.000Z", 9))?;
        let long_ago = wall() - Duration::from_secs(40 * 86_400);
        File::options()
            .write(true)
            .open(&old)?
            .set_modified(long_ago)?;

        for (period, files, used) in [
            (None, 1, 5),
            (Some(Duration::from_secs(86_400)), 2, 12),
            (Some(Duration::from_secs(50 * 86_400)), 3, 21),
        ] {
            let month = Budget::new(Amount::Tokens(1_000), Period::month(TimeZone::UTC));
            let table = BudgetTable::new().tenant("acme", month);
            let budgets = Budgets::builder(PriceBook::builtin())
                .table(table)
                .build()?;
            let sums = Ledger::default();
            let history = restore(&path, period, &budgets, |record| sums.restore(record))?;
            assert_eq!((history.files, history.invalid), (files, 1));
            assert_eq!(sums.snapshot().tenants["acme"].input_tokens, used);
            // The old line is in the sums, and in no budget of this month.
            let spent = budgets.snapshot().limits[0].spent;
            assert_eq!(spent, Amount::Tokens(used.min(12)));
        }
        Ok(())
    }

    #[test]
    fn dates_are_shown() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_798_718_461, "2026-12-31T12:01:01Z"),
        ] {
            assert_eq!(date(UNIX_EPOCH + Duration::from_secs(seconds)), expected);
        }
    }
}
