//! Which requests the program passes on and which it answers itself, before an upstream that records what it gets.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{Json, Router, extract::Request};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    program::Program,
    support::{ANTHROPIC, CHAT, NATIVE, TestResult, problem},
};

const ACME: &str = "sk-secret-acme";

/// All that the program passes on: with which method, from which path, to which one at the upstream.
const PASSED: &[(&str, &str, &str)] = &[
    ("POST", CHAT, "/compatible-mode/v1/chat/completions"),
    ("POST", "/v1/completions", "/compatible-mode/v1/completions"),
    ("POST", "/v1/embeddings", "/compatible-mode/v1/embeddings"),
    ("POST", "/v1/responses", "/compatible-mode/v1/responses"),
    ("POST", "/v1/messages", "/compatible-mode/v1/messages"),
    ("POST", "/v1/generate", "/compatible-mode/v1/generate"),
    ("GET", "/v1/models", "/compatible-mode/v1/models"),
    as_it_is("POST", "/compatible-mode/v1/chat/completions"),
    as_it_is("POST", "/compatible-mode/v1/completions"),
    as_it_is("POST", "/compatible-mode/v1/embeddings"),
    as_it_is("POST", "/compatible-mode/v1/responses"),
    as_it_is("GET", "/compatible-mode/v1/models"),
    as_it_is("POST", NATIVE),
    as_it_is(
        "POST",
        "/api/v1/services/aigc/multimodal-generation/generation",
    ),
    as_it_is(
        "POST",
        "/api/v1/services/embeddings/text-embedding/text-embedding",
    ),
    as_it_is(
        "POST",
        "/api/v1/services/embeddings/multimodal-embedding/multimodal-embedding",
    ),
    as_it_is("GET", "/api/v1/models"),
    as_it_is("POST", ANTHROPIC),
    as_it_is("GET", "/apps/anthropic/v1/models"),
];

const fn as_it_is(
    method: &'static str,
    path: &'static str,
) -> (&'static str, &'static str, &'static str) {
    (method, path, path)
}

/// Of the provider's other APIs, and of model calls where no provider has them.
const UNKNOWN: &[&str] = &[
    "/v1/files",
    "/v1/files/file-1",
    "/v1/files/file-1/content",
    "/v1/uploads",
    "/v1/batches",
    "/v1/batches/batch_1/cancel",
    "/v1/fine_tuning/jobs",
    "/v1/images/generations",
    "/v1/audio/speech",
    "/v1/moderations",
    "/v1/rerank",
    "/v1/assistants",
    "/v1/threads/thread_1/messages",
    "/v1/messages/batches",
    "/v1/messages/count_tokens",
    "/v1/responses/resp_1",
    "/v1/chat/completions/chatcmpl-1",
    "/v1/models/qwen-plus",
    "/compatible-mode/v1/files",
    "/compatible-mode/v1/batches",
    "/compatible-mode/v1/messages",
    "/compatible-mode/v1/generate",
    "/apps/anthropic/v1/messages/count_tokens",
    "/apps/anthropic/v1/messages/batches",
    "/apps/anthropic/v1/files",
    "/api/v1/tokens",
    "/api/v1/tokenizer",
    "/api/v1/files",
    "/api/v1/files/1",
    "/api/v1/uploads",
    "/api/v1/tasks",
    "/api/v1/tasks/1",
    "/api/v1/tasks/1/cancel",
    "/api/v1/fine-tunes",
    "/api/v1/deployments",
    "/api/v1/deployments/x/scale",
    "/api/v1/quotas",
    "/api/v1/models/limits",
    "/api/v1/apps/x/completion",
    "/api/v1/services/aigc/text2image/image-synthesis",
    "/api/v1/services/aigc/image2image/image-synthesis",
    "/api/v1/services/aigc/video-generation/video-synthesis",
    "/api/v1/services/audio/asr/transcription",
    "/api/v1/services/rerank/text-rerank/text-rerank",
    "/api/v1/services/embeddings/text-generation/generation",
    "/api/v1/services/aigc/text-embedding/text-embedding",
    "/api/v1/chat/completions",
    "/api/v1/text-generation/generation",
    "/api/v2/apps/protocols/compatible-mode/v1/responses",
    "/apps/anthropic/v1/chat/completions",
    "/apps/anthropic/messages",
    "/v1/text-generation/generation",
    "/v1/completions/chat/completions",
    "/v1/files/chat/completions",
    "/v1/v1/messages",
    "/v1/v1/models",
    "/chat/completions",
    "/messages",
    "/models",
    "/v1",
    "/v1/",
    "/usage/",
    "/healthz/x",
    "*",
];

