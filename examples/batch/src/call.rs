//! One call, from its request to the line that tells what became of it.

use bytes::Bytes;
use http::{Request, Response, response};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde_json::value::RawValue;
use tower::{Service, ServiceExt};
use tower_qwen_ratelimit::{RejectKind, Rejected};
use tower_qwen_tokens::{
    Deadline, Dialect, Verdict,
    call::{BoxError, ParseError},
    protocol::header::X_REQUEST_ID,
};

use crate::{
    assemble::strict,
    ending::is_open,
    output::{AnswerPart, ErrorPart, compact},
    reading::MAX_ANSWER,
    request::is_streamable,
};

/// What became of a call: what the provider answered, and why it failed.
pub type Outcome = (Option<AnswerPart>, Option<ErrorPart>);

/// Makes a call and waits for its answer, until the deadline at most. The client hands on whole answers, as
/// [`WholeLayer`](crate::whole::WholeLayer) does.
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
    let dialect = Dialect::of_path(request.uri().path());
    let call = async {
        let response = client
            .oneshot(request)
            .await
            .map_err(|error| refused(&*error))?;
        let (parts, body) = response.into_parts();
        if let Some(error) = parts.extensions.get::<ErrorPart>() {
            return Err(error.clone());
        }
        let whole = Limited::new(body, MAX_ANSWER)
            .collect()
            .await
            .map_err(|error| ErrorPart::new("body", chain(&*error)))?;
        Ok(of_whole(&parts, &whole.to_bytes(), dialect))
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

fn of_whole(parts: &response::Parts, whole: &[u8], dialect: Option<Dialect>) -> Outcome {
    // A status of success does not make an error an answer: then the verdict has the status that it means.
    let verdict = parts.extensions.get::<Verdict>();
    let status = verdict.and_then(Verdict::status).unwrap_or(parts.status);
    let status = status.as_u16();
    let answer = part(parts, status, whole);
    let body = answer.body.get();
    let error = if let Some(verdict) = verdict {
        Some(provider_error(verdict, status))
    } else if !parts.status.is_success() {
        let code = format!("http_{status}");
        Some(ErrorPart::new(code, "the provider did not answer"))
    } else if !body.starts_with('{') {
        let message = "the answer is not a JSON object";
        Some(ErrorPart::new("not_json", message))
    } else if dialect.is_some_and(is_streamable) && is_open(body) {
        let message = "the answer gives no reason for its end: it may be cut";
        Some(ErrorPart::new("cut", message))
    } else {
        None
    };
    (Some(answer), error)
}

fn part(parts: &response::Parts, status_code: u16, body: &[u8]) -> AnswerPart {
    let text = String::from_utf8_lossy(body);
    let body = json(&text)
        .or_else(|| json(&strict(&text)))
        .or_else(|| serde_json::value::to_raw_value(&text).ok())
        .unwrap_or_else(|| RawValue::NULL.to_owned());
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

fn json(text: &str) -> Option<Box<RawValue>> {
    let json = serde_json::from_str::<&RawValue>(text).ok()?;
    RawValue::from_string(compact(json.get())).ok()
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
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
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
    use std::{error::Error, time::Duration};

    use http::{HeaderMap, StatusCode, header};
    use tower::{Layer, service_fn};

    use super::*;
    use crate::whole::WholeLayer;

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
        let client = WholeLayer.layer(client);
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
    async fn an_error_of_status_200_is_one() -> TestResult {
        for (kind, body, status, expected) in [
            ("application/json", r#"{"error":{"code":429}}"#, 429, "429"),
            (
                "application/json",
                r#"{"code":"Throttling.RateQuota","message":"x"}"#,
                200,
                "Throttling.RateQuota",
            ),
            (
                "text/plain",
                "\n{\n\"error\":{\"type\":\"overloaded_error\"}}",
                200,
                "overloaded_error",
            ),
            (
                "text/event-stream",
                "\n{\n  \"error\": {\"code\": 400, \"type\": \"exceed_context_size_error\"}\n}",
                400,
                "exceed_context_size_error",
            ),
            ("text/event-stream", r#"{"error":{"code":429}}"#, 429, "429"),
        ] {
            let failed = outcome(200, kind, body).await?;
            assert_eq!(code(&failed), Some(expected), "{kind} {body}");
            let answer = failed.0.ok_or("the error is kept")?;
            assert_eq!(answer.status_code, status, "{kind} {body}");
            assert!(answer.body.get().starts_with('{'));
        }
        for kind in ["application/json", "text/event-stream"] {
            let body = "\u{feff}{\"error\":null,\"choices\":[{\"finish_reason\":\"stop\",\"logprob\":NaN}]}";
            let (answer, error) = outcome(200, kind, body).await?;
            assert_eq!(error, None, "{kind}");
            assert_eq!(
                answer.ok_or("an answer")?.body.get(),
                r#"{"error":null,"choices":[{"finish_reason":"stop","logprob":null}]}"#
            );
        }
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_without_a_reason_to_stop_is_told_as_cut_and_kept() -> TestResult {
        let half = r#"{"choices":[{"index":0,"finish_reason":"length"},{"index":1,"finish_reason":null}]}"#;
        let stream = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"length\"}]}\n\n\
                      data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"a\"}}]}\n\ndata: [DONE]\n\n";
        for (kind, body) in [("application/json", half), ("text/event-stream", stream)] {
            let cut = outcome(200, kind, body).await?;
            assert_eq!(code(&cut), Some("cut"), "{kind}");
            assert!(
                cut.0
                    .ok_or("the answer is kept")?
                    .body
                    .get()
                    .contains("length")
            );
        }
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
}
