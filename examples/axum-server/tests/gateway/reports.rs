use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::Config;
use serde_json::Value;

use crate::support::{CHAT, Harness, TestResult, call, call_of};

fn get(path: &str, key: &str) -> Request<Body> {
    Request::get(path)
        .header("authorization", format!("Bearer {key}"))
        .body(Body::empty())
        .expect("a request")
}

async fn some_calls(harness: &Harness) -> TestResult {
    harness
        .text(call(CHAT, "Tell me of rivers.", false))
        .await?;
    harness
        .text(call_of("sk-secret-zed", CHAT, "Tell me more.", true))
        .await?;
    let mut left = harness
        .send(call(CHAT, "Tell me of seas.", true))
        .await
        .into_body();
    for _ in 0..9 {
        left.frame().await.ok_or("too short")??;
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn metrics_show_what_was_used() -> TestResult {
    let harness = Harness::new(Config::default(), &["--rpm=2"])?;
    some_calls(&harness).await?;
    assert_eq!(harness.send(call(CHAT, "Hi", false)).await.status(), 429);
    let (status, text) = harness
        .text(Request::get("/metrics").body(Body::empty())?)
        .await?;
    assert_eq!(status, StatusCode::OK);
    let figure = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        line.and_then(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
    };
    let total = harness.total();
    let of = |kind: &str| {
        let lines = text.lines().filter(|line| {
            line.starts_with("gen_ai_client_token_usage_sum{") && line.contains(kind)
        });
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum::<f64>()
    };
    assert_eq!(
        of("gen_ai_token_type=\"input\""),
        total.input_tokens as f64,
        "{text}"
    );
    assert_eq!(
        of("gen_ai_token_type=\"output\""),
        total.output_tokens as f64
    );
    let acme = "tenant=\"acme\",upstream=\"upstream\"";
    for (name, expected) in [
        (
            format!("calls_total{{{acme},status=\"200\",cause=\"none\"}}"),
            1.0,
        ),
        (
            format!("calls_total{{{acme},status=\"200\",cause=\"cancelled\"}}"),
            1.0,
        ),
        (
            "calls_total{tenant=\"acme\",upstream=\"none\",status=\"429\",cause=\"requests\"}"
                .to_owned(),
            1.0,
        ),
        (format!("calls_estimated_total{{{acme}}}"), 1.0),
        // That none of them waited is known, too.
        (format!("call_wait_seconds_count{{{acme}}}"), 2.0),
        (
            format!("call_wait_seconds_bucket{{{acme},le=\"0.01\"}}"),
            2.0,
        ),
        (format!("call_cost_count{{{acme},currency=\"USD\"}}"), 2.0),
        ("attempts_total ".to_owned(), 3.0),
        ("callers_total{outcome=\"admitted\"}".to_owned(), 3.0),
        ("callers_total{outcome=\"requests\"}".to_owned(), 1.0),
        (
            "caller_used{tenant=\"acme\",dimension=\"requests\"}".to_owned(),
            2.0,
        ),
        (
            "caller_quota{tenant=\"acme\",dimension=\"requests\"}".to_owned(),
            2.0,
        ),
        ("calls_under_way ".to_owned(), 0.0),
        ("ledger_lost_total ".to_owned(), 0.0),
    ] {
        let found = figure(&format!("axum_server_{name}"));
        assert_eq!(found, Some(expected), "{name} in {text}");
    }
    let of_acme = &harness.gateway.ledger().snapshot().tenants["acme"];
    for (kind, tokens) in [
        ("input", of_acme.input_tokens),
        ("output", of_acme.output_tokens),
    ] {
        let name = format!("axum_server_tokens_total{{{acme},type=\"{kind}\"}}");
        assert_eq!(figure(&name), Some(tokens as f64), "{text}");
    }
    assert!(text.contains("tower_qwen_ratelimit_used{"), "{text}");
    assert!(
        text.contains("tower_qwen_ratelimit_wait_seconds_bucket{"),
        "{text}"
    );
    assert!(!text.contains("secret"), "{text}");
    Ok(())
}

/// Models are named by callers: what is shown of them must not grow for ever.
#[tokio::test(start_paused = true)]
async fn accounts_that_have_gone_are_not_shown() -> TestResult {
    let harness = Harness::new(Config::default(), &[])?;
    let accounts = || harness.gateway.upstream().snapshot();
    let mut models = 0;
    while models == 0
        || accounts()
            .iter()
            .any(|account| account.key.model() == "qwen-plus")
    {
        assert!(models < 20_000, "its account never goes");
        let model = match models {
            0 => "qwen-plus".to_owned(),
            invented => format!("m-{invented}"),
        };
        let body = format!(r#"{{"model":"{model}","max_tokens":5,"messages":[]}}"#);
        let call = call_of("sk-secret-acme", CHAT, "", false).map(|_| body.into());
        harness.text(call).await?;
        models += 1;
        if models == 1 {
            assert!(gauges(&harness).await?.contains("\"qwen-plus\""));
            tokio::time::advance(Duration::from_secs(600)).await;
        }
    }
    let shown = gauges(&harness).await?;
    assert!(!shown.contains("\"qwen-plus\""), "of {models} models");
    // Requests and tokens of all that nobody knows.
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(shown.contains("\"(other)\""), "{shown}");
    Ok(())
}

/// What is shown of the upstream's accounts.
async fn gauges(harness: &Harness) -> TestResult<String> {
    let request = Request::get("/metrics").body(Body::empty())?;
    let (_, text) = harness.text(request).await?;
    let of_accounts = |line: &&str| line.starts_with("tower_qwen_ratelimit_used{");
    Ok(text
        .lines()
        .filter(of_accounts)
        .collect::<Vec<_>>()
        .join("\n"))
}

#[tokio::test(start_paused = true)]
async fn usage_is_told_to_whom_it_concerns() -> TestResult {
    let harness = Harness::new(Config::default(), &["--admin-key=sk-secret-admin"])?;
    some_calls(&harness).await?;
    let (_, all) = harness.text(get("/usage", "sk-secret-admin")).await?;
    let all: Value = serde_json::from_str(&all)?;
    assert_eq!(all["total"]["calls"], 3);
    assert_eq!(all["tenants"]["acme"]["estimated"], 1);
    let (_, own) = harness.text(get("/usage", "sk-secret-zed")).await?;
    let own: Value = serde_json::from_str(&own)?;
    assert_eq!(
        (&own["tenant"], &own["usage"]["calls"]),
        (&"zed".into(), &1.into())
    );
    assert_eq!(own["usage"], all["tenants"]["zed"]);

    for (path, key) in [
        ("/usage", "sk-other"),
        ("/metrics", "sk-other"),
        ("/metrics", "sk-secret-acme"),
        (CHAT, "sk-secret-admin"),
    ] {
        let (status, _) = harness.text(get(path, key)).await?;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path} {key}");
    }
    let (status, _) = harness.text(get("/metrics", "sk-secret-admin")).await?;
    assert_eq!(status, StatusCode::OK);
    let health = Request::get("/healthz").body(Body::empty())?;
    assert_eq!(
        harness.text(health).await?,
        (StatusCode::OK, "ok".to_owned())
    );
    Ok(())
}
