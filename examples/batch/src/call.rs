//! One call, from its request to the line that tells what became of it.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, response};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde_json::value::RawValue;
use tokio::time::Instant;
use tower::{Service, ServiceExt};
use tower_qwen_ratelimit::{RejectKind, Rejected, budget::BudgetError};
use tower_qwen_tokens::{
    CallReport, Deadline, Dialect, Verdict,
    call::{BoxError, ParseError},
    protocol::header::X_REQUEST_ID,
};

use crate::{
    accounts::AccountClosed,
    assemble::strict,
    ending::is_open,
    failure::{Known, chain, find, of_parts, of_transport},
    fatal::Fatal,
    last_failure::LastFailure,
    output::{AnswerPart, ErrorPart, compact},
    reading::MAX_ANSWER,
    request::is_streamable,
    words,
};

/// What became of a call.
#[derive(Debug, Default)]
pub struct Outcome {
    /// What the provider answered, if it did.
    pub response: Option<AnswerPart>,
    /// Why the call failed, if it did.
    pub error: Option<ErrorPart>,
    /// The failure, where other calls will meet it too.
    pub fatal: Option<Fatal>,
    /// The cap that had no room for the call. It was not sent.
    pub over_cap: Option<BudgetError>,
    /// How long the call took; `None` where it had no request.
    pub times: Option<CallTimes>,
    /// The account where the call waited last takes it no more, or another one can send it sooner. It was not sent.
    pub is_without_account: bool,
}

/// How long one call took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallTimes {
    /// It waited so long: for quota, and between its attempts.
    pub wait: Duration,
    /// From when it took its place in the queue to its end.
    pub total: Duration,
}

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
    let last = LastFailure::default();
    let clock = CallClock::until(deadline);
    request.extensions_mut().insert(deadline);
    request.extensions_mut().insert(last.clone());
    let report = CallReport::new();
    request.extensions_mut().insert(report.clone());
    let dialect = Dialect::of_path(request.uri().path());
    // Moved into the timeout as a pointer.
    let call = Box::pin(async {
        let response = match client.oneshot(request).await {
            Ok(response) => response,
            Err(error) => return no_answer(&*error, &last, &clock),
        };
        let (parts, body) = response.into_parts();
        if let Some(error) = parts.extensions.get::<ErrorPart>() {
            return Outcome::failed((error.clone(), None));
        }
        match Limited::new(body, MAX_ANSWER).collect().await {
            Ok(whole) => of_whole(&parts, &whole.to_bytes(), dialect),
            Err(error) => Outcome::failed((ErrorPart::new("body", chain(&*error)), None)),
        }
    });
    let mut outcome = match tokio::time::timeout_at(deadline.instant(), call).await {
        Ok(outcome) => outcome,
        Err(_) => {
            let none = || {
                let given = words::duration(clock.given());
                let message = format!("no whole answer came within the deadline of {given}");
                (ErrorPart::new("deadline", message), None)
            };
            Outcome::failed(clock.behind_the_deadline(&last).unwrap_or_else(none))
        }
    };
    outcome.times = Some(CallTimes {
        wait: report.queued() + report.retry_wait(),
        total: clock.waited(),
    });
    outcome
}

/// When a call began, and how long it may take.
#[derive(Debug, Clone, Copy)]
struct CallClock {
    began: Instant,
    until: Instant,
}

impl CallClock {
    fn until(deadline: Deadline) -> Self {
        Self {
            began: Instant::now(),
            until: deadline.instant(),
        }
    }

    fn waited(&self) -> Duration {
        Instant::now().duration_since(self.began)
    }

    fn given(&self) -> Duration {
        self.until.duration_since(self.began)
    }

    /// What the attempts failed with that the deadline has cut short.
    fn behind_the_deadline(&self, last: &LastFailure) -> Option<Known> {
        let (mut error, fatal) = last.get()?;
        let given = words::duration(self.given());
        error.message = format!("{} (tried until the deadline of {given})", error.message);
        Some((error, fatal))
    }
}

