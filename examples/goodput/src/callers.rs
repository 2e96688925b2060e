//! Callers that always want more.

use std::sync::{Arc, Mutex, PoisonError};

use http_body_util::BodyExt;
use mock_qwen::CallTokens;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower::ServiceExt;

use crate::jobs::Jobs;
use crate::provider::Times;
use crate::record::Record;
use crate::request::request;
use crate::setup::Setup;
use crate::stack::Client;

/// What all callers of a run share.
#[derive(Debug, Clone)]
pub struct Work {
    /// Where the requests go.
    pub base: Arc<str>,
    /// What is next.
    pub jobs: Arc<Mutex<Jobs>>,
    /// Where the callers' figures go.
    pub record: Arc<Record>,
    /// What the provider needs for an answer.
    pub times: Times,
}

impl Work {
    /// Starts the callers, divided evenly among the clients of the processes. They run until the set is dropped.
    #[must_use]
    pub fn start(&self, setup: &Setup, clients: &[Client]) -> JoinSet<()> {
        let mut callers = JoinSet::new();
        for number in 0..setup.callers {
            let process = number % clients.len();
            let (work, client) = (self.clone(), clients[process].clone());
            callers.spawn(async move {
                loop {
                    work.call(process, &client).await;
                }
            });
        }
        callers
    }

    /// Takes the next job.
    #[must_use]
    pub fn next_job(&self) -> CallTokens {
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        jobs.next_job()
    }

    async fn call(&self, process: usize, client: &Client) {
        let job = self.next_job();
        let begun = Instant::now();
        let answered = client
            .clone()
            .oneshot(request(&self.base, process, job))
            .await;
        let done = match answered {
            Ok(response) => {
                let ok = response.status().is_success();
                response.into_body().collect().await.is_ok() && ok
            }
            Err(_) => false,
        };
        if done {
            let wait = begun.elapsed().saturating_sub(self.times.whole(job.output));
            self.record.done(wait);
        } else {
            self.record.failed();
            // A client that fails at once would else never let time pass.
            tokio::time::sleep(self.times.way).await;
        }
    }
}
