//! The Batch API, from an upload to its results.

use std::time::Duration;

use axum::body::Body;
use http::{Request, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::{BatchFaults, Batches, Config, Host, MockQwen};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::support::{COMPATIBLE, call, chat, instant, of, pass, seconds};

const FILES: &str = "/compatible-mode/v1/files";
const BATCHES: &str = "/compatible-mode/v1/batches";

fn with(batches: Batches) -> MockQwen {
    MockQwen::new(Config {
        batches,
        ..instant()
    })
}

fn line(id: &str, body: &Value) -> String {
    let line =
        json!({ "custom_id": id, "method": "POST", "url": "/v1/chat/completions", "body": body });
    format!("{line}\n")
}

async fn send(mock: &MockQwen, request: Request<Body>) -> (StatusCode, String) {
    let answer = mock
        .router()
        .oneshot(request)
        .await
        .expect("a router answers");
    let status = answer.status();
    let body = answer.into_body().collect().await.expect("a whole body");
    (
        status,
        String::from_utf8(body.to_bytes().to_vec()).expect("text"),
    )
}

async fn json_of(mock: &MockQwen, request: Request<Body>) -> (u16, Value) {
    let (status, text) = send(mock, request).await;
    (status.as_u16(), serde_json::from_str(&text).expect("JSON"))
}

fn get(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).expect("a request")
}

fn form(content: &str, purpose: &str) -> Request<Body> {
    let body = format!(
        "--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\n{purpose}\r\n\
         --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\"\r\n\
         Content-Type: application/octet-stream\r\n\r\n{content}\r\n--x--\r\n"
    );
    Request::post(FILES)
        .header("content-type", "multipart/form-data; boundary=x")
        .body(Body::from(body))
        .expect("a request")
}

async fn upload(mock: &MockQwen, content: &str) -> String {
    let (status, file) = json_of(mock, form(content, "batch")).await;
    assert_eq!((status, &file["bytes"]), (200, &json!(content.len())));
    file["id"].as_str().expect("an id").to_owned()
}

fn creation(file: &str) -> Request<Body> {
    let body = json!({
        "input_file_id": file,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        "metadata": { "ds_name": format!("job of {file}") },
    });
    Request::post(BATCHES)
        .body(Body::from(body.to_string()))
        .expect("a request")
}

async fn create(mock: &MockQwen, file: &str) -> String {
    let (status, job) = json_of(mock, creation(file)).await;
    assert_eq!((status, &job["status"]), (200, &json!("validating")));
    job["id"].as_str().expect("an id").to_owned()
}

async fn job(mock: &MockQwen, id: &str) -> Value {
    let (status, job) = json_of(mock, get(&format!("{BATCHES}/{id}"))).await;
    assert_eq!(status, 200, "{job}");
    job
}

/// The job at its end, an hour later.
async fn end_of(mock: &MockQwen, file: &str) -> Value {
    let id = create(mock, file).await;
    tokio::time::sleep(seconds(3_600)).await;
    job(mock, &id).await
}

async fn results(mock: &MockQwen, id: &Value) -> Vec<Value> {
    let path = format!("{FILES}/{}/content", id.as_str().expect("an id"));
    let (status, text) = send(mock, get(&path)).await;
    assert_eq!(status, StatusCode::OK);
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().expect("JSON lines")
}

#[tokio::test(start_paused = true)]
async fn a_job_answers_as_calls_do_and_counts_no_quota() {
    let mock = with(Batches {
        work: seconds(100),
        validation: seconds(10),
        ..Batches::default()
    });
    let mut wrong = chat("two");
    wrong["max_tokens"] = json!(0);
    let text = line("a", &chat("one")) + &line("b", &wrong) + "\n" + &line("c", &chat("three"));
    let file = upload(&mock, &text).await;
    let id = create(&mock, &file).await;
    pass(seconds(9)).await;
    assert_eq!(job(&mock, &id).await["status"], "validating");
    tokio::time::sleep(seconds(40)).await;
    let half = job(&mock, &id).await;
    assert_eq!(half["status"], "in_progress");
    assert_eq!(
        half["request_counts"],
        json!({ "total": 3, "completed": 1, "failed": 0 })
    );
    tokio::time::sleep(seconds(65)).await;
    assert_eq!(job(&mock, &id).await["status"], "finalizing");
    tokio::time::sleep(seconds(10)).await;
    let end = job(&mock, &id).await;
    assert_eq!(end["status"], "completed");
    assert_eq!(
        end["request_counts"],
        json!({ "total": 3, "completed": 2, "failed": 1 })
    );

    let output = results(&mock, &end["output_file_id"]).await;
    let ids: Vec<&Value> = output.iter().map(|line| &line["custom_id"]).collect();
    assert_eq!(ids, [&json!("a"), &json!("c")]);
    let (_, _, live) = call(&mock, COMPATIBLE, &chat("one")).await;
    let answered = &output[0]["response"];
    assert_eq!(answered["status_code"], 200);
    assert_eq!(answered["body"]["choices"], live["choices"]);
    assert_eq!(answered["body"]["usage"], live["usage"]);
    let errors = results(&mock, &end["error_file_id"]).await;
    assert_eq!(errors[0]["response"]["status_code"], 400);
    assert_eq!(errors[0]["error"]["code"], "invalid_parameter_error");

    let stats = mock.stats();
    assert_eq!(stats.seen, 1, "the live call alone");
    assert_eq!(
        (stats.batches.lines_completed, stats.batches.lines_failed),
        (2, 1)
    );
    assert_eq!(stats.batches.price_percent, 50);
    assert!(stats.batches.tokens.total > stats.tokens.total);
}

