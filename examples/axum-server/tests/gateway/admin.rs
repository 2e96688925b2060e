//! Callers and groups by the admin API.

use axum::body::Body;
use http::{Request, StatusCode};
use mock_qwen::Config;
use serde_json::{Value, json};

use crate::{
    config::Configured,
    support::{CHAT, Harness, TestResult, call_of},
};

const FILE: &str = "[[callers]]\nname = \"ours\"\nkey = \"sk-ours\"\n[[groups]]\nname = \"lab\"\ncost_per_day = \"5 USD\"\n";

fn request(method: &str, path: &str, body: &Value) -> Request<Body> {
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", "Bearer sk-admin");
    let request = match body {
        Value::Null => request.body(Body::empty()),
        body => request
            .header("content-type", "application/json")
            .body(Body::from(body.to_string())),
    };
    request.expect("a request")
}

async fn admin(
    harness: &Harness,
    method: &str,
    path: &str,
    body: Value,
) -> TestResult<(u16, Value)> {
    let (status, text) = harness.text(request(method, path, &body)).await?;
    let body = match text.is_empty() {
        true => Value::Null,
        false => serde_json::from_str(&text)?,
    };
    Ok((status.as_u16(), body))
}

#[tokio::test(start_paused = true)]
async fn a_caller_comes_changes_its_key_and_goes() -> TestResult {
    let folder = tempfile::tempdir()?;
    let state = folder.path().join("state.json");
    let state_flag = format!("--state={}", state.display());
    let flags = ["--admin-key=sk-admin", state_flag.as_str()];
    let gateway = Configured::new(FILE, &flags)?;
    let harness = &gateway.harness;
    let new = json!({"name": "acme", "group": "lab", "requests_per_minute": 100, "models": ["qwen-plus"]});
    let (status, made) = admin(harness, "POST", "/admin/callers", new.clone()).await?;
    assert_eq!(status, 201, "{made}");
    let key = made["key"].as_str().ok_or("no key")?.to_owned();
    assert_eq!(gateway.call(&key, CHAT).await?.0, 200);

    let (status, list) = admin(harness, "GET", "/admin/callers", Value::Null).await?;
    assert_eq!(status, 200);
    let rows = list["callers"].as_array().ok_or("no list")?;
    let names: Vec<_> = rows
        .iter()
        .map(|row| (&row["name"], &row["source"]))
        .collect();
    assert_eq!(
        names,
        [
            (&json!("ours"), &json!("file")),
            (&json!("acme"), &json!("api"))
        ]
    );
    let text = list.to_string();
    assert!(!text.contains(&key) && !text.contains("sk-ours"), "{text}");

    // The other key, and the one so far beside it.
    let (status, changed) = admin(
        harness,
        "PATCH",
        "/admin/callers/acme",
        json!({"new_key": true}),
    )
    .await?;
    assert_eq!(status, 200, "{changed}");
    let second = changed["key"].as_str().ok_or("no key")?.to_owned();
    for key in [&key, &second] {
        assert_eq!(gateway.call(key, CHAT).await?.0, 200);
    }
    let end = json!({"old_key_sha256": null, "requests_per_minute": 1, "group": null});
    let (status, changed) = admin(harness, "PATCH", "/admin/callers/acme", end).await?;
    assert_eq!(status, 200, "{changed}");
    assert_eq!(gateway.call(&key, CHAT).await?.0, 401);
    assert_eq!(changed.get("group"), None);
    let written = std::fs::read_to_string(&state)?;
    assert!(
        written.contains("acme") && !written.contains(&second),
        "{written}"
    );

    // Another process goes on with it.
    let again = Configured::new(FILE, &flags)?;
    assert_eq!(again.call(&second, CHAT).await?.0, 200);
    assert_eq!(again.call(&second, CHAT).await?.0, 429);
    assert_eq!(
        admin(&again.harness, "DELETE", "/admin/callers/acme", Value::Null)
            .await?
            .0,
        204
    );
    assert_eq!(again.call(&second, CHAT).await?.0, 401);
    assert_eq!(
        admin(&again.harness, "DELETE", "/admin/callers/acme", Value::Null)
            .await?
            .0,
        404
    );
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_of_the_file_or_unsound_is_not_taken() -> TestResult {
    let gateway = Configured::new(FILE, &["--admin-key=sk-admin"])?;
    let harness = &gateway.harness;
    for (method, path, body, expected) in [
        ("POST", "/admin/callers", json!({"name": "ours"}), 409),
        (
            "PATCH",
            "/admin/callers/ours",
            json!({"priority": "low"}),
            409,
        ),
        ("DELETE", "/admin/callers/ours", Value::Null, 409),
        ("DELETE", "/admin/groups/lab", Value::Null, 409),
        ("POST", "/admin/callers", json!({"name": "a b"}), 400),
        (
            "POST",
            "/admin/callers",
            json!({"name": "a", "nmae": 1}),
            400,
        ),
        (
            "POST",
            "/admin/callers",
            json!({"name": "a", "cost_per_day": "20"}),
            400,
        ),
        (
            "POST",
            "/admin/callers",
            json!({"name": "a", "group": "none"}),
            422,
        ),
        (
            "POST",
            "/admin/callers",
            json!({"name": "a", "cost_per_day": "1 EUR"}),
            422,
        ),
        (
            "POST",
            "/admin/callers",
            json!({"name": "a", "key": "sk-ours"}),
            422,
        ),
        (
            "POST",
            "/admin/callers",
            json!({"name": "a", "key": "sk-admin"}),
            422,
        ),
        (
            "POST",
            "/admin/groups",
            json!({"name": "g", "group": "g"}),
            422,
        ),
        ("PATCH", "/admin/callers/nobody", json!({}), 404),
        ("PUT", "/admin/callers", json!({}), 405),
        ("GET", "/admin/other", Value::Null, 404),
    ] {
        let (status, answer) = admin(harness, method, path, body.clone()).await?;
        assert_eq!(status, expected, "{method} {path} {body}: {answer}");
        assert!(answer["error"]["message"].is_string(), "{answer}");
    }
    let (_, list) = admin(harness, "GET", "/admin/callers", Value::Null).await?;
    assert_eq!(list["callers"].as_array().map(Vec::len), Some(1));
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_group_has_a_budget_for_its_callers() -> TestResult {
    let gateway = Configured::new(FILE, &["--admin-key=sk-admin"])?;
    let harness = &gateway.harness;
    let group = json!({"name": "poor", "usd_per_day": 0.000001});
    assert_eq!(admin(harness, "POST", "/admin/groups", group).await?.0, 201);
    let caller = json!({"name": "a", "key": "sk-a", "group": "poor"});
    assert_eq!(
        admin(harness, "POST", "/admin/callers", caller).await?.0,
        201
    );
    assert_eq!(
        gateway.call("sk-a", CHAT).await?,
        (413, "request_too_large".to_owned())
    );
    let rich = json!({"cost_per_day": "1 USD"});
    assert_eq!(
        admin(harness, "PATCH", "/admin/groups/poor", rich).await?.0,
        200
    );
    assert_eq!(gateway.call("sk-a", CHAT).await?.0, 200);
    let (status, answer) = admin(harness, "DELETE", "/admin/groups/poor", Value::Null).await?;
    assert_eq!(status, 422, "it has a member: {answer}");
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn nobody_but_the_admin_gets_in() -> TestResult {
    let keyed = Harness::new(Config::default(), &["--admin-key=sk-admin"])?;
    let loopback = Harness::new(Config::default(), &[])?;
    let outside = Harness::new(Config::default(), &["--listen=0.0.0.0:8000"])?;
    let get = |key: Option<&str>, host: &str, origin: Option<&str>, method: &str| {
        let mut request = Request::builder()
            .method(method)
            .uri("/admin/callers")
            .header("host", host);
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        if let Some(origin) = origin {
            request = request.header("origin", origin);
        }
        request.body(Body::empty()).expect("a request")
    };
    for (harness, request, expected) in [
        (&keyed, get(Some("sk-admin"), "gateway", None, "GET"), 200),
        (
            &keyed,
            get(Some("sk-secret-acme"), "gateway", None, "GET"),
            401,
        ),
        (&keyed, get(None, "127.0.0.1:8000", None, "GET"), 401),
        (
            &keyed,
            get(Some("sk-admin"), "gateway", Some("https://evil"), "POST"),
            403,
        ),
        (
            &keyed,
            get(Some("sk-admin"), "gateway", Some("null"), "POST"),
            403,
        ),
        // Its page; only its body is none.
        (
            &keyed,
            get(Some("sk-admin"), "gateway", Some("https://gateway"), "POST"),
            400,
        ),
        (&loopback, get(None, "127.0.0.1:8000", None, "GET"), 200),
        (&loopback, get(None, "localhost:8000", None, "GET"), 200),
        (&loopback, get(None, "[::1]:8000", None, "GET"), 200),
        (&loopback, get(None, "evil.example", None, "GET"), 404),
        (
            &loopback,
            get(None, "localhost:8000", Some("http://evil"), "POST"),
            403,
        ),
        (&outside, get(None, "127.0.0.1:8000", None, "GET"), 404),
        (
            &outside,
            get(Some("sk-secret-acme"), "127.0.0.1:8000", None, "GET"),
            404,
        ),
    ] {
        let at = format!("{request:?}");
        let (status, body) = harness.text(request).await?;
        assert_eq!(status.as_u16(), expected, "{at}: {body}");
    }
    let call = call_of("sk-admin", CHAT, "Hi", false);
    assert_eq!(keyed.send(call).await.status(), StatusCode::UNAUTHORIZED);
    Ok(())
}

/// A proxy on this machine passes its own target as the host, whoever asks it.
#[tokio::test(start_paused = true)]
async fn without_a_key_what_others_ask_by_way_of_this_machine_is_not_there() -> TestResult {
    let loopback = Harness::new(Config::default(), &[])?;
    let local = "host: localhost";
    let rows = [
        ("", local, "sec-fetch-mode: navigate", 200),
        ("", local, "sec-fetch-site: none", 200),
        ("", local, "sec-fetch-site: same-origin", 200),
        ("", local, "sec-fetch-site: same-site", 404),
        ("", local, "sec-fetch-site: cross-site", 404),
        ("", local, "forwarded: for=10.0.0.1", 404),
        ("", local, "via: 1.1 edge", 404),
        ("", local, "x-forwarded-for: 127.0.0.1", 404),
        ("", local, "x-forwarded-proto: https", 404),
        ("", local, "x-real-ip: 127.0.0.1", 404),
        ("", local, "true-client-ip: 127.0.0.1", 404),
        ("", local, local, 404),
        ("", "accept: */*", "accept: */*", 404),
        ("", "host: evil@localhost", "accept: */*", 404),
        ("http://localhost", "accept: */*", "accept: */*", 200),
        ("http://localhost", local, "accept: */*", 200),
        ("http://localhost", "host: evil.example", "accept: */*", 404),
    ];
    for (base, first, second, expected) in rows {
        for path in ["/admin/callers", "/", "/page/page.js"] {
            let mut request = Request::get(format!("{base}{path}"));
            for line in [first, second] {
                let (name, value) = line.split_once(": ").ok_or("no header")?;
                request = request.header(name, value);
            }
            let answer = loopback.send(request.body(Body::empty())?).await;
            assert_eq!(answer.status(), expected, "{base}{path} {first} {second}");
        }
    }
    Ok(())
}
