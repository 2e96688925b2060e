//! One call, from its request to the line that tells what became of it.

use std::pin::pin;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, Response, header, response};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use serde_json::value::RawValue;
use tower::{Service, ServiceExt};
use tower_qwen_ratelimit::{RejectKind, Rejected};
use tower_qwen_tokens::{
    Deadline, Dialect, Verdict,
    call::{BoxError, ParseError},
    protocol::header::X_REQUEST_ID,
};

use crate::{
    assemble::{Assembler, StreamError},
    output::{AnswerPart, ErrorPart, compact},
};

/// The longest answer that is kept. Unit: bytes.
pub const MAX_ANSWER: usize = 64 << 20;

/// What became of a call: what the provider answered, and why it failed.
pub type Outcome = (Option<AnswerPart>, Option<ErrorPart>);

/// Makes a call and waits for its whole answer, until the deadline at most. Streams are put together.
pub async fn perform<S, RB>(
    client: S,
    mut request: Request<Full<Bytes>>,
    deadline: Deadline,
) -> Outcome
where
    S: Service<Request<Full<Bytes>>, Response = Response<RB>, Error = BoxError>,
    RB: Body<Data = Bytes, Error: Into<BoxError>>,
{
    request.extensions_mut().insert(deadline);
    let is_native = Dialect::of_path(request.uri().path()).is_some_and(Dialect::is_native);
    let call = async {
        let response = client
            .oneshot(request)
            .await
            .map_err(|error| refused(&*error))?;
        let (parts, body) = response.into_parts();
        answer(&parts, body, is_native).await
    };
    match tokio::time::timeout_at(deadline.instant(), call).await {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => (None, Some(error)),
        Err(_) => (
            None,
            Some(ErrorPart::new(
                "deadline",
                "no whole answer came before the deadline",
            )),
        ),
    }
}

async fn answer<RB>(
    parts: &response::Parts,
    body: RB,
    is_native: bool,
) -> Result<Outcome, ErrorPart>
where
    RB: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let is_stream = parts.status.is_success() && is_event_stream(&parts.headers);
    let mut assembler = is_stream.then(|| Assembler::new(is_native));
    let mut whole = BytesMut::new();
    let mut length = 0_usize;
    let mut body = pin!(body);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| ErrorPart::new("body", chain(&*error.into())))?;
        let Some(data) = frame.data_ref() else {
            continue;
        };
        length = length.saturating_add(data.len());
        if length > MAX_ANSWER {
            return Err(ErrorPart::new(
                "body",
                format!("the answer is longer than {MAX_ANSWER} bytes"),
            ));
        }
        match &mut assembler {
            Some(assembler) => assembler.push(data),
            None => whole.extend_from_slice(data),
        }
    }
    Ok(match assembler {
        Some(assembler) => of_stream(parts, assembler)?,
        None => of_whole(parts, &whole),
    })
}

fn of_stream(parts: &response::Parts, assembler: Assembler) -> Result<Outcome, ErrorPart> {
    let status = parts.status.as_u16();
    match assembler.finish() {
        Ok(assembled) => Ok((
            Some(part(parts, status, assembled.body.to_string().as_bytes())),
            None,
        )),
        Err(StreamError::Event { verdict, data }) => {
            let status = verdict.status().map_or(status, |status| status.as_u16());
            let answer = part(parts, status, data.as_bytes());
            Ok((Some(answer), Some(provider_error(&verdict, status))))
        }
        Err(error) => Err(ErrorPart::new("stream_cut", error.to_string())),
    }
}

fn of_whole(parts: &response::Parts, whole: &[u8]) -> Outcome {
    let status = parts.status.as_u16();
    let answer = part(parts, status, whole);
    let error = if !parts.status.is_success() {
        Some(match parts.extensions.get::<Verdict>() {
            Some(verdict) => provider_error(verdict, status),
            None => ErrorPart::new(format!("http_{status}"), "the provider did not answer"),
        })
    } else if answer.body.get().starts_with('{') {
        None
    } else {
        Some(ErrorPart::new(
            "not_json",
            "the answer is not a JSON object",
        ))
    };
    (Some(answer), error)
}

fn part(parts: &response::Parts, status_code: u16, body: &[u8]) -> AnswerPart {
    let text = String::from_utf8_lossy(body);
    let body = match serde_json::from_str::<&RawValue>(&text) {
        Ok(json) => RawValue::from_string(compact(json.get())),
        Err(_) => serde_json::value::to_raw_value(&text),
    }
    .unwrap_or_else(|_| RawValue::NULL.to_owned());
    let header = parts
        .headers
        .get(X_REQUEST_ID)
        .and_then(|id| id.to_str().ok());
    AnswerPart {
        status_code,
        request_id: header
            .map(str::to_owned)
            .or_else(|| request_id(body.get()))
            .filter(|id| !id.is_empty()),
        body,
    }
}

fn request_id(body: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Id {
        request_id: String,
    }
    serde_json::from_str::<Id>(body)
        .ok()
        .map(|body| body.request_id)
}

fn provider_error(verdict: &Verdict, status: u16) -> ErrorPart {
    let code = verdict
        .code()
        .map_or_else(|| format!("http_{status}"), str::to_owned);
    ErrorPart::new(code, verdict.message().unwrap_or_default())
}