const METHODS: &[&str] = &[
    "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "FOO", "post", "get",
];

/// What the upstream got: a line of method, path and key for each request.
#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    fn seen(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().expect("no panic while held")
    }

    async fn start(&self) -> TestResult<SocketAddr> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let at = listener.local_addr()?;
        let recorder = self.clone();
        let record = async move |request: Request| {
            let key = request.headers().get("authorization");
            let key = key.and_then(|key| key.to_str().ok()).unwrap_or_default();
            let line = format!("{} {} {key}", request.method(), request.uri());
            recorder.seen().push(line);
            Json(json!({}))
        };
        tokio::spawn(async { axum::serve(listener, Router::new().fallback(record)).await });
        Ok(at)
    }
}

/// The program before a recorder, with room for everybody.
struct Gateway {
    recorder: Recorder,
    program: Program,
}

#[derive(Debug)]
struct Answer {
    status: u16,
    allow: Option<String>,
    body: String,
}

impl Gateway {
    async fn start(flags: &[&str]) -> TestResult<Self> {
        let recorder = Recorder::default();
        let upstream = format!("http://{}/compatible-mode/v1", recorder.start().await?);
        let wide = [
            "--upstream",
            &upstream,
            "--upstream-key=sk-secret-upstream",
            "--key=acme=sk-secret-acme",
            "--admin-key=sk-secret-admin",
            "--rpm=1000000",
            "--tpm=1000000000",
        ];
        let program = Program::start(&[&wide, flags].concat())?;
        Ok(Self { recorder, program })
    }

    /// Sends a request as it stands: no client folds its path or minds its method.
    async fn send(&self, method: &str, path: &str, key: Option<&str>) -> TestResult<Answer> {
        let host = self.program.at.trim_start_matches("http://");
        let key = key.map_or(String::new(), |key| {
            format!("authorization: Bearer {key}\r\n")
        });
        let body = r#"{"model":"qwen-plus","max_tokens":1,"messages":[],"input":"Hi"}"#;
        let request = format!(
            "{method} {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{key}\
             content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len(),
        );
        let mut stream = TcpStream::connect(host).await?;
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
        let status = head.split(' ').nth(1).ok_or("no status")?.parse()?;
        let allow = head.lines().find_map(|line| line.strip_prefix("allow: "));
        Ok(Answer {
            status,
            allow: allow.map(str::to_owned),
            body: body.to_owned(),
        })
    }

    /// Sends a request that the program has to answer itself, with this status.
    async fn refused(
        &self,
        status: u16,
        method: &str,
        path: &str,
        key: Option<&str>,
    ) -> TestResult<Answer> {
        let before = self.recorder.seen().len();
        let answer = self.send(method, path, key).await?;
        assert_eq!(answer.status, status, "{method} {path} {answer:?}");
        let seen = self.recorder.seen()[before..].to_vec();
        assert_eq!(seen, [""; 0], "{method} {path}");
        if method != "HEAD" {
            let problem = problem(&answer.body);
            assert!(problem.is_ok(), "{method} {path} {answer:?}");
        }
        Ok(answer)
    }

    /// Who has no key, one that nobody has, or one that may not call.
    async fn refused_to_strangers(&self, method: &str, path: &str) -> TestResult {
        for key in [None, Some("sk-other"), Some("sk-secret-admin")] {
            self.refused(401, method, path, key).await?;
        }
        Ok(())
    }

