//! What the file says, of callers and what they may.

use http::StatusCode;
use mock_qwen::Config;
use tempfile::TempDir;

use crate::support::{ANTHROPIC, CHAT, Harness, NATIVE, TestResult, call_of, problem};

/// A gateway by a file, and the folder that it lies in.
pub(crate) struct Configured {
    pub(crate) harness: Harness,
    pub(crate) folder: TempDir,
}

impl Configured {
    pub(crate) fn new(text: &str, flags: &[&str]) -> TestResult<Self> {
        let folder = tempfile::tempdir()?;
        let flag = write(&folder, text)?;
        let flags = [&[flag.as_str()], flags].concat();
        let harness = Harness::new(Config::default(), &flags)?;
        Ok(Self { harness, folder })
    }

    /// Calls the model of the tests' calls; gives the status and the error's code, if it is one.
    pub(crate) async fn call(&self, key: &str, path: &str) -> TestResult<(u16, String)> {
        let (status, body) = self.harness.text(call_of(key, path, "Hi", false)).await?;
        let code = match status {
            StatusCode::OK => String::new(),
            _ => problem(&body)?.1,
        };
        Ok((status.as_u16(), code))
    }
}

/// Writes the file; gives the flag that names it.
pub(crate) fn write(folder: &TempDir, text: &str) -> TestResult<String> {
    let path = folder.path().join("gateway.toml");
    std::fs::write(&path, format!("version = 1\n{text}"))?;
    Ok(format!("--config={}", path.display()))
}

fn ok() -> (u16, String) {
    (200, String::new())
}