#[tokio::test(start_paused = true)]
async fn what_is_wrong_with_a_file_is_in_the_list_of_errors() {
    let mock = with(Batches {
        lines: 2,
        line_bytes: 200,
        ..Batches::default()
    });
    let good = line("a", &chat("one"));
    let other_model = good
        .replace("qwen-plus", "qwen-max")
        .replace("\"a\"", "\"b\"");
    let long = "x".repeat(200);
    for (text, line_number, code) in [
        (String::new(), Value::Null, "empty_file"),
        (format!("{good}nonsense\n"), json!(2), "invalid_json_line"),
        (format!("{good}{good}"), json!(2), "duplicate_custom_id"),
        (format!("{good}{other_model}"), json!(2), "model_mismatch"),
        (
            good.replace("/v1/chat/completions", "/v1/chat/completion"),
            json!(1),
            "url_not_found",
        ),
        (
            good.replace("/v1/chat/completions", "/v1/embeddings"),
            json!(1),
            "url_mismatch",
        ),
        (
            good.replace("\"a\"", "\"\""),
            json!(1),
            "missing_required_parameter",
        ),
        (good.replace("POST", "GET"), json!(1), "invalid_method"),
        (line("a", &chat(&long)), json!(1), "line_too_large"),
        (
            ["a", "b", "c"].map(|id| line(id, &chat("one"))).concat(),
            Value::Null,
            "too_many_tasks",
        ),
    ] {
        let file = upload(&mock, &text).await;
        let end = end_of(&mock, &file).await;
        assert_eq!(end["status"], "failed", "{code}");
        let error = &end["errors"]["data"][0];
        assert_eq!(
            (&error["code"], &error["line"]),
            (&json!(code), &line_number)
        );
        assert_eq!(end["output_file_id"], Value::Null);
    }
    assert_eq!(mock.stats().batches.jobs_failed, 10);
}

