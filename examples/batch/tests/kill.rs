//! The program itself: killed, stopped, and with bad usage. Nothing here depends on how long anything takes.

mod support;

use std::{
    ffi::OsStr,
    fs,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
};

use support::{TestResult, bundled_ids, chat, lines};

fn program<A: AsRef<OsStr>>(args: &[A], output: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_batch"));
    command
        .args(args)
        .arg("--output")
        .arg(output)
        .env_remove("DASHSCOPE_API_KEY")
        .env_remove("DASHSCOPE_BASE_URL")
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command
}

/// A quota that lets a run last for some seconds.
const QUICK: [&str; 4] = ["--rpm", "3000", "--tpm", "3000000"];

/// Waits until the output holds so many lines, or the program has ended.
fn wait_for_lines(
    child: &mut Child,
    output: &Path,
    wanted: usize,
) -> TestResult<Option<ExitStatus>> {
    let mut length = 0;
    loop {
        let grown = fs::metadata(output).map_or(0, |file| file.len());
        if std::mem::replace(&mut length, grown) != grown {
            let held = fs::read(output)?;
            if held.iter().filter(|&&byte| byte == b'\n').count() >= wanted {
                return Ok(None);
            }
        }
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        std::thread::yield_now();
    }
}

#[test]
fn killed_in_mid_run_and_run_again_each_id_stands_once() -> TestResult {
    let folder = tempfile::tempdir()?;
    let output = folder.path().join("out.jsonl");
    for wanted in [1, 60, 130] {
        let mut child = program(&QUICK, &output).spawn()?;
        let ended = wait_for_lines(&mut child, &output, wanted)?;
        assert_eq!(ended, None, "killed before its end");
        child.kill()?;
        child.wait()?;
    }
    let text = fs::read(&output)?;
    fs::write(&output, &text[..text.len() - 7])?;
    let status = program(&QUICK, &output).status()?;
    assert_eq!(status.code(), Some(0));
    assert_eq!(
        lines(&output)?.into_keys().collect::<Vec<_>>(),
        bundled_ids()?
    );
    Ok(())
}

#[cfg(unix)]
#[test]
fn interrupted_it_leaves_a_valid_output_and_goes_on_later() -> TestResult {
    let folder = tempfile::tempdir()?;
    let output = folder.path().join("out.jsonl");
    let mut child = program(&QUICK, &output).spawn()?;
    assert_eq!(wait_for_lines(&mut child, &output, 20)?, None);
    let interrupt = Command::new("kill")
        .arg("-INT")
        .arg(child.id().to_string())
        .status()?;
    assert!(interrupt.success());
    assert_eq!(child.wait()?.code(), Some(130));
    let answered = lines(&output)?.len();
    assert!((20..240).contains(&answered), "{answered}");
    assert_eq!(program(&QUICK, &output).status()?.code(), Some(0));
    assert_eq!(
        lines(&output)?.into_keys().collect::<Vec<_>>(),
        bundled_ids()?
    );
    Ok(())
}

#[test]
fn the_exit_status_tells_how_it_went() -> TestResult {
    let folder = tempfile::tempdir()?;
    let path = |name: &str| folder.path().join(name);
    let (good, bad, output) = (path("good.jsonl"), path("bad.jsonl"), path("out.jsonl"));
    fs::write(&good, chat("a", "One?"))?;
    fs::write(&bad, chat("a", "One?") + "nonsense\n")?;
    let input = |input: &Path| {
        vec![
            "--mock".into(),
            "--input".into(),
            input.as_os_str().to_owned(),
        ]
    };
    for (args, expected) in [
        (input(&good), 0),
        (input(&good), 0),
        (input(&bad), 1),
        (input(&path("missing.jsonl")), 2),
        (input(folder.path()), 2),
        (input(&output), 2),
        (vec!["--base-url".into(), "nowhere".into()], 2),
        (vec!["--rpm".into(), "0".into()], 2),
        (
            vec!["--input".into(), good.clone().into(), "--dry-run".into()],
            0,
        ),
        (
            vec!["--input".into(), bad.clone().into(), "--dry-run".into()],
            1,
        ),
    ] {
        let status = program(&args, &output).status()?;
        assert_eq!(status.code(), Some(expected), "{args:?}");
        assert_eq!(lines(&output)?.len(), 1);
    }
    let status = program(&input(&good), &good).status()?;
    assert_eq!(status.code(), Some(2));
    assert_eq!(fs::read_to_string(&good)?, chat("a", "One?"));
    Ok(())
}

#[test]
fn the_table_and_the_json_say_the_same_and_no_key_shows() -> TestResult {
    let folder = tempfile::tempdir()?;
    let (input, output) = (
        folder.path().join("in.jsonl"),
        folder.path().join("out.jsonl"),
    );
    let summary = folder.path().join("summary.json");
    fs::write(&input, chat("a", "One?"))?;
    // Nothing listens there: the call fails, key and all.
    let listener = std::net::TcpListener::bind(("127.0.0.1", 0))?;
    let address = format!("http://{}/v1", listener.local_addr()?);
    drop(listener);
    let run = program(
        &[
            OsStr::new("--input"),
            input.as_os_str(),
            OsStr::new("--summary"),
            summary.as_os_str(),
            OsStr::new("--base-url"),
            OsStr::new(&address),
            OsStr::new("--max-attempts"),
            OsStr::new("1"),
        ],
        &output,
    )
    .env("DASHSCOPE_API_KEY", "sk-secret")
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .output()?;
    assert_eq!(run.status.code(), Some(3));
    let printed = String::from_utf8(run.stdout)?;
    let json = fs::read_to_string(&summary)?;
    assert!(printed.ends_with(&json));
    for expected in [
        "calls failed           | 1 (transport 1)",
        "ended early            | address ",
        "- 1 call, such as \"a\": transport: cannot connect: connection refused\n",
    ] {
        assert!(printed.contains(expected), "{printed}");
    }
    let parsed: serde_json::Value = serde_json::from_str(&json)?;
    assert_eq!(parsed["calls"]["failed_by"]["transport"], 1);
    let line = &lines(&output)?["a"];
    assert_eq!(line["response"], serde_json::Value::Null);
    let all = format!("{printed}{}{line}", String::from_utf8(run.stderr)?);
    assert!(!all.contains("secret"));
    Ok(())
}
