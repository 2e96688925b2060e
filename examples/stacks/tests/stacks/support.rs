//! The stack, the provider it calls, and what both have counted.

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};
use mock_qwen::{Config, MockQwen, RunningMock, Stats};
use serde_json::{Value, json};
use tower::{
    ServiceBuilder,
    layer::util::{Identity, Stack},
    util::BoxCloneService,
};
use tower_qwen_ratelimit::{AccountSnapshot, AdmissionLayer, Limiter, Pacing, Quota};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{Ledger, MeterLayer, PriceBook, call::BoxError, ledger::Totals};

pub(crate) type TestResult = Result<(), BoxError>;
pub(crate) type AnswerBody = UnsyncBoxBody<Bytes, BoxError>;
pub(crate) type Answer = Response<AnswerBody>;
pub(crate) type Client = BoxCloneService<Request<Bytes>, Answer, BoxError>;

/// Retry > Admission > Meter, whatever stands below.
pub(crate) type OurStack = Stack<MeterLayer, Stack<AdmissionLayer, Stack<RetryLayer, Identity>>>;

pub(crate) struct Place {
    pub(crate) mock: MockQwen,
    pub(crate) running: RunningMock,
    pub(crate) ledger: Ledger,
    pub(crate) limiter: Limiter,
}

impl Place {
    pub(crate) async fn new(config: Config) -> Result<Self, BoxError> {
        let mock = MockQwen::new(config);
        Ok(Self {
            running: RunningMock::start(mock.clone()).await?,
            mock,
            ledger: Ledger::new(PriceBook::builtin()),
            limiter: Limiter::new(Quota::per_minute(600, 600_000)),
        })
    }

    /// The first call goes at once, the next one a window later.
    pub(crate) async fn with_one_call_a_minute(config: Config) -> Result<Self, BoxError> {
        let quota = Quota::per_minute(1, 600_000).headroom(0);
        Ok(Self {
            limiter: Limiter::new(quota.pacing(Pacing::Window)),
            ..Self::new(config).await?
        })
    }

    pub(crate) fn stack(&self) -> OurStack {
        ServiceBuilder::new()
            .layer(self.retry())
            .layer(self.admission())
            .layer(self.meter())
            .into_inner()
    }

    pub(crate) fn retry(&self) -> RetryLayer {
        RetryLayer::new(RetryPolicy::default().seed(7))
    }

    pub(crate) fn admission(&self) -> AdmissionLayer {
        AdmissionLayer::new(self.limiter.clone())
    }

    pub(crate) fn meter(&self) -> MeterLayer {
        MeterLayer::new(self.ledger.clone())
    }

    pub(crate) fn request(&self, body: &Value) -> Request<Bytes> {
        Request::post(format!("{}/chat/completions", self.running.base_url()))
            .header("content-type", "application/json")
            .body(Bytes::from(body.to_string()))
            .expect("a valid request")
    }

    pub(crate) fn stats(&self) -> Stats {
        self.mock.stats()
    }

    pub(crate) fn total(&self) -> Totals {
        self.ledger.snapshot().total
    }

    pub(crate) fn account(&self) -> AccountSnapshot {
        let mut accounts = self.limiter.snapshot();
        assert_eq!(accounts.len(), 1, "one origin, one model");
        accounts.remove(0)
    }

    /// Ledger, account and provider agree, to the token.
    pub(crate) fn assert_all_agree(&self) {
        let (stats, total, account) = (self.stats(), self.total(), self.account());
        assert_eq!(total.input_tokens, stats.tokens.prompt);
        assert_eq!(total.output_tokens, stats.tokens.output);
        assert_eq!((total.estimated, total.unknown), (0, 0));
        assert_eq!(account.settled_tokens, stats.tokens.total);
        assert_eq!((account.in_flight, account.reserved_tokens), (0, 0));
        assert_eq!((account.running, account.queued), (0, 0));
    }
}

pub(crate) fn chat(stream: bool) -> Value {
    json!({
        "model": "qwen-plus",
        "max_tokens": 100,
        "stream": stream,
        "messages": [{"role": "user", "content": "Why is the sea salty?"}],
    })
}

pub(crate) fn boxed<B>(answer: Response<B>) -> Answer
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    answer.map(|body| body.map_err(Into::into).boxed_unsync())
}

/// The body in axum's type.
pub(crate) fn for_axum(request: Request<Bytes>) -> Request<Body> {
    request.map(Body::from)
}

pub(crate) async fn text(answer: Answer) -> Result<String, BoxError> {
    let bytes = answer.into_body().collect().await?.to_bytes();
    Ok(String::from_utf8(bytes.to_vec())?)
}
