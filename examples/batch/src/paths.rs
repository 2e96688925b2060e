//! The files of a run, which have to be different ones.

use std::path::Path;

use crate::{args::Args, input::is_same, report};

/// Checks that no file is written that is read, and none for two things.
///
/// # Errors
///
/// In words, two options that name the same file, or an output that has to be named.
pub fn check(args: &Args, output: &Path) -> Result<(), String> {
    if args.needs_output() && !args.dry_run {
        return Err(
            "several files, or the standard input, need a name for their answers: --output FILE"
                .to_owned(),
        );
    }
    if let Some(table) = args.parquet() {
        if cfg!(not(feature = "parquet")) {
            return Err(
                "this program was built without Parquet: build it with --features parquet"
                    .to_owned(),
            );
        }
        if table.exists() && !output.exists() {
            return Err(format!(
                "--output: {} is there, and no lines beside it: it is another's and would be lost",
                table.display()
            ));
        }
    }
    let input = args.input.iter().chain(&args.input_args.more);
    let named = input
        .map(|path| ("--input", path.as_path()))
        .chain([("--output", output)])
        .chain(args.parquet().map(|path| ("--output", path)))
        .chain(
            args.input_args
                .errors
                .as_deref()
                .map(|path| ("--errors", path)),
        )
        .chain(args.summary.as_deref().map(|path| ("--summary", path)))
        .chain(
            args.report_args
                .report
                .as_deref()
                .map(|path| ("--report", path)),
        );
    let named: Vec<_> = named.collect();
    for (index, (one, path)) in named.iter().enumerate() {
        // Two of `--input` are the reader's business.
        let written = named[index + 1..].iter().filter(|(other, _)| other != one);
        for (other, other_path) in written {
            if is_same(path, other_path) {
                return Err(format!("{one} and {other} are the same file"));
            }
        }
    }
    match &args.report_args.report {
        Some(_) if args.dry_run => {
            Err("--report: a forecast sends no call, so there is nothing to show".to_owned())
        }
        Some(path) => {
            report::check(path).map_err(|why| format!("--report: {}: {why}", path.display()))
        }
        None => Ok(()),
    }
}
