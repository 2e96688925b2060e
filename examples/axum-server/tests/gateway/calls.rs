use axum::body::Body;
use http::{Request, StatusCode};
use mock_qwen::Config;

use crate::support::{ANTHROPIC, CHAT, Harness, NATIVE, TestResult, call, call_of};

/// Both dialects, whole and in streams, of two callers, none of whom asks for usage.
#[tokio::test(start_paused = true)]
async fn the_ledger_equals_what_the_provider_counted() -> TestResult {
    let harness = Harness::new(Config::default(), &[])?;
    let paths = [CHAT, "/compatible-mode/v1/chat/completions", NATIVE];
    for turn in 0..24 {
        let key = ["sk-secret-acme", "sk-secret-zed"][turn % 2];
        let prompt = format!("{turn}: tell me of rivers. {}", "And more. ".repeat(turn));
        let request = call_of(key, paths[turn % 3], &prompt, turn % 4 < 2);
        let (status, body) = harness.text(request).await?;
        assert_eq!(status, StatusCode::OK, "{body}");
        if turn % 4 < 2 && turn % 3 < 2 {
            assert!(!body.contains("\"usage\":{"), "nobody asked: {body}");
            assert!(body.ends_with("data: [DONE]\n\n"));
        }
    }
    let (total, stats) = (harness.total(), harness.mock.stats());
    assert_eq!((total.calls, stats.completed), (24, 24));
    assert_eq!((total.failed, total.estimated, total.unknown), (0, 0, 0));
    assert_eq!(total.input_tokens, stats.tokens.prompt);
    assert_eq!(total.output_tokens, stats.tokens.output);
    let snapshot = harness.gateway.ledger().snapshot();
    assert_eq!(snapshot.tenants["acme"].calls, 12);
    assert_eq!(snapshot.tenants["zed"].calls, 12);
    assert_eq!(harness.gateway.attempts(), 24);
    let accounts = harness.gateway.upstream().snapshot();
    let settled: u64 = accounts.iter().map(|account| account.settled_tokens).sum();
    assert_eq!(settled, stats.tokens.total, "Admission hears it too");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_usage_gets_it() -> TestResult {
    let harness = Harness::new(Config::default(), &[])?;
    let body = r#"{"model":"qwen-plus","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"Hi"}]}"#;
    let request = call(CHAT, "", true).map(|_| body.into());
    let (_, body) = harness.text(request).await?;
    assert!(body.contains("\"total_tokens\""), "{body}");
    assert_eq!(
        harness.total().output_tokens,
        harness.mock.stats().tokens.output
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn answers_are_compressed_on_the_way_out_and_streams_are_not() -> TestResult {
    let harness = Harness::new(Config::default(), &[])?;
    for (stream, encoding) in [(false, Some("gzip")), (true, None)] {
        let mut request = call(CHAT, "Tell me of rivers.", stream);
        let gzip = "gzip".parse()?;
        request.headers_mut().insert("accept-encoding", gzip);
        let answer = harness.send(request).await;
        let found = answer.headers().get("content-encoding");
        assert_eq!(
            found.map(|value| value.as_bytes()),
            encoding.map(str::as_bytes)
        );
        crate::support::read(answer).await?;
    }
    let total = harness.total();
    assert_eq!((total.calls, total.unknown), (2, 0));
    assert_eq!(total.output_tokens, harness.mock.stats().tokens.output);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn without_our_layers_it_is_the_same_proxy() -> TestResult {
    let harness = Harness::new(Config::default(), &["--bare"])?;
    for stream in [false, true] {
        let (status, _) = harness.text(call(CHAT, "Hi", stream)).await?;
        assert_eq!(status, StatusCode::OK);
    }
    let (status, _) = harness.text(call_of("sk-other", CHAT, "Hi", false)).await?;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(harness.mock.stats().completed, 2);
    assert_eq!(harness.total().calls, 0);
    Ok(())
}

/// The model writes on where nobody sees what it uses.
#[tokio::test(start_paused = true)]
async fn calls_in_the_background_are_not_taken() -> TestResult {
    let harness = Harness::new(Config::default(), &[])?;
    for (path, background, expected) in [
        ("/v1/responses", "true", 400),
        ("/v1/responses", "\"true\"", 400),
        ("/v1/responses", "1", 400),
        ("/v1/responses", "\"yes\"", 400),
        ("/v1/responses", "true,\"background\":false", 400),
        ("/v1/responses", "false,\"background\":true", 400),
        ("/v1/responses", "false", 200),
        ("/v1/chat/completions", "true", 200),
    ] {
        let text = r#"[{"role":"user","content":"Hi"}]"#;
        let body = format!(
            r#"{{"model":"qwen-plus","input":{text},"messages":{text},"background":{background}}}"#
        );
        let request = Request::post(path)
            .header("authorization", "Bearer sk-secret-acme")
            .header("content-type", "application/json")
            .body(Body::from(body))?;
        let (status, answer) = harness.text(request).await?;
        assert_eq!(status, expected, "{path} {background}: {answer}");
        assert_eq!(answer.contains("`background`"), expected == 400, "{answer}");
    }
    assert_eq!(harness.total().calls, 2);
    Ok(())
}

/// What a lax host makes of them nobody knows: it may stream, and state no usage.
#[tokio::test(start_paused = true)]
async fn a_call_whose_stream_is_unclear_is_not_taken() -> TestResult {
    let harness = Harness::new(Config::default(), &[])?;
    for (path, members, expected) in [
        (CHAT, r#""stream":1"#, "`stream`"),
        (CHAT, r#""stream":"true""#, "`stream`"),
        (CHAT, r#""stream":"yes""#, "`stream`"),
        (CHAT, r#""stream":true,"stream":false"#, "`stream`"),
        (
            CHAT,
            r#""stream":true,"stream_options":[]"#,
            "`stream_options`",
        ),
        (
            CHAT,
            r#""stream":true,"stream_options":{"include_usage":"no"}"#,
            "`stream_options.include_usage`",
        ),
        ("/v1/responses", r#""stream":1"#, "`stream`"),
        // A host that passes over the case of letters runs another model, or writes longer.
        (CHAT, r#""Model":"qwen-max""#, "`model`"),
        (CHAT, r#""Max_Tokens":5000"#, "`max_tokens`"),
        (CHAT, r#""\u017ftream":true"#, "`stream`"),
        (ANTHROPIC, r#""stream":"true""#, "`stream`"),
        (CHAT, r#""stream":null,"stream_options":[]"#, ""),
        (CHAT, r#""stream":true,"stream_options":null"#, ""),
    ] {
        let text = r#"[{"role":"user","content":"Hi"}]"#;
        let body = format!(
            r#"{{"model":"qwen-plus","input":{text},"messages":{text},"max_tokens":50,{members}}}"#
        );
        let request = call(path, "", true).map(|_| Body::from(body));
        let (status, answer) = harness.text(request).await?;
        let is_refused = !expected.is_empty();
        assert_eq!(status == StatusCode::BAD_REQUEST, is_refused, "{members}");
        assert!(answer.contains(expected), "{answer}");
    }
    assert_eq!(harness.mock.stats().completed, 2);
    Ok(())
}