impl Outcome {
    fn failed((error, fatal): Known) -> Self {
        Self {
            error: Some(error),
            fatal,
            ..Self::default()
        }
    }
}

/// What a whole answer comes to. A verdict in the extensions is believed.
pub(crate) fn of_whole(parts: &response::Parts, whole: &[u8], dialect: Option<Dialect>) -> Outcome {
    // A status of success does not make an error an answer: then the verdict has the status that it means.
    let verdict = parts.extensions.get::<Verdict>();
    let status = verdict.and_then(Verdict::status).unwrap_or(parts.status);
    let answer = part(parts, status.as_u16(), whole);
    let body = answer.body.get();
    let failure = if let Some(failure) = of_parts(parts.status, &parts.extensions) {
        Some(failure)
    } else if !body.starts_with('{') {
        let message = "the answer is not a JSON object";
        let fatal = Fatal::not_json(status.as_u16());
        Some((ErrorPart::new("not_json", message), Some(fatal)))
    } else if dialect.is_some_and(is_streamable) && is_open(body) {
        let message = "the answer gives no reason for its end: it may be cut";
        Some((ErrorPart::new("cut", message), None))
    } else {
        None
    };
    let (error, fatal) = failure.unzip();
    Outcome {
        response: Some(answer),
        error,
        fatal: fatal.flatten(),
        ..Outcome::default()
    }
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

/// Why no answer came at all.
fn no_answer(
    error: &(dyn std::error::Error + 'static),
    last: &LastFailure,
    clock: &CallClock,
) -> Outcome {
    if let Some(over_cap) = find::<BudgetError>(error) {
        return Outcome {
            over_cap: Some(over_cap.clone()),
            ..Outcome::default()
        };
    }
    if let Some(closed) = find::<AccountClosed>(error) {
        let part = ErrorPart::new("rejected", closed.to_string());
        return Outcome {
            is_without_account: true,
            ..Outcome::failed((part, closed.fatal().cloned()))
        };
    }
    if let Some(rejected) = find::<Rejected>(error) {
        return Outcome::failed(of_rejected(rejected, last, clock));
    }
    if find::<ParseError>(error).is_some() {
        return Outcome::failed((ErrorPart::new("unreadable", chain(error)), None));
    }
    Outcome::failed(of_transport(error))
}

/// What the queue for the quota says of a call that it does not send.
fn of_rejected(rejected: &Rejected, last: &LastFailure, clock: &CallClock) -> Known {
    let message = match (rejected.kind(), rejected.predicted_wait()) {
        (RejectKind::PlanUsedUp, _) => {
            let message = rejected.to_string();
            let fatal = Fatal::plan(rejected.until(), message.clone());
            return (ErrorPart::new("rejected", message), Some(fatal));
        }
        (RejectKind::Deadline | RejectKind::MaxWait, needs) => {
            if let Some(known) = clock.behind_the_deadline(last) {
                return known;
            }
            let waited = words::duration(clock.waited());
            let given = words::duration(clock.given());
            match needs.map(words::duration) {
                Some(needs) => {
                    format!("waited {waited}, needs {needs} more, and has {given} in all")
                }
                None => format!("waited {waited} for quota, and has {given} in all"),
            }
        }
        _ => return (ErrorPart::new("rejected", rejected.to_string()), None),
    };
    (ErrorPart::new("deadline", message), None)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use http::{HeaderMap, StatusCode, header};
    use tower::{Layer, service_fn};

    use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Quota};

    use super::*;
    use crate::{fatal::FatalReason, last_failure::LastFailureLayer, whole::WholeLayer};

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
        outcome.error.as_ref().map(|error| error.code.as_str())
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_stays_as_it_is_on_one_line() -> TestResult {
        let Outcome {
            response: answer,
            error,
            ..
        } = outcome(
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
        let answer = refused.response.ok_or("no answer")?;
        assert_eq!((answer.status_code, answer.request_id), (401, None));
        assert_eq!(answer.body.get(), refusal);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_json_is_kept_as_text() -> TestResult {
        let page = outcome(502, "text/html", "<html>\n</html>").await?;
        assert_eq!(code(&page), Some("http_502"));
        assert_eq!(
            page.response.ok_or("no answer")?.body.get(),
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
        assert_eq!(
            broken.error,
            Some(ErrorPart::new("Throttling.RateQuota", "m"))
        );
        let answer = broken.response.ok_or("no answer")?;
        assert_eq!(
            (answer.status_code, answer.request_id.as_deref()),
            (429, Some("r"))
        );
        let cut = outcome(200, "text/event-stream", "data: {\"choices\":[]}\n\n").await?;
        assert_eq!(code(&cut), Some("stream_cut"));
        assert!(cut.response.is_none());
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
            let answer = failed.response.ok_or("the error is kept")?;
            assert_eq!(answer.status_code, status, "{kind} {body}");
            assert!(answer.body.get().starts_with('{'));
        }
        for kind in ["application/json", "text/event-stream"] {
            let body = "\u{feff}{\"error\":null,\"choices\":[{\"finish_reason\":\"stop\",\"logprob\":NaN}]}";
            let whole = outcome(200, kind, body).await?;
            let (answer, error) = (whole.response, whole.error);
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
                cut.response
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
        let outcome = perform(down, request()?, deadline()).await;
        assert!(outcome.response.is_none());
        let fatal = outcome.fatal.ok_or("others will meet it")?;
        assert_eq!(fatal.reason, FatalReason::Address);
        assert_eq!(
            outcome.error,
            Some(ErrorPart::new(
                "transport",
                "cannot connect: connection refused"
            ))
        );
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn the_deadline_does_not_hide_what_the_attempts_failed_with() -> TestResult {
        let down = service_fn(|_: Request<Full<Bytes>>| async {
            let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
            Err::<Response<Full<Bytes>>, BoxError>(refused.into())
        });
        let down = LastFailureLayer.layer(down);
        let retrying = service_fn(move |request: Request<Full<Bytes>>| {
            let attempt = down.clone().oneshot(request);
            async move {
                attempt.await?;
                Err::<Response<Full<Bytes>>, BoxError>("no answer".into())
            }
        });
        let waiting = service_fn(move |request: Request<Full<Bytes>>| {
            let attempt = retrying.clone().oneshot(request);
            async move {
                attempt.await.ok();
                std::future::pending::<Result<Response<Full<Bytes>>, BoxError>>().await
            }
        });
        let request = Request::post("http://h/v1/x").body(Full::<Bytes>::default())?;
        let deadline = Deadline::after(Duration::from_secs(10));
        let outcome = perform(waiting, request, deadline).await;
        let message = "cannot connect: connection refused (tried until the deadline of 10 s)";
        assert_eq!(outcome.error, Some(ErrorPart::new("transport", message)));
        assert!(outcome.fatal.is_some());
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_too_long_is_told_in_figures() -> TestResult {
        let quota = Quota::per_minute(60, 1_000_000).headroom(0);
        let limiter = Limiter::new(quota);
        let client = tower::ServiceBuilder::new()
            .layer(AdmissionLayer::new(limiter))
            .service(service_fn(|_: Request<Full<Bytes>>| async {
                Ok::<_, BoxError>(Response::new(Full::<Bytes>::from("{}")))
            }));
        let body = r#"{"model":"qwen-plus","messages":[],"max_tokens":10}"#;
        let mut last = Outcome::default();
        for _ in 0..3 {
            let request = Request::post("http://h/v1/chat/completions").body(Full::from(body))?;
            let deadline = Deadline::after(Duration::from_millis(200));
            last = perform(client.clone(), request, deadline).await;
        }
        let error = last.error.ok_or("the quota has no room")?;
        assert_eq!(error.code, "deadline");
        let message = &error.message;
        assert!(
            message.starts_with("waited 0 s, needs ")
                && message.ends_with(" more, and has 0.2 s in all"),
            "{message}"
        );
        Ok(())
    }
}
