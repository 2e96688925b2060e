//! A log that nobody takes holds and fails no call.

use std::{fs::File, process::Command};

use crate::{
    hostile::Hostile,
    program::{PROGRAM, Program},
    raw::{Raw, chat, get},
    support::TestResult,
};

const WIDE: [&str; 4] = [
    "--admin-key=sk-secret-admin",
    "--key=acme=sk-secret-acme",
    "--rpm=1000000",
    "--tpm=1000000000",
];
/// Of calls, some dozens of lines each, until lines must have been lost.
const MOST_CALLS: usize = 5_000;

/// What `/metrics` says.
async fn lost(program: &Program) -> TestResult<u64> {
    let metrics = get(program, "/metrics", "sk-secret-admin").await?.body;
    let name = "\naxum_server_log_lost_total ";
    let (_, value) = metrics.split_once(name).ok_or("no such metric")?;
    Ok(value.lines().next().unwrap_or_default().parse()?)
}

/// Calls until lines are lost; each is answered.
async fn call_until_lost(program: &Program) -> TestResult {
    let mut raw = Raw::connect(program).await?;
    for call in 0..MOST_CALLS {
        raw.write(&chat("sk-secret-acme", "qwen-plus")).await?;
        assert_eq!(raw.answer().await?.status, 200);
        if call % 20 == 19 && lost(program).await? > 0 {
            return Ok(());
        }
    }
    Err("no line was lost".into())
}

#[tokio::test]
async fn a_full_disk_or_a_pipe_without_a_reader_fails_no_call() -> TestResult {
    let full = || File::options().write(true).open("/dev/full");
    let (reader, pipe) = std::io::pipe()?;
    drop(reader);
    for log in [full()?.into(), std::process::Stdio::from(pipe)] {
        let command = Command::new(PROGRAM);
        let mut program = Program::start_unseen(command, log, &WIDE).await?;
        call_until_lost(&program).await?;
        program.signal("TERM")?;
        assert_eq!(program.ends_unread()?, Some(0));
    }
    // What is wrong cannot be said, but the code says it.
    for (flag, code) in [("--check", 0), ("--config=/nowhere", 2)] {
        let mut command = Command::new(PROGRAM);
        let status = command.arg(flag).stdout(full()?).stderr(full()?).status()?;
        assert_eq!(status.code(), Some(code), "{flag}");
    }
    Ok(())
}

#[tokio::test]
async fn a_reader_that_stalls_holds_no_call_and_no_end() -> TestResult {
    for is_read_again in [false, true] {
        let trace = [("RUST_LOG", "trace")];
        // Which answers at once: the pipe and the queue have to be full before a line is lost.
        let (_hostile, upstream) = Hostile::start().await?;
        let flags = [&WIDE[..], &[&upstream]].concat();
        let mut program = Program::start_with(trace, &flags)?;
        call_until_lost(&program).await?;
        program.signal("TERM")?;
        if is_read_again {
            let (code, log) = program.log_to_its_end()?;
            assert_eq!(code, Some(0));
            let told = log.matches("lines of the log were lost").count();
            assert!(told >= 1, "it was told when it worked again");
            assert!(log.contains("stopped"), "the last lines are there");
        } else {
            assert_eq!(program.ends_unread()?, Some(0));
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_log_as_long_as_a_file_may_be_ends_nothing() -> TestResult {
    let folder = tempfile::tempdir()?;
    let log = File::create(folder.path().join("log"))?;
    let mut limited = Command::new("sh");
    limited.args(["-c", "ulimit -f 8; exec \"$0\" \"$@\"", PROGRAM]);
    let mut program = Program::start_unseen(limited, log, &WIDE).await?;
    call_until_lost(&program).await?;
    program.signal("TERM")?;
    assert_eq!(program.ends_unread()?, Some(0));
    Ok(())
}