    /// The callers' requests that took quota, and those that are booked.
    async fn counted(&self) -> TestResult<(u64, u64)> {
        let admin = Some("sk-secret-admin");
        let metrics = self.send("GET", "/metrics", admin).await?.body;
        let admitted = "axum_server_callers_total{outcome=\"admitted\"} ";
        let admitted = metrics.lines().find_map(|line| line.strip_prefix(admitted));
        let usage = self.send("GET", "/usage", admin).await?.body;
        let usage: Value = serde_json::from_str(&usage)?;
        let booked = usage["total"]["calls"].as_u64().ok_or("no calls")?;
        Ok((admitted.ok_or("no figure")?.parse()?, booked))
    }
}

/// Other spellings of a path, and the answers to them.
fn spellings(path: &str) -> Vec<(u16, String)> {
    let (most, last) = path.split_at(path.len() - 1);
    let escaped = last.as_bytes()[0];
    let mut rows = vec![
        (404, format!("{path}/")),
        (404, format!("{path}.")),
        (404, format!("{path}%20")),
        (404, format!("{path}/x")),
        (404, format!("{path}x")),
        (404, most.to_owned()),
        (404, path.to_uppercase()),
        (404, format!("{most}{}", last.to_uppercase())),
        (404, format!("/x{path}")),
        (400, format!("{most}%{escaped:02x}")),
        (400, format!("{path}//")),
        (400, format!("{path}/.")),
        (400, format!("{path};x=1")),
        (400, format!("{path}%3Fx")),
        (400, format!("{path}%00")),
        (400, format!("/x/..{path}")),
        (400, format!("/x/%2e%2e{path}")),
    ];
    for (at, _) in path.match_indices('/') {
        let (before, after) = path.split_at(at);
        rows.push((400, format!("{before}/{after}")));
        rows.push((400, format!("{before}/.{after}")));
        if at > 0 {
            rows.push((400, format!("{before}%2f{}", &after[1..])));
        }
        rows.push((404, format!("{before}/x{after}")));
        rows.push((404, format!("{before}/x{}", &after[1..])));
    }
    rows
}

#[tokio::test]
async fn what_is_on_the_list_is_passed_on_by_its_method_and_exact_path_alone() -> TestResult {
    let gateway = Gateway::start(&[]).await?;
    let mut expected = Vec::new();
    for &(method, path, at_upstream) in PASSED {
        let answer = gateway.send(method, path, Some(ACME)).await?;
        assert_eq!(answer.status, 200, "{method} {path} {answer:?}");
        expected.push(format!("{method} {at_upstream} Bearer sk-secret-upstream"));
        assert_eq!(*gateway.recorder.seen(), expected);

        gateway.refused_to_strangers(method, path).await?;
        for other in METHODS.iter().filter(|&&other| other != method) {
            let answer = gateway.refused(405, other, path, Some(ACME)).await?;
            assert_eq!(answer.allow.as_deref(), Some(method), "{other} {path}");
            gateway.refused(401, other, path, None).await?;
        }
        for (status, spelling) in spellings(path) {
            gateway
                .refused(status, method, &spelling, Some(ACME))
                .await?;
            gateway.refused(401, method, &spelling, None).await?;
        }
    }
    let calls = PASSED.iter().filter(|(method, ..)| *method == "POST");
    let counted = (PASSED.len() as u64, calls.count() as u64);
    assert_eq!(gateway.counted().await?, counted, "nothing for the others");
    Ok(())
}

#[tokio::test]
async fn what_is_not_on_the_list_is_answered_here_with_every_method() -> TestResult {
    for flags in [&[][..], &["--bare"]] {
        let gateway = Gateway::start(flags).await?;
        for path in UNKNOWN {
            for method in METHODS {
                let answer = gateway.refused(404, method, path, Some(ACME)).await?;
                assert_eq!(answer.allow, None, "{method} {path}");
            }
            gateway.refused_to_strangers("POST", path).await?;
            gateway.refused_to_strangers("GET", path).await?;
        }
        assert_eq!(*gateway.recorder.seen(), [""; 0]);
        assert_eq!(gateway.counted().await?, (0, 0));
    }
    Ok(())
}

