//! Names of models that callers invent, and the places in the figures.

use std::fs;

use serde_json::Value;

use crate::{
    hostile::Hostile,
    program::Program,
    raw::{Raw, chat, get},
    support::TestResult,
};

const ADMIN: &str = "sk-secret-admin";
/// How many places one caller can fill, and all callers together, with models that nobody knows.
const OF_CALLER: usize = 64;
const OF_ALL: usize = 256;

/// Twenty callers by a file, of whom the last may call two models alone.
fn config(upstream: &str) -> TestResult<String> {
    let address = upstream.strip_prefix("--upstream=").ok_or("no flag")?;
    let callers = (0..20).map(|number| {
        let models = match number {
            19 => "models = [\"house-model\", \"qwen-plus\"]\n",
            _ => "",
        };
        format!("[[callers]]\nname = \"c{number}\"\nkey = \"sk-secret-c{number}\"\n{models}")
    });
    let callers: String = callers.collect();
    Ok(format!(
        "version = 1\n{callers}[[upstreams]]\nname = \"up\"\nbase_url = \"{address}\"\napi_key = \"sk-up\"\n"
    ))
}

/// The answers' statuses of calls of one caller, one after the other.
async fn call(program: &Program, caller: usize, models: &[String]) -> TestResult<Vec<u16>> {
    let key = format!("sk-secret-c{caller}");
    let (mut raw, mut statuses) = (Raw::connect(program).await?, Vec::new());
    for model in models {
        raw.write(&chat(&key, model)).await?;
        statuses.push(raw.answer().await?.status);
    }
    Ok(statuses)
}

fn names(of: &str, number: usize) -> Vec<String> {
    (0..number).map(|model| format!("{of}-{model}")).collect()
}

/// What `/usage` has by model.
async fn used(program: &Program) -> TestResult<Value> {
    let usage: Value = serde_json::from_str(&get(program, "/usage", ADMIN).await?.body)?;
    Ok(usage["models"].clone())
}

fn shown(models: &Value, of: &str) -> usize {
    let names = models.as_object().into_iter().flatten();
    names.filter(|(name, _)| name.starts_with(of)).count()
}

#[tokio::test]
async fn models_that_are_known_have_places_whatever_callers_invent() -> TestResult {
    let (_, upstream) = Hostile::start().await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    fs::write(&path, config(&upstream)?)?;
    let config = format!("--config={}", path.display());
    let program = Program::start(&[&config, "--admin-key=sk-secret-admin"])?;
    // More than there are places at all.
    for caller in 0..17 {
        let models = names(&format!("invented-{caller}"), OF_CALLER);
        let statuses = call(&program, caller, &models).await?;
        assert_eq!(statuses, [200; OF_CALLER], "{caller}");
    }
    let known = ["qwen-plus", "house-model"].map(str::to_owned);
    assert_eq!(call(&program, 19, &known).await?, [200; 2]);

    let models = used(&program).await?;
    assert_eq!(shown(&models, "invented-"), OF_ALL, "{models}");
    assert_eq!(models["(other)"]["calls"], 17 * OF_CALLER - OF_ALL);
    let metrics = get(&program, "/metrics", ADMIN).await?.body;
    for known in known {
        assert_eq!(models[&known]["calls"], 1, "{known}");
        for metric in [
            "gen_ai_client_token_usage_count",
            "tower_qwen_retry_attempts_total",
            "tower_qwen_ratelimit_running",
        ] {
            let model = format!("gen_ai_request_model=\"{known}\"");
            let is_shown = |line: &str| line.starts_with(metric) && line.contains(&model);
            assert!(metrics.lines().any(is_shown), "{metric} {known}");
        }
    }
    // As the README has it.
    assert!(metrics.len() < 4 << 20, "{}", metrics.len());
    Ok(())
}

#[tokio::test]
async fn models_that_are_read_back_have_their_places_and_count() -> TestResult {
    let (_, upstream) = Hostile::start().await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    fs::write(&path, config(&upstream)?)?;
    let config = format!("--config={}", path.display());
    let ledger = format!("--ledger={}", folder.path().join("calls.jsonl").display());
    let flags = [&*config, &ledger, "--admin-key=sk-secret-admin"];
    for start in 0..3 {
        let mut program = Program::start(&flags)?;
        let models = names(&format!("start-{start}"), OF_CALLER);
        assert_eq!(call(&program, 0, &models).await?, [200; OF_CALLER]);
        let used = used(&program).await?;
        assert_eq!(shown(&used, "start-0-"), OF_CALLER, "{used}");
        assert_eq!(shown(&used, "start-"), OF_CALLER, "{used}");
        let other = &used["(other)"]["calls"];
        assert_eq!(other.as_u64().unwrap_or(0), 64 * start, "{used}");
        program.signal("TERM")?;
        assert_eq!(program.ends()?, Some(0));
    }
    Ok(())
}

#[tokio::test]
async fn names_with_a_slip_take_no_places() -> TestResult {
    let (hostile, upstream) = Hostile::start().await?;
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("gateway.toml");
    fs::write(&path, config(&upstream)?)?;
    let config = format!("--config={}", path.display());
    let program = Program::start(&[&config, "--admin-key=sk-secret-admin"])?;
    let slips = call(&program, 0, &names("slip", 100)).await?;
    assert_eq!(slips, [404; 100]);
    assert_eq!(hostile.calls(), 100);
    let new = call(&program, 0, &names("new", OF_CALLER)).await?;
    assert_eq!(new, [200; OF_CALLER]);
    let used = used(&program).await?;
    assert_eq!(shown(&used, "new-"), OF_CALLER, "{used}");
    assert_eq!(shown(&used, "slip-"), 0, "{used}");
    assert_eq!(used["(other)"]["calls"], 100, "{used}");
    Ok(())
}
