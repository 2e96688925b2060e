//! openai-python, in a process of its own: the interpreter `python3` of the search path must have the package `openai`.

use std::io;
use std::process::Stdio;
use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

use crate::callers::Work;
use crate::request::{job_header, prompt};
use crate::setup::Setup;

const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/openai_python.py");
const INTERPRETER: &str = "python3";

/// Whether the package can be had.
#[must_use]
pub fn is_there() -> bool {
    let mut import = std::process::Command::new(INTERPRETER);
    let import = import.args(["-c", "import openai"]).stderr(Stdio::null());
    import.status().is_ok_and(|status| status.success())
}

/// Starts an interpreter for each process. They run until the set is dropped.
pub(super) fn start(setup: &Setup, work: &Work) -> io::Result<JoinSet<()>> {
    let mut processes = JoinSet::new();
    for process in 0..setup.processes {
        let mut child = Command::new(INTERPRETER)
            .arg(SCRIPT)
            .arg(format!("{}/compatible-mode/v1", work.base))
            .arg((setup.callers / setup.processes).to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            continue;
        };
        let work = work.clone();
        processes.spawn(async move {
            let lines = BufReader::new(output).lines();
            tokio::join!(
                feed(&work, process, input),
                record(&work, lines),
                hold(child)
            );
        });
    }
    Ok(processes)
}

/// Gives it jobs as it takes them.
async fn feed(work: &Work, process: usize, mut input: ChildStdin) {
    loop {
        let job = work.next_job();
        let line = json!({
            "header": job_header(process, job),
            "prompt": prompt(job.prompt),
            "max_tokens": job.ceiling,
            "needed": work.times.whole(job.output).as_secs_f64(),
        });
        if input
            .write_all(format!("{line}\n").as_bytes())
            .await
            .is_err()
        {
            return;
        }
    }
}

async fn record(work: &Work, mut lines: Lines<BufReader<ChildStdout>>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let words: Vec<&str> = line.split(' ').collect();
        let [_, wait] = words[..] else {
            work.record.failed();
            continue;
        };
        let wait: f64 = wait.parse().unwrap_or_default();
        let wait = Duration::from_secs_f64(wait.max(0.0));
        work.record.done(wait);
    }
}

/// The child lives as long as its task.
async fn hold(mut child: Child) {
    let _ = child.wait().await;
}