#[tokio::test(start_paused = true)]
async fn quotas_are_of_the_file_and_what_it_leaves_out_is_unlimited() -> TestResult {
    let gateway = Configured::new(
        r#"
        [defaults]
        requests_per_minute = 1
        [[callers]]
        name = "two"
        key = "sk-two"
        requests_per_minute = 2
        [[callers]]
        name = "one"
        key = "sk-one"
        "#,
        &[],
    )?;
    for (key, calls) in [("sk-two", 2), ("sk-one", 1)] {
        for _ in 0..calls {
            assert_eq!(gateway.call(key, CHAT).await?, ok());
        }
        let refused = gateway.call(key, CHAT).await?;
        assert_eq!(refused, (429, "limit_requests".to_owned()), "{key}");
    }
    let gateway = Configured::new(
        "[[callers]]\nname = \"free\"\nkey = \"sk-free\"",
        &["--key=flag=sk-flag"],
    )?;
    for key in ["sk-free", "sk-flag"] {
        let answer = gateway.harness.send(call_of(key, CHAT, "Hi", false)).await;
        assert_eq!(answer.status(), StatusCode::OK);
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_model_that_is_not_listed_is_refused_in_each_dialect() -> TestResult {
    let gateway = Configured::new(
        r#"
        [[callers]]
        name = "max"
        key = "sk-max"
        models = ["qwen-max"]
        [[callers]]
        name = "plus"
        key = "sk-plus"
        models = ["qwen-max", "qwen-plus"]
        "#,
        &[],
    )?;
    for (path, code) in [
        (CHAT, "access_denied"),
        (NATIVE, "AccessDenied"),
        (ANTHROPIC, "permission_error"),
    ] {
        let refused = gateway.call("sk-max", path).await?;
        assert_eq!(refused, (403, code.to_owned()), "{path}");
    }
    assert_eq!(gateway.harness.mock.stats().seen, 0);
    assert_eq!(gateway.call("sk-plus", CHAT).await?, ok());
    Ok(())
}

/// A host may take another model by one of these, whatever `model` says.
#[tokio::test(start_paused = true)]
async fn a_limited_caller_names_no_model_by_another_member() -> TestResult {
    let gateway = Configured::new(
        r#"
        [[callers]]
        name = "plus"
        key = "sk-plus"
        models = ["qwen-plus"]
        [[callers]]
        name = "any"
        key = "sk-any"
        "#,
        &[],
    )?;
    let call = |key: &str, more: &str| {
        let body = format!(r#"{{"model":"qwen-plus","messages":[]{more}}}"#);
        call_of(key, CHAT, "Hi", false).map(|_| body.into())
    };
    for (more, member) in [
        (r#","models":["qwen-max"]"#, "models"),
        (r#","route":"fallback""#, "route"),
        (r#","fallbacks":["qwen-max"]"#, "fallbacks"),
        (r#","plugins":[]"#, "plugins"),
        (r#","provider":{}"#, "provider"),
        (
            r#","mock_testing_fallbacks":true"#,
            "mock_testing_fallbacks",
        ),
        (r#","mod\u0065ls":["qwen-max"]"#, "models"),
        (r#","Model\u017f":["qwen-max"]"#, "models"),
        (r#","models":[],"models":["qwen-max"]"#, "models"),
    ] {
        let (status, body) = gateway.harness.text(call("sk-plus", more)).await?;
        let (message, code) = problem(&body)?;
        assert_eq!((status.as_u16(), &*code), (403, "access_denied"), "{more}");
        assert!(message.contains(&format!("`{member}`")), "{message}");
    }
    assert_eq!(gateway.harness.mock.stats().seen, 0);
    // Deeper down it is the caller's own matter, and so is all of it where any model may be called.
    for (key, more) in [
        ("sk-plus", r#","metadata":{"models":"qwen-max"}"#),
        ("sk-any", r#","models":["qwen-max"]"#),
    ] {
        let (status, body) = gateway.harness.text(call(key, more)).await?;
        assert_ne!(status, StatusCode::FORBIDDEN, "{body}");
    }
    assert_eq!(gateway.harness.mock.stats().seen, 2);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn two_keys_live_at_once_and_end_when_they_expire() -> TestResult {
    let gateway = Configured::new(
        r#"
        [[callers]]
        name = "acme"
        # printf sk-new | sha256sum
        key_sha256 = "HASH"
        expires = 2099-01-01
        old_key = "sk-old"
        old_key_expires = 2099-01-01T00:00:00Z
        [[callers]]
        name = "gone"
        key = "sk-gone"
        expires = "2020-01-01"
        "#
        .replace("HASH", &sha256("sk-new")?)
        .as_str(),
        &[],
    )?;
    assert_eq!(gateway.call("sk-new", CHAT).await?, ok());
    assert_eq!(gateway.call("sk-old", CHAT).await?, ok());
    assert_eq!(gateway.call("sk-gone", CHAT).await?.0, 401);
    Ok(())
}

fn sha256(key: &str) -> TestResult<String> {
    use axum_server::api_key::{ApiKey, KeyHash};
    Ok(KeyHash::of(&key.parse::<ApiKey>()?).into())
}

#[tokio::test(start_paused = true)]
async fn budgets_of_callers_and_groups_are_kept() -> TestResult {
    let gateway = Configured::new(
        r#"
        [[callers]]
        name = "small"
        key = "sk-small"
        usd_per_day = 0.000001
        [[callers]]
        name = "yuan"
        key = "sk-yuan"
        cost_per_day = "0.00001 CNY"
        [[callers]]
        name = "member"
        key = "sk-member"
        group = "research"
        [[callers]]
        name = "tokens"
        key = "sk-tokens"
        tokens_per_day = 5
        [[callers]]
        name = "rich"
        key = "sk-rich"
        cost_per_day = "20 USD"
        group = "lab"
        [[groups]]
        name = "research"
        group = "all"
        cost_per_day = "5 USD"
        [[groups]]
        name = "all"
        cost_per_month = "0.000001 USD"
        [[groups]]
        name = "lab"
        cost_per_day = "50 USD"
        [rates]
        CNY_USD = 0.14
        "#,
        &[],
    )?;
    for key in ["sk-small", "sk-yuan", "sk-member", "sk-tokens"] {
        let refused = gateway.call(key, CHAT).await?;
        assert_eq!(refused, (413, "request_too_large".to_owned()), "{key}");
    }
    assert_eq!(gateway.call("sk-rich", CHAT).await?, ok());
    let limits = gateway.harness.gateway.budgets().snapshot().limits;
    let spent = limits
        .iter()
        .filter(|limit| limit.spent.to_string() != "0 USD");
    let spent: Vec<_> = spent.map(|limit| limit.owner.name().to_owned()).collect();
    assert!(
        spent.contains(&"rich".to_owned()) && spent.contains(&"lab".to_owned()),
        "{spent:?}"
    );
    Ok(())
}

/// Each line of a bad file, with all that is wrong in it.
#[test]
fn all_that_is_wrong_is_found_at_once() -> TestResult {
    let folder = tempfile::tempdir()?;
    let text = r#"
[limits]
head_timeout = "10"
[[callers]]
name = "acme"
key = "sk-1"
group = "nobody"
cost_per_day = "20 EUR"
[[callers]]
name = "acme"
key = "sk-2"
request_per_minute = 5
[[callers]]
name = "zed"
key = "sk-1"
models = ["no-price"]
usd_per_day = 3
[[upstreams]]
name = "main"
base_url = "dashscope"
[[groups]]
name = "gone"
group = "missing"
"#;
    let flag = write(&folder, text)?;
    let args = <axum_server::Args as clap::Parser>::try_parse_from(["axum-server", &flag])?;
    let problems = axum_server::config::Config::load(&args).map(drop);
    let first = problems.expect_err("a bad file").to_string();
    let lines: Vec<&str> = first.lines().collect();
    let expected = [
        (":4:16: ", "a time is written as `10s`"),
        (":13:1: ", "unknown key `request_per_minute` in [[callers]]"),
        (":21:12: ", "it does not begin with http"),
    ];
    assert_eq!(lines.len(), expected.len(), "{first}");
    for ((place, message), line) in expected.iter().zip(&lines) {
        assert!(line.contains(place) && line.contains(message), "{line}");
    }
    // Once each thing by itself is sound, what does not fit together.
    let sound = text
        .replace("\"10\"", "\"10s\"")
        .replace("request_per_minute = 5\n", "")
        .replace("\"dashscope\"", "\"http://host/v1\"");
    write(&folder, &sound)?;
    let problems = axum_server::config::Config::load(&args).map(drop);
    let second = problems.expect_err("a bad file").to_string();
    let expected = [
        (":8:9: ", "there is no group nobody"),
        (":9:16: ", "USD, and [rates] has no USD_EUR"),
        (":11:8: ", "a second caller with the name acme"),
        (":15:7: ", "the key of zed is the key of acme too"),
        (":17:15: ", "the model no-price has no price"),
        (":23:9: ", "there is no group missing"),
    ];
    for (place, message) in expected {
        let found = second
            .lines()
            .any(|line| line.contains(place) && line.contains(message));
        assert!(found, "{place} {message} in\n{second}");
    }
    assert!(!first.contains("sk-") && !second.contains("sk-"));
    Ok(())
}

#[test]
fn the_example_is_sound() -> TestResult {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/gateway.toml");
    let flag = format!("--config={path}");
    let args = <axum_server::Args as clap::Parser>::try_parse_from(["axum-server", &flag])?;
    let plan = axum_server::config::Config::load(&args)?.plan;
    assert_eq!(
        plan.prices.price("fast"),
        plan.prices.price("qwen3.8-flash")
    );
    assert_eq!(
        plan.longest_period,
        Some(std::time::Duration::from_secs(86_400))
    );
    Ok(())
}