#[tokio::test(start_paused = true)]
async fn a_window_that_ends_leaves_what_was_answered() {
    let mock = with(Batches {
        work: seconds(100),
        hour: seconds(1),
        ..Batches::default()
    });
    let text: String = (0..10)
        .map(|n| line(&n.to_string(), &chat("one")))
        .collect();
    let file = upload(&mock, &text).await;
    let end = end_of(&mock, &file).await;
    assert_eq!(end["status"], "expired");
    assert_eq!(results(&mock, &end["output_file_id"]).await.len(), 2);
    let errors = results(&mock, &end["error_file_id"]).await;
    assert_eq!(
        (errors.len(), &errors[0]["error"]["code"]),
        (8, &json!("batch_expired"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_job_stops_at_once_and_keeps_its_answers() {
    let mock = with(Batches {
        work: seconds(100),
        ..Batches::default()
    });
    let text: String = (0..10)
        .map(|n| line(&n.to_string(), &chat("one")))
        .collect();
    let file = upload(&mock, &text).await;
    let id = create(&mock, &file).await;
    tokio::time::sleep(seconds(35)).await;
    let cancel = || {
        Request::post(format!("{BATCHES}/{id}/cancel"))
            .body(Body::empty())
            .expect("a request")
    };
    let (status, job_now) = json_of(&mock, cancel()).await;
    assert_eq!((status, &job_now["status"]), (200, &json!("cancelling")));
    tokio::time::sleep(Duration::from_millis(1)).await;
    let end = job(&mock, &id).await;
    assert_eq!(end["status"], "cancelled");
    assert_eq!(
        end["request_counts"],
        json!({ "total": 10, "completed": 3, "failed": 7 })
    );
    assert_eq!(results(&mock, &end["output_file_id"]).await.len(), 3);
    assert_eq!(json_of(&mock, cancel()).await.1["status"], "cancelled");
    assert!(
        mock.stats().batches.tokens.total > 0,
        "what was answered is paid"
    );
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_tokens_and_of_jobs_has_an_end() {
    let mock = with(Batches {
        enqueued_tokens: Some(30),
        jobs: 2,
        work: seconds(100),
        ..Batches::default()
    });
    let file = upload(&mock, &line("a", &chat("one"))).await;
    let first = create(&mock, &file).await;
    tokio::time::sleep(seconds(1)).await;
    let second = create(&mock, &file).await;
    let third = json_of(&mock, creation(&file)).await;
    assert_eq!(third.0, 429, "two jobs are under way: {}", third.1);
    tokio::time::sleep(seconds(1)).await;
    let refused = job(&mock, &second).await;
    assert_eq!(refused["errors"]["data"][0]["code"], "token_limit_exceeded");
    tokio::time::sleep(seconds(100)).await;
    assert_eq!(job(&mock, &first).await["status"], "completed");
    assert_eq!(end_of(&mock, &file).await["status"], "completed");
}

#[tokio::test(start_paused = true)]
async fn lists_are_by_pages_and_filters() {
    let mock = with(Batches::default());
    let mut files = Vec::new();
    for _ in 0..3 {
        let file = upload(&mock, &line("a", &chat("one"))).await;
        create(&mock, &file).await;
        files.push(file);
    }
    let listed = |query: String| {
        let mock = mock.clone();
        async move { json_of(&mock, get(&format!("{BATCHES}?{query}"))).await.1 }
    };
    let first = listed("limit=2".to_owned()).await;
    assert_eq!(
        (&first["has_more"], first["data"].as_array().map(Vec::len)),
        (&json!(true), Some(2))
    );
    assert_eq!(
        first["data"][0]["input_file_id"],
        json!(files[2]),
        "the newest first"
    );
    let rest = listed(format!("after={}", first["last_id"].as_str().unwrap())).await;
    assert_eq!(
        (&rest["has_more"], rest["data"].as_array().map(Vec::len)),
        (&json!(false), Some(1))
    );
    let of_file = listed(format!("input_file_ids=x,{}", files[1])).await;
    assert_eq!(of_file["data"][0]["input_file_id"], json!(files[1]));
    assert_eq!(
        listed(format!("ds_name={}", files[0])).await["data"]
            .as_array()
            .map(Vec::len),
        Some(1)
    );
    assert_eq!(
        listed("status=failed".to_owned()).await["data"],
        Value::Null
    );
    let (_, all) = json_of(&mock, get(&format!("{FILES}?purpose=batch"))).await;
    assert_eq!(all["data"].as_array().map(Vec::len), Some(3));
    let deletion = Request::delete(format!("{FILES}/{}", files[0]))
        .body(Body::empty())
        .unwrap();
    assert_eq!(json_of(&mock, deletion).await.1["deleted"], true);
    assert_eq!(
        json_of(&mock, get(&format!("{FILES}/{}", files[0])))
            .await
            .0,
        404
    );
    assert_eq!(
        json_of(&mock, get(&format!("{FILES}/{}/content", files[1])))
            .await
            .0,
        400
    );
    assert_eq!(
        json_of(&mock, get(&format!("{BATCHES}/batch_x"))).await.0,
        404
    );
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_and_other_hosts_have_none_of_it() {
    let mock = with(Batches::default());
    assert_eq!(json_of(&mock, form("x", "fine-tune")).await.0, 400);
    let file = upload(&mock, &line("a", &chat("one"))).await;
    for (name, value) in [
        ("completion_window", "23h"),
        ("completion_window", "15d"),
        ("completion_window", "24"),
        ("endpoint", "/v1/completions"),
        ("input_file_id", "file-batch-x"),
    ] {
        let mut body = json!({
            "input_file_id": file,
            "endpoint": "/v1/chat/completions",
            "completion_window": "14d",
        });
        body[name] = json!(value);
        let request = Request::post(BATCHES)
            .body(Body::from(body.to_string()))
            .unwrap();
        assert_eq!(json_of(&mock, request).await.0, 400, "{name}: {value}");
    }
    let locked = MockQwen::new(Config {
        require_key: true,
        ..instant()
    });
    assert_eq!(json_of(&locked, get(BATCHES)).await.0, 401);
    assert_eq!(json_of(&locked, form("x", "batch")).await.0, 401);
    let other = MockQwen::new(of(Host::Groq));
    assert_eq!(send(&other, get(BATCHES)).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test(start_paused = true)]
async fn faults_meet_the_first_ones() {
    let mock = with(Batches {
        faults: BatchFaults {
            broken_uploads: 1,
            throttled_creations: 1,
            broken_creations: 1,
            failed_jobs: 1,
            failed_lines: 1.0,
        },
        ..Batches::default()
    });
    let text = line("a", &chat("one"));
    let broken = mock
        .router()
        .oneshot(form(&text, "batch"))
        .await
        .expect("a head");
    assert!(broken.into_body().collect().await.is_err());
    let file = upload(&mock, &text).await;
    assert_eq!(
        mock.stats().batches.files_uploaded,
        2,
        "the broken one is stored"
    );
    assert_eq!(json_of(&mock, creation(&file)).await.0, 429);
    let broken = mock
        .router()
        .oneshot(creation(&file))
        .await
        .expect("a head");
    assert!(broken.into_body().collect().await.is_err());
    tokio::time::sleep(seconds(10)).await;
    let (_, list) = json_of(&mock, get(BATCHES)).await;
    assert_eq!(list["data"][0]["status"], "failed");
    let end = end_of(&mock, &file).await;
    assert_eq!(end["status"], "completed");
    let errors = results(&mock, &end["error_file_id"]).await;
    assert_eq!(errors[0]["response"]["status_code"], 503);
    assert_eq!(
        mock.stats().batches.tokens.total,
        0,
        "what fails costs nothing"
    );
}