fn is_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// Why no answer came at all.
fn refused(error: &(dyn std::error::Error + 'static)) -> ErrorPart {
    let mut link = Some(error);
    while let Some(this) = link {
        if let Some(rejected) = this.downcast_ref::<Rejected>() {
            let code = match rejected.kind() {
                RejectKind::Deadline | RejectKind::MaxWait => "deadline",
                _ => "rejected",
            };
            return ErrorPart::new(code, rejected.to_string());
        }
        if this.is::<ParseError>() {
            return ErrorPart::new("unreadable", chain(error));
        }
        link = this.source();
    }
    ErrorPart::new("transport", chain(error))
}

/// An error and what caused it, in one line.
fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, error::Error, time::Duration};

    use http::StatusCode;
    use tower::service_fn;

    use super::*;

    type TestResult = Result<(), Box<dyn Error>>;

    async fn outcome(
        status: u16,
        kind: &'static str,
        body: &'static str,
    ) -> Result<Outcome, Box<dyn Error>> {
        let status = StatusCode::from_u16(status)?;
        let client = service_fn(move |_: Request<Full<Bytes>>| async move {
            let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())));
            *response.status_mut() = status;
            response
                .headers_mut()
                .insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
            if !status.is_success() {
                let verdict = Verdict::of_response(
                    status,
                    &HeaderMap::new(),
                    body.as_bytes(),
                    std::time::SystemTime::UNIX_EPOCH,
                );
                response.extensions_mut().insert(verdict);
            }
            Ok::<_, BoxError>(response)
        });
        let request = Request::post("http://h/v1/chat/completions").body(Full::default())?;
        Ok(perform(client, request, Deadline::after(Duration::from_secs(60))).await)
    }

    fn code(outcome: &Outcome) -> Option<&str> {
        outcome.1.as_ref().map(|error| error.code.as_str())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_stays_as_it_is_on_one_line() -> TestResult {
        let (answer, error) = outcome(
            200,
            "application/json",
            "{\n  \"n\": 1.50,\n  \"request_id\": \"r\" }\n",
        )
        .await?;
        let answer = answer.ok_or("no answer")?;
        assert_eq!(answer.body.get(), r#"{"n":1.50,"request_id":"r"}"#);
        assert_eq!(
            (answer.status_code, answer.request_id.as_deref()),
            (200, Some("r"))
        );
        assert_eq!(error, None);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_has_both_body_and_error() -> TestResult {
        let refusal = r#"{"error":{"code":"invalid_api_key","message":"m","param":null,"type":"t"},"request_id":""}"#;
        let refused = outcome(401, "application/json", refusal).await?;
        assert_eq!(code(&refused), Some("invalid_api_key"));
        let answer = refused.0.ok_or("no answer")?;
        assert_eq!((answer.status_code, answer.request_id), (401, None));
        assert_eq!(answer.body.get(), refusal);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_json_is_kept_as_text() -> TestResult {
        let page = outcome(502, "text/html", "<html>\n</html>").await?;
        assert_eq!(code(&page), Some("http_502"));
        assert_eq!(
            page.0.ok_or("no answer")?.body.get(),
            r#""<html>\n</html>""#
        );
        for body in ["<html>", "[1]", ""] {
            assert_eq!(
                code(&outcome(200, "application/json", body).await?),
                Some("not_json"),
                "{body}"
            );
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_event_is_the_error_of_the_line() -> TestResult {
        let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n\
                      event:error\n:HTTP_STATUS/429\n\
                      data:{\"code\":\"Throttling.RateQuota\",\"message\":\"m\",\"request_id\":\"r\"}\n\n";
        let broken = outcome(200, "text/event-stream;charset=UTF-8", stream).await?;
        assert_eq!(broken.1, Some(ErrorPart::new("Throttling.RateQuota", "m")));
        let answer = broken.0.ok_or("no answer")?;
        assert_eq!(
            (answer.status_code, answer.request_id.as_deref()),
            (429, Some("r"))
        );
        let cut = outcome(200, "text/event-stream", "data: {\"choices\":[]}\n\n").await?;
        assert_eq!(code(&cut), Some("stream_cut"));
        assert!(cut.0.is_none());
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn no_answer_tells_why() -> TestResult {
        let request = || Request::post("http://h/v1/x").body(Full::<Bytes>::default());
        let deadline = || Deadline::after(Duration::from_secs(1));
        let hanging =
            service_fn(|_| std::future::pending::<Result<Response<Full<Bytes>>, BoxError>>());
        assert_eq!(
            code(&perform(hanging, request()?, deadline()).await),
            Some("deadline")
        );
        let down = service_fn(|_| async {
            let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            Err::<Response<Full<Bytes>>, BoxError>(refused.into())
        });
        let (answer, error) = perform(down, request()?, deadline()).await;
        assert!(answer.is_none());
        assert_eq!(
            error,
            Some(ErrorPart::new("transport", "connection refused"))
        );
        Ok(())
    }

    #[test]
    fn the_kind_of_a_stream_may_have_parameters() -> Result<(), Infallible> {
        for (kind, expected) in [
            ("text/event-stream", true),
            ("Text/Event-Stream; charset=utf-8", true),
            ("application/json", false),
            ("text/event-stream-x", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
            assert_eq!(is_event_stream(&headers), expected, "{kind}");
        }
        assert!(!is_event_stream(&HeaderMap::new()));
        Ok(())
    }
}
