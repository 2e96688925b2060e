//! Requests that are compressed, as coding agents send them.

use async_compression::tokio::write::{BrotliEncoder, GzipEncoder, ZstdEncoder};
use axum::body::Body;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use mock_qwen::{Config, MockQwen};
use tokio::io::AsyncWriteExt;
use tower::service_fn;
use tower_qwen_tokens::call::BoxError;

use crate::support::{ANTHROPIC, CHAT, Harness, NATIVE, TestResult, call, problem};

const CODINGS: [&str; 3] = ["gzip", "zstd", "br"];

/// The same request, compressed.
async fn compressed(request: Request<Body>, coding: &'static str) -> TestResult<Request<Body>> {
    let (mut parts, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    macro_rules! by {
        ($encoder:ident) => {{
            let mut encoder = $encoder::new(Vec::new());
            encoder.write_all(&body).await?;
            encoder.shutdown().await?;
            encoder.into_inner()
        }};
    }
    let body = match coding {
        "gzip" => by!(GzipEncoder),
        "zstd" => by!(ZstdEncoder),
        _ => by!(BrotliEncoder),
    };
    parts.headers.insert("content-encoding", coding.parse()?);
    parts.headers.insert("content-length", body.len().into());
    Ok(Request::from_parts(parts, Body::from(body)))
}

#[tokio::test(start_paused = true)]
async fn compressed_requests_are_read_and_metered() -> TestResult {
    let harness = Harness::new(Config::default(), &[])?;
    for coding in CODINGS {
        for (path, stream) in [(CHAT, false), (CHAT, true), (NATIVE, true)] {
            let request = compressed(call(path, "Why is the sea salty?", stream), coding).await?;
            let (status, body) = harness.text(request).await?;
            assert_eq!(status, StatusCode::OK, "{coding} {path}: {body}");
        }
    }
    let (total, stats) = (harness.total(), harness.mock.stats());
    assert_eq!((total.calls, total.unknown, total.estimated), (9, 0, 0));
    assert_eq!(total.input_tokens, stats.tokens.prompt);
    assert_eq!(total.output_tokens, stats.tokens.output);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_upstream_gets_them_decoded() -> TestResult {
    for flags in [&[][..], &["--bare"]] {
        let upstream = service_fn(|request: Request<Body>| async move {
            assert!(!request.headers().contains_key("content-encoding"));
            let length = request.headers().get("content-length").cloned();
            let body = request.into_body().collect().await?.to_bytes();
            if let Some(length) = length {
                assert_eq!(length, body.len().to_string());
            }
            assert!(body.ends_with(br#""stream":false}"#), "{body:?}");
            Ok::<_, BoxError>(Response::new(Body::from("{}")))
        });
        let harness = Harness::before(upstream, MockQwen::new(Config::default()), flags)?;
        for coding in CODINGS {
            let request = compressed(call(CHAT, "Hi", false), coding).await?;
            let (status, body) = harness.text(request).await?;
            assert_eq!(status, StatusCode::OK, "{coding} {flags:?}: {body}");
        }
    }
    Ok(())
}

/// The cap is on what they hold: a few bytes may hold many.
#[tokio::test(start_paused = true)]
async fn what_holds_too_much_is_refused_for_that() -> TestResult {
    for (flags, path, code) in [
        (vec![], CHAT, "request_too_large"),
        (vec![], ANTHROPIC, "request_too_large"),
        (vec![], NATIVE, "RequestTooLarge"),
        (vec!["--bare"], CHAT, "request_too_large"),
    ] {
        let flags = [&["--max-body=100000"], &flags[..]].concat();
        let harness = Harness::new(Config::default(), &flags)?;
        for coding in CODINGS {
            let request = compressed(call(path, &"x".repeat(200_000), false), coding).await?;
            let length = request.headers()["content-length"].to_str()?.to_owned();
            assert!(length.parse::<u64>()? < 2_000, "{coding}: {length}");
            let (status, body) = harness.text(request).await?;
            assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE, "{coding}: {body}");
            assert_eq!(problem(&body)?.1, code);
            let request = compressed(call(path, &"x".repeat(90_000), false), coding).await?;
            let (status, body) = harness.text(request).await?;
            assert_ne!(status, StatusCode::PAYLOAD_TOO_LARGE, "{coding}: {body}");
        }
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn what_is_not_decoded_is_told_with_what_is() -> TestResult {
    for (flags, coding, accepted) in [
        (&[][..], "compress", Some("zstd,gzip,br")),
        (&[], "gzip, br", Some("zstd,gzip,br")),
        (&["--no-decompression"], "gzip", None),
        (&["--no-decompression"], "zstd", None),
    ] {
        let harness = Harness::new(Config::default(), flags)?;
        let mut request = call(CHAT, "Hi", false);
        let headers = request.headers_mut();
        headers.insert("content-encoding", coding.parse()?);
        let answer = harness.send(request).await;
        assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
        let named = answer.headers()["accept-encoding"].to_str()?.to_owned();
        assert_eq!(named, accepted.unwrap_or("identity"), "{coding}");
        let (_, body) = crate::support::read(answer).await?;
        assert_eq!(
            problem(std::str::from_utf8(&body)?)?.1,
            "unsupported_media_type"
        );
        assert_eq!(harness.mock.stats().seen, 0);
    }
    Ok(())
}
