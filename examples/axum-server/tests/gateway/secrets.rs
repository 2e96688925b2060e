use std::{
    cell::RefCell,
    io::{self, Write},
    sync::Once,
};

use axum::body::Body;
use http::{Request, StatusCode};
use mock_qwen::Config;

use crate::support::{CHAT, Harness, NATIVE, TestResult, call, call_of};

thread_local! {
    static LOGGED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

static SUBSCRIBER: Once = Once::new();

/// All that is logged on this thread, at every level.
///
/// One subscriber for all threads: where each has its own, what the one wants to hear is decided while another comes.
pub(crate) struct Log;

impl Log {
    /// Listens from here on.
    pub(crate) fn listen() -> Self {
        SUBSCRIBER.call_once(|| {
            tracing_subscriber::fmt()
                .with_max_level(tracing::Level::TRACE)
                .with_ansi(false)
                .with_writer(|| ThisThread)
                .init();
        });
        LOGGED.take();
        Self
    }

    pub(crate) fn text(&self) -> String {
        LOGGED.with_borrow(|logged| String::from_utf8_lossy(logged).into_owned())
    }
}

struct ThisThread;

impl Write for ThisThread {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LOGGED.with_borrow_mut(|logged| logged.write(bytes))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn neither_keys_nor_prompts_are_logged_or_booked() -> TestResult {
    let log = Log::listen();
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("ledger.jsonl");
    let mut config = Config::default();
    config.faults.unavailable = 0.3;
    config.faults.reset = 0.2;
    let flags = [
        "--upstream-key=sk-secret-upstream".to_owned(),
        "--admin-key=sk-secret-admin".to_owned(),
        format!("--ledger={}", file.display()),
    ];
    let harness = Harness::new(config, &flags.each_ref().map(String::as_str))?;
    let prompt = "a secret prompt";
    for turn in 0..20 {
        let request = call([CHAT, NATIVE][turn % 2], prompt, turn % 4 < 2);
        // Some of them break in the middle.
        let _ = harness.text(request).await;
    }
    for request in [
        call_of("sk-secret-unknown", CHAT, prompt, false),
        call(&format!("{CHAT}?api-key=sk-secret-query"), prompt, false),
        Request::get("/usage")
            .header("x-api-key", "sk-secret-admin")
            .body(Body::empty())?,
    ] {
        let _ = harness.text(request).await;
    }
    harness.gateway.flush()?;

    let (log, ledger) = (log.text(), std::fs::read_to_string(&file)?);
    assert!(log.contains("tenant=\"acme\""), "{log}");
    assert_eq!(ledger.lines().count(), 21);
    for (name, text) in [("log", &log), ("ledger", &ledger)] {
        let found = text.lines().find(|line| line.contains("secret"));
        assert_eq!(found, None, "in the {name}");
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_gateway_that_nobody_may_call_does_not_start() -> TestResult {
    let folder = tempfile::tempdir()?;
    let keys = folder.path().join("keys");
    std::fs::write(&keys, "acme=sk-secret-file\nzed sk-secret-zed")?;
    let flag = format!("--keys={}", keys.display());
    let Err(error) = Harness::new(Config::default(), &[&flag]) else {
        return Err("a file of keys that cannot be read was taken".into());
    };
    let text = error.to_string();
    assert!(
        text.contains("line 2") && !text.contains("secret"),
        "{text}"
    );
    std::fs::write(&keys, "# nobody\nfile=sk-secret-file\n")?;
    let harness = Harness::new(Config::default(), &[&flag])?;
    let (status, _) = harness
        .text(call_of("sk-secret-file", CHAT, "Hi", false))
        .await?;
    assert_eq!(status, StatusCode::OK);
    Ok(())
}