#[tokio::test]
async fn refusals_are_worded_for_the_api_that_the_path_is_in() -> TestResult {
    let gateway = Gateway::start(&[]).await?;
    for (path, codes) in [
        (CHAT, ["", "method_not_supported", "invalid_api_key"]),
        ("/v1/files", ["not_found_error", "", "invalid_api_key"]),
        ("/anything", ["not_found_error", "", "invalid_api_key"]),
        (NATIVE, ["", "MethodNotAllowed", "InvalidApiKey"]),
        ("/api/v1/models", ["", "MethodNotAllowed", "InvalidApiKey"]),
        ("/api/v1/files", ["NotFound", "", "InvalidApiKey"]),
        (
            ANTHROPIC,
            ["", "invalid_request_error", "authentication_error"],
        ),
        (
            "/apps/anthropic/v1/files",
            ["not_found_error", "", "authentication_error"],
        ),
    ] {
        let [not_found, not_allowed, unauthenticated] = codes;
        let (status, code) = match not_found {
            "" => (405, not_allowed),
            _ => (404, not_found),
        };
        let answer = gateway.refused(status, "PUT", path, Some(ACME)).await?;
        assert_eq!(problem(&answer.body)?.1, code, "{path}");
        let is_anthropic = answer.body.starts_with(r#"{"type":"error""#);
        assert_eq!(is_anthropic, path.starts_with("/apps/"), "{path}");
        let answer = gateway.refused(401, "PUT", path, None).await?;
        assert_eq!(problem(&answer.body)?.1, unauthenticated, "{path}");
    }
    Ok(())
}

#[tokio::test]
async fn the_gateways_own_paths_are_read_only() -> TestResult {
    let gateway = Gateway::start(&[]).await?;
    for path in ["/healthz", "/readyz", "/usage", "/metrics"] {
        let admin = Some("sk-secret-admin");
        for method in METHODS {
            if matches!(*method, "GET" | "HEAD") {
                let answer = gateway.send(method, path, admin).await?;
                assert_eq!(answer.status, 200, "{method} {path} {answer:?}");
                assert_eq!(answer.body.is_empty(), *method == "HEAD", "{path}");
                continue;
            }
            let answer = gateway.refused(405, method, path, admin).await?;
            assert_eq!(answer.allow.as_deref(), Some("GET,HEAD"), "{method} {path}");
        }
    }
    for path in ["/", "/page/page.js"] {
        for method in METHODS {
            let answer = gateway.send(method, path, Some(ACME)).await?;
            let (status, allow) = match *method {
                "GET" | "HEAD" => (200, None),
                _ => (405, Some("GET,HEAD")),
            };
            let found = (answer.status, answer.allow.as_deref());
            assert_eq!(found, (status, allow), "{method} {path}");
        }
    }
    for path in ["/usage", "/metrics"] {
        gateway.refused(401, "GET", path, None).await?;
    }
    assert_eq!(gateway.send("GET", "/healthz", None).await?.body, "ok");
    assert_eq!(*gateway.recorder.seen(), [""; 0]);
    Ok(())
}

/// Some of these are refused by the HTTP server itself, in no caller's format.
#[tokio::test]
async fn forms_of_a_proxy_lead_nowhere_else() -> TestResult {
    let gateway = Gateway::start(&[]).await?;
    for (method, target) in [
        ("CONNECT", "other.example:443"),
        ("CONNECT", CHAT),
        ("CONNECT", "/v1/files"),
        ("OPTIONS", "*"),
        ("POST", "http://other.example/v1/files"),
        ("POST", "http://other.example"),
        ("POST", "//other.example/v1/chat/completions"),
        ("POST", "v1/chat/completions"),
        ("POST", "%2fv1/chat/completions"),
        ("POST", ""),
    ] {
        let answer = gateway.send(method, target, Some(ACME)).await?;
        let is_refused = matches!(answer.status, 400 | 404 | 405);
        assert!(is_refused, "{method} {target} {answer:?}");
        assert_eq!(*gateway.recorder.seen(), [""; 0], "{method} {target}");
    }
    Ok(())
}
