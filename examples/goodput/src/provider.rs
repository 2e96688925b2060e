//! The provider: the quotas and refusals of `mock_qwen`, the times and answers of the jobs.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use fastrand::Rng;
use http::{Request, Response, StatusCode, header};
use mock_qwen::{CallTokens, Charge, Config, MockQwen};
use tokio::time::sleep;

use crate::record::Record;
use crate::request::job_of;

/// How long the provider takes. A refusal needs no more than the two ways.
#[derive(Debug, Clone, Copy)]
pub struct Times {
    /// One way, on the mean. Each differs by up to half of it: calls do not arrive as evenly as they are sent.
    pub way: Duration,
    /// From the arrival to the first token.
    pub first_token: Duration,
    /// Each token of the answer.
    pub token: Duration,
}

impl Times {
    /// As of a hosted model of medium size, a client in the same region.
    pub const MINUTE: Self = Self {
        way: Duration::from_millis(10),
        first_token: Duration::from_millis(300),
        token: Duration::from_millis(10),
    };

    /// As of a small model: a failure is then far shorter than the wait after it.
    pub const FAST: Self = Self {
        way: Duration::from_millis(10),
        first_token: Duration::from_millis(50),
        token: Duration::from_millis(2),
    };

    /// These times where a minute takes `minute`.
    #[must_use]
    pub fn of_minute(self, minute: Duration) -> Self {
        let scale = minute.as_secs_f64() / 60.0;
        Self {
            way: self.way.mul_f64(scale),
            first_token: self.first_token.mul_f64(scale),
            token: self.token.mul_f64(scale),
        }
    }

    /// The answer's own time, from its send to its end at the client.
    #[must_use]
    pub fn whole(&self, output: u64) -> Duration {
        2 * self.way + self.answer(output)
    }

    /// From the arrival to the last token.
    fn answer(&self, output: u64) -> Duration {
        let tokens = u32::try_from(output).unwrap_or(u32::MAX);
        self.first_token + self.token.saturating_mul(tokens)
    }
}

/// A provider; clones are the same one.
#[derive(Debug, Clone)]
pub struct Provider {
    mock: MockQwen,
    charge: Charge,
    times: Times,
    record: Arc<Record>,
    ways: Arc<Mutex<Rng>>,
}

impl Provider {
    /// A provider under these rules, whose windows and whose record begin now.
    #[must_use]
    pub fn new(config: &Config, times: Times, processes: usize, seed: u64) -> Self {
        Self {
            mock: MockQwen::new(Config {
                seed,
                ..config.clone()
            }),
            charge: config.charge,
            times,
            record: Arc::new(Record::new(config.window, processes)),
            ways: Arc::new(Mutex::new(Rng::with_seed(seed))),
        }
    }

    /// What was seen of it.
    #[must_use]
    pub fn record(&self) -> &Arc<Record> {
        &self.record
    }

    /// Its quotas.
    #[must_use]
    pub fn mock(&self) -> &MockQwen {
        &self.mock
    }

    /// Its times.
    #[must_use]
    pub fn times(&self) -> Times {
        self.times
    }

    /// Answers a request of [`request`](crate::request::request), both ways of the network included. Other requests get a 400.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<Body> {
        let Some((process, job)) = job_of(request.headers()) else {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return response;
        };
        drop(request);
        sleep(self.way()).await;
        let response = self.serve(process, job).await;
        sleep(self.way()).await;
        response
    }

    async fn serve(&self, process: usize, job: CallTokens) -> Response<Body> {
        let running = match self.mock.start_call(job) {
            Ok(running) => running,
            Err(refused) => {
                if refused.status() == StatusCode::TOO_MANY_REQUESTS {
                    self.record.throttled();
                }
                return *refused;
            }
        };
        // What is used is measured, not what is held: of `Charge::Estimate` too.
        let at_start = match self.charge {
            Charge::Start => job.prompt + job.output,
            Charge::End | Charge::Estimate => job.prompt,
        };
        self.record.admitted(process, at_start);
        sleep(self.times.answer(job.output)).await;
        running.end();
        self.record
            .charged(process, job.prompt + job.output - at_start);
        completion(job)
    }

    fn way(&self) -> Duration {
        let mut rng = self.ways.lock().unwrap_or_else(PoisonError::into_inner);
        self.times.way.mul_f64(0.5 + rng.f64())
    }
}

fn completion(job: CallTokens) -> Response<Body> {
    let body = format!(
        r#"{{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":"qwen-plus","choices":[{{"index":0,"finish_reason":"stop","message":{{"role":"assistant","content":"Done."}}}}],"usage":{{"prompt_tokens":{},"completion_tokens":{},"total_tokens":{}}}}}"#,
        job.prompt,
        job.output,
        job.prompt + job.output
    );
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    response
}
