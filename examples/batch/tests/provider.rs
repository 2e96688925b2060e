//! Which provider the program itself calls: none, the mock by name, or a server by its address.

mod support;

use std::{
    fs,
    path::Path,
    process::Output,
    sync::{Arc, Mutex},
};

use axum::{extract::Request, http::header::AUTHORIZATION, middleware::map_request};
use mock_qwen::{Config, MockQwen};
use serde_json::Value;
use support::{TestResult, chat, lines};
use tempfile::TempDir;
use tokio::{net::TcpListener, process::Command, task::JoinHandle};

const REFUSED: &str = "error: --input needs a provider: set DASHSCOPE_API_KEY, \
    give an address with --base-url, or add --mock for invented answers\n";

/// A folder that holds `calls.jsonl`, of two calls.
fn folder() -> TestResult<TempDir> {
    let folder = tempfile::tempdir()?;
    let calls = chat("a", "One?") + &chat("b", "Two?");
    fs::write(folder.path().join("calls.jsonl"), calls)?;
    Ok(folder)
}

/// What else the folder holds.
fn made(folder: &TempDir) -> TestResult<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder.path())? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.retain(|name| name != "calls.jsonl");
    names.sort();
    Ok(names)
}

/// Runs the program on `calls.jsonl` in the folder.
async fn batch(folder: &Path, args: &[&str], environment: &[(&str, &str)]) -> TestResult<Output> {
    let args: Vec<&str> = ["--input", "calls.jsonl"]
        .iter()
        .chain(args)
        .copied()
        .collect();
    without_input(folder, &args, environment).await
}

/// Runs the program with these arguments alone.
async fn without_input(
    folder: &Path,
    args: &[&str],
    environment: &[(&str, &str)],
) -> TestResult<Output> {
    let output = Command::new(env!("CARGO_BIN_EXE_batch"))
        .current_dir(folder)
        .args(args)
        .env_remove("DASHSCOPE_API_KEY")
        .env_remove("DASHSCOPE_BASE_URL")
        .envs(environment.iter().copied())
        .output()
        .await?;
    Ok(output)
}

/// A provider at an address of its own, and the keys that its calls carried.
struct Server {
    mock: MockQwen,
    base: String,
    keys: Arc<Mutex<Vec<Option<String>>>>,
    serving: JoinHandle<()>,
}

