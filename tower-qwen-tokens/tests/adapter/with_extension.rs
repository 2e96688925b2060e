//! What the layers read, in requests of reqwest's.

use std::time::Duration;

use http::Request;
use tower_qwen_tokens::{CallReport, adapter::reqwest_0_13::WithExtension, ledger::Tenant};

#[test]
fn a_request_keeps_all_and_gains_the_value() -> reqwest::Result<()> {
    let client = reqwest::Client::new();
    let built = client
        .post("http://127.0.0.1:1/v1/chat/completions?a=b")
        .header("authorization", "Bearer sk-1")
        .timeout(Duration::from_secs(7))
        .version(http::Version::HTTP_11)
        .body("{}");
    let request = built
        .with_extension(Tenant::new("first"))?
        .with_extension(Tenant::new("acme"))?
        .with_extension(CallReport::new())?;
    assert_eq!(request.method(), http::Method::POST);
    assert_eq!(
        request.url().as_str(),
        "http://127.0.0.1:1/v1/chat/completions?a=b"
    );
    assert_eq!(request.headers()["authorization"], "Bearer sk-1");
    assert_eq!(request.timeout(), Some(&Duration::from_secs(7)));
    assert_eq!(request.version(), http::Version::HTTP_11);
    assert_eq!(
        request.body().and_then(reqwest::Body::as_bytes),
        Some(&b"{}"[..])
    );
    let request = Request::<reqwest::Body>::try_from(request)?;
    assert_eq!(request.extensions().get(), Some(&Tenant::new("acme")));
    assert!(request.extensions().get::<CallReport>().is_some());
    Ok(())
}

#[test]
fn an_invalid_request_is_an_error() {
    let built = reqwest::Client::new().post("no url").with_extension(1_u8);
    assert!(built.expect_err("no URL").is_builder());
}