impl Server {
    async fn start() -> TestResult<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let base = format!("http://{}/compatible-mode/v1", listener.local_addr()?);
        let mock = MockQwen::new(Config::default());
        let keys = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&keys);
        let router = mock.router().layer(map_request(move |request: Request| {
            let key = request.headers().get(AUTHORIZATION);
            let key = key.map(|key| String::from_utf8_lossy(key.as_bytes()).into_owned());
            seen.lock().expect("no test failed here").push(key);
            async { request }
        }));
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.ok();
        });
        Ok(Self {
            mock,
            base,
            keys,
            serving,
        })
    }

    fn keys(&self) -> Vec<Option<String>> {
        self.keys.lock().expect("no test failed here").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[tokio::test]
async fn a_file_with_neither_key_nor_address_is_refused_and_nothing_is_written() -> TestResult {
    for environment in [
        &[][..],
        &[("DASHSCOPE_API_KEY", "")],
        &[("DASHSCOPE_API_KEY", " "), ("DASHSCOPE_BASE_URL", "")],
    ] {
        let folder = folder()?;
        for args in [
            &[][..],
            &["--output", "out.jsonl", "--summary", "summary.json"],
            &["--redis", "redis://127.0.0.1:1"],
        ] {
            let run = batch(folder.path(), args, environment).await?;
            assert_eq!(run.status.code(), Some(2), "{args:?}");
            assert_eq!(String::from_utf8(run.stderr)?, REFUSED);
            assert!(run.stdout.is_empty());
            assert!(made(&folder)?.is_empty(), "{:?}", made(&folder)?);
        }
    }
    Ok(())
}

#[tokio::test]
async fn a_refused_run_leaves_the_answers_of_an_earlier_one_alone() -> TestResult {
    let folder = folder()?;
    let output = folder.path().join("calls.output.jsonl");
    // A run would cut the torn line off.
    let torn = r#"{"id":"batch_req_1","custom_id":"a","respo"#;
    fs::write(&output, torn)?;
    let run = batch(folder.path(), &[], &[]).await?;
    assert_eq!(run.status.code(), Some(2));
    assert_eq!(fs::read_to_string(&output)?, torn);
    Ok(())
}

#[tokio::test]
async fn a_forecast_needs_no_provider_and_makes_no_output() -> TestResult {
    let folder = folder()?;
    let run = batch(folder.path(), &["--dry-run"], &[]).await?;
    assert_eq!(run.status.code(), Some(0));
    let printed = String::from_utf8(run.stdout)?;
    assert!(printed.contains("| calls to make "), "{printed}");
    assert!(made(&folder)?.is_empty());
    Ok(())
}

#[tokio::test]
async fn a_forecast_without_a_provider_is_about_the_file_of_the_real_run() -> TestResult {
    let folder = folder()?;
    let answered = batch(
        folder.path(),
        &["--mock", "--output", "calls.output.jsonl"],
        &[],
    )
    .await?;
    assert_eq!(answered.status.code(), Some(0));
    let forecast = batch(folder.path(), &["--dry-run", "--summary", "f.json"], &[]).await?;
    assert_eq!(forecast.status.code(), Some(0));
    let forecast: Value = serde_json::from_slice(&fs::read(folder.path().join("f.json"))?)?;
    assert_eq!(forecast["answered_before"], 2);
    Ok(())
}

#[tokio::test]
async fn no_real_run_takes_up_the_answers_of_the_mock() -> TestResult {
    let folder = folder()?;
    let mocked = batch(folder.path(), &["--mock"], &[]).await?;
    assert_eq!(mocked.status.code(), Some(0));
    let told = String::from_utf8(mocked.stderr)?;
    let expected = "--mock: calls go to mock-qwen inside this process, at http://127.0.0.1:";
    assert!(told.starts_with(expected), "{told}");
    assert!(told.contains("Answers go to calls.mock-output.jsonl.\n"));
    assert_eq!(made(&folder)?, ["calls.mock-output.jsonl"]);
    assert_eq!(
        lines(&folder.path().join("calls.mock-output.jsonl"))?.len(),
        2
    );

    let server = Server::start().await?;
    let real = batch(folder.path(), &["--base-url", &server.base], &[]).await?;
    assert_eq!(real.status.code(), Some(0));
    assert_eq!(server.mock.stats().completed, 2);
    assert_eq!(
        made(&folder)?,
        ["calls.mock-output.jsonl", "calls.output.jsonl"]
    );
    Ok(())
}

#[tokio::test]
async fn the_mock_by_name_ignores_key_and_address_of_the_environment() -> TestResult {
    let server = Server::start().await?;
    // No header can carry the second key: it would be refused if it were used.
    for (key, address, ignored) in [
        (Some("sk-secret"), None, "DASHSCOPE_API_KEY"),
        (Some("sk-\u{7f}secret"), None, "DASHSCOPE_API_KEY"),
        (None, Some(&server.base), "DASHSCOPE_BASE_URL"),
        (
            Some("sk-secret"),
            Some(&server.base),
            "DASHSCOPE_API_KEY and DASHSCOPE_BASE_URL",
        ),
    ] {
        let folder = folder()?;
        let mut environment = Vec::new();
        environment.extend(key.map(|key| ("DASHSCOPE_API_KEY", key)));
        environment.extend(address.map(|base| ("DASHSCOPE_BASE_URL", base.as_str())));
        let run = batch(folder.path(), &["--mock"], &environment).await?;
        let told = String::from_utf8(run.stderr)?;
        assert_eq!(run.status.code(), Some(0), "{told}");
        let expected = format!("--mock ignores {ignored}: calls go to mock-qwen inside");
        assert!(told.starts_with(&expected), "{told}");
        assert!(!told.contains("secret"));
        assert_eq!(made(&folder)?, ["calls.mock-output.jsonl"]);
    }
    assert_eq!(server.mock.stats().seen, 0);
    Ok(())
}

#[tokio::test]
async fn the_mock_and_an_address_by_flag_are_bad_usage() -> TestResult {
    let server = Server::start().await?;
    let folder = folder()?;
    for args in [
        &["--mock", "--base-url", &server.base][..],
        &["--mock", "--base-url", &server.base, "--dry-run"],
        &["--mock", "--redis", "redis://127.0.0.1:1"],
    ] {
        let run = batch(folder.path(), args, &[]).await?;
        assert_eq!(run.status.code(), Some(2), "{args:?}");
        let told = String::from_utf8(run.stderr)?;
        assert!(told.contains("'--mock' cannot be used with"), "{told}");
    }
    assert!(made(&folder)?.is_empty());
    assert_eq!(server.mock.stats().seen, 0);
    Ok(())
}

#[tokio::test]
async fn an_address_alone_is_enough_and_calls_carry_no_key() -> TestResult {
    for by_flag in [true, false] {
        let server = Server::start().await?;
        let folder = folder()?;
        let flag = ["--base-url", &server.base];
        let variable = [
            ("DASHSCOPE_BASE_URL", server.base.as_str()),
            ("DASHSCOPE_API_KEY", ""),
        ];
        let run = match by_flag {
            true => batch(folder.path(), &flag, &[]).await?,
            false => batch(folder.path(), &[], &variable).await?,
        };
        assert_eq!(run.status.code(), Some(0));
        assert_eq!(made(&folder)?, ["calls.output.jsonl"]);
        assert_eq!(lines(&folder.path().join("calls.output.jsonl"))?.len(), 2);
        assert_eq!(server.mock.stats().completed, 2);
        // Two calls, and the list of quotas.
        assert_eq!(server.keys(), [None, None, None]);
    }
    Ok(())
}

#[tokio::test]
async fn a_key_goes_out_with_the_calls_where_there_is_one() -> TestResult {
    let server = Server::start().await?;
    let folder = folder()?;
    let key = [("DASHSCOPE_API_KEY", "sk-test")];
    let run = batch(folder.path(), &["--base-url", &server.base], &key).await?;
    assert_eq!(run.status.code(), Some(0));
    // Two calls, and the list of quotas.
    assert_eq!(server.keys(), vec![Some("Bearer sk-test".to_owned()); 3]);
    Ok(())
}

/// A quota under which the bundled prompts take a few seconds.
const QUICK: [&str; 4] = ["--rpm", "6000", "--tpm", "6000000"];

#[tokio::test]
async fn the_bundled_prompts_cost_nothing_whatever_is_exported() -> TestResult {
    let server = Server::start().await?;
    let folder = tempfile::tempdir()?;
    let exported = [
        ("DASHSCOPE_API_KEY", "sk-secret"),
        ("DASHSCOPE_BASE_URL", server.base.as_str()),
    ];
    let run = without_input(folder.path(), &QUICK, &exported).await?;
    let told = String::from_utf8(run.stderr)?;
    assert_eq!(run.status.code(), Some(0), "{told}");
    let expected = "Without --input or --bundled this program ignores DASHSCOPE_API_KEY and DASHSCOPE_BASE_URL: calls go to \
                    mock-qwen inside this process";
    assert!(told.starts_with(expected), "{told}");
    assert_eq!(made(&folder)?, ["batch-mock-output.jsonl"]);
    assert_eq!(server.mock.stats().seen, 0);
    for args in [
        &["--base-url", server.base.as_str()][..],
        &["--redis", "redis://127.0.0.1:1"],
    ] {
        let run = without_input(folder.path(), args, &exported).await?;
        let told = String::from_utf8(run.stderr)?;
        assert_eq!(run.status.code(), Some(2), "{told}");
        assert!(
            told.contains("or --bundled to send the bundled prompts"),
            "{told}"
        );
    }
    assert_eq!(server.mock.stats().seen, 0);
    Ok(())
}

#[tokio::test]
async fn the_bundled_prompts_go_to_a_real_provider_where_asked() -> TestResult {
    let server = Server::start().await?;
    let folder = tempfile::tempdir()?;
    let args = ["--bundled", "--base-url", &server.base];
    let args: Vec<&str> = args.iter().chain(&QUICK).copied().collect();
    let run = without_input(folder.path(), &args, &[]).await?;
    assert_eq!(run.status.code(), Some(0));
    assert_eq!(server.mock.stats().completed, 240);
    assert_eq!(made(&folder)?, ["batch-output.jsonl"]);

    let folder = tempfile::tempdir()?;
    let run = without_input(folder.path(), &["--bundled"], &[]).await?;
    assert_eq!(run.status.code(), Some(2));
    let told = String::from_utf8(run.stderr)?;
    let expected = "error: --bundled needs a provider: set DASHSCOPE_API_KEY, or give an address";
    assert!(told.starts_with(expected), "{told}");
    assert!(made(&folder)?.is_empty());
    Ok(())
}

#[tokio::test]
async fn answers_of_one_provider_are_never_resumed_as_those_of_another() -> TestResult {
    let folder = folder()?;
    let output = folder.path().join("out.jsonl");
    let into = ["--output", "out.jsonl"];
    let mocked = batch(folder.path(), &["--mock", into[0], into[1]], &[]).await?;
    assert_eq!(mocked.status.code(), Some(0));
    for line in lines(&output)?.values() {
        assert_eq!(line["provider"], "mock-qwen");
    }
    let text = fs::read_to_string(&output)?;
    let (one, two) = (Server::start().await?, Server::start().await?);
    for extra in [&[][..], &["--dry-run"]] {
        let args = [&["--base-url", &one.base, into[0], into[1]], extra].concat();
        let run = batch(folder.path(), &args, &[]).await?;
        assert_eq!(run.status.code(), Some(2));
        let told = String::from_utf8(run.stderr)?;
        assert!(
            told.contains(
                "out.jsonl: line 1 was answered by mock-qwen, and the calls go to http://127.0.0.1:"
            ),
            "{told}"
        );
        assert_eq!(fs::read_to_string(&output)?, text);
    }

    let real = batch(folder.path(), &["--base-url", &one.base], &[]).await?;
    assert_eq!(real.status.code(), Some(0));
    let output = folder.path().join("calls.output.jsonl");
    let origin = one.base.trim_end_matches("/compatible-mode/v1");
    for line in lines(&output)?.values() {
        assert_eq!(line["provider"], origin);
    }
    let again = batch(folder.path(), &["--base-url", &one.base], &[]).await?;
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(one.mock.stats().seen, 2);
    for args in [
        &["--base-url", &two.base][..],
        &["--mock", "--output", "calls.output.jsonl"],
    ] {
        let other = batch(folder.path(), args, &[]).await?;
        assert_eq!(other.status.code(), Some(2));
    }
    assert_eq!(two.mock.stats().seen, 0);
    Ok(())
}

#[tokio::test]
async fn an_address_without_a_scheme_and_a_file_that_is_not_there_say_so() -> TestResult {
    let folder = folder()?;
    for (args, expected) in [
        (
            &["--input", "calls.jsonl", "--base-url", "dashscope.com/v1"][..],
            "error: --base-url: it needs https:// (or http://) at its beginning\n",
        ),
        (
            &["--input", "nope.jsonl", "--mock"],
            "error: --input: nope.jsonl: there is no such file\n",
        ),
        (
            &["--input", ".", "--mock", "--output", "out.jsonl"],
            "error: --input: .: it is a directory\n",
        ),
    ] {
        let run = without_input(folder.path(), args, &[]).await?;
        assert_eq!(run.status.code(), Some(2));
        assert_eq!(String::from_utf8(run.stderr)?, expected);
    }
    let environment = [("DASHSCOPE_BASE_URL", "dashscope.com/v1")];
    let run = batch(folder.path(), &[], &environment).await?;
    assert_eq!(
        String::from_utf8(run.stderr)?,
        "error: DASHSCOPE_BASE_URL: it needs https:// (or http://) at its beginning\n"
    );
    assert!(made(&folder)?.is_empty());
    Ok(())
}
