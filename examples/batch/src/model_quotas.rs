//! Gives each model its quota when the first call of it comes.
//!
//! So a file may have any number of models, and need not be read twice.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use tower::{Layer, Service};
use tower_qwen_ratelimit::{Limiter, Quota};

use crate::{
    concurrency::Concurrency,
    input::InputCall,
    news::News,
    quota_source::{FoundQuota, QuotaSource},
};

/// Each change of a limiter's quotas copies them all. A file with more models than this has ids for models.
const MOST_MODELS: usize = 1_000;
/// Of so many models the quota is said; of more it would fill the screen.
const MOST_SENTENCES: usize = 8;

/// The quotas of the models of a run. Clones share them.
#[derive(Debug, Clone)]
pub struct ModelQuotas(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    source: QuotaSource,
    limiter: Limiter,
    concurrency: Concurrency,
    news: News,
    found: Mutex<BTreeMap<String, FoundQuota>>,
}

/// Looks at the model of each call. See the module.
#[derive(Debug, Clone)]
pub struct ModelQuotasService<S> {
    inner: S,
    quotas: ModelQuotas,
}

#[derive(Deserialize)]
struct ModelOnly<'a> {
    #[serde(borrow)]
    model: Option<Cow<'a, str>>,
}

impl ModelQuotas {
    /// Quotas of this source for the accounts of this limiter. What they are goes to the news.
    #[must_use]
    pub fn new(
        source: QuotaSource,
        limiter: Limiter,
        concurrency: Concurrency,
        news: News,
    ) -> Self {
        if let Some(sentence) = source.sentence_of_all() {
            news.add(sentence);
        }
        Self(Arc::new(Inner {
            source,
            limiter,
            concurrency,
            news,
            found: Mutex::default(),
        }))
    }

    /// Gives this model its quota, where it has none yet.
    pub fn add(&self, model: &str) {
        let Inner {
            source,
            limiter,
            concurrency,
            news,
            found,
        } = &*self.0;
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.contains_key(model) || found.len() >= MOST_MODELS {
            return;
        }
        let new = source.find(model);
        concurrency.add(new.limit());
        if new.quota != limiter.quota_of(model)
            && let Err(invalid) = limiter.set_quota_for(model, new.quota)
        {
            news.add(format!("The quota of {model} cannot be used: {invalid}."));
        }
        if source.sentence_of_all().is_none() {
            match found.len() {
                number if number < MOST_SENTENCES => news.add(new.sentence(model)),
                MOST_SENTENCES => news.add("The quotas of more models are in the summary.".into()),
                _ => {}
            }
        }
        found.insert(model.to_owned(), new);
    }

    /// The model of this call of the input.
    pub fn add_call(&self, call: &InputCall) {
        if let Some(model) = model(call.body.get().as_bytes()) {
            self.add(&model);
        }
    }

    /// What was found, by model.
    #[must_use]
    pub fn found(&self) -> BTreeMap<String, FoundQuota> {
        let found = &self.0.found;
        found.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What was found for a model.
    #[must_use]
    pub fn found_for(&self, model: &str) -> Option<FoundQuota> {
        let found = self.0.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(model).cloned()
    }

    /// The quota of a model.
    pub fn quota(&self, model: &str) -> Quota {
        self.0.limiter.quota_of(model)
    }

    /// How many calls are held at once.
    #[must_use]
    pub fn concurrency(&self) -> &Concurrency {
        &self.0.concurrency
    }

    /// What is to be said.
    #[must_use]
    pub fn news(&self) -> &News {
        &self.0.news
    }
}

impl<S> Layer<S> for ModelQuotas {
    type Service = ModelQuotasService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ModelQuotasService {
            inner,
            quotas: self.clone(),
        }
    }
}

impl<S> Service<Request<Full<Bytes>>> for ModelQuotasService<S>
where
    S: Service<Request<Full<Bytes>>>,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = S::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> S::Future {
        // A full body is there at once, and a clone of it shares the bytes.
        let frame = request.body().clone().frame().now_or_never().flatten();
        let body = frame.and_then(|frame| frame.ok()?.into_data().ok());
        if let Some(model) = body.as_deref().and_then(model) {
            self.quotas.add(&model);
        }
        self.inner.call(request)
    }
}

fn model(body: &[u8]) -> Option<Cow<'_, str>> {
    serde_json::from_slice::<ModelOnly<'_>>(body).ok()?.model
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use clap::Parser;
    use tower::{ServiceExt, service_fn};
    use tower_qwen_tokens::data::{ModelQuota, QuotaBook};

    use super::*;
    use crate::{args::Args, input::Reader};

    fn quotas(list: QuotaBook) -> ModelQuotas {
        let args = Args::try_parse_from(["batch"]).expect("good usage");
        let base = "http://h/v1".parse().expect("an address");
        let source = QuotaSource::of_books(&args, Ok(list), &base);
        let limiter = Limiter::new(source.default_quota());
        ModelQuotas::new(source, limiter, Concurrency::new(None), News::default())
    }

    fn request(body: String) -> Request<Full<Bytes>> {
        Request::new(Full::from(body))
    }

    #[tokio::test]
    async fn each_model_has_its_quota_before_its_first_call() -> Result<(), Infallible> {
        let list = QuotaBook::empty()
            .with("a", ModelQuota::per_minute(100, 1_000))
            .with("b", ModelQuota::per_minute(200, 2_000));
        let quotas = quotas(list);
        let seen = quotas.clone();
        let service = quotas.layer(service_fn(move |request: Request<Full<Bytes>>| {
            let model = request.uri().path()[1..].to_owned();
            let quota = seen.quota(&model);
            async move { Ok::<_, Infallible>(quota) }
        }));
        for (model, expected) in [
            ("a", Quota::per_minute(100, 1_000)),
            ("b", Quota::per_minute(200, 2_000)),
            ("c", Quota::discover()),
        ] {
            for _ in 0..2 {
                let mut call = request(format!(r#"{{"messages":[{{}}],"model":"{model}"}}"#));
                *call.uri_mut() = format!("/{model}").parse().expect("a path");
                assert_eq!(service.clone().oneshot(call).await?, expected);
            }
        }
        for odd in ["", "[]", r#"{"model":7}"#, "{}"] {
            let quota = service.clone().oneshot(request(odd.to_owned())).await?;
            assert_eq!(quota, Quota::discover());
        }
        let found = quotas.found();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(quotas.news().take().len(), 3, "one sentence for each model");
        // 25 and 50 of 15 seconds, and 256 since c is not known.
        assert_eq!(quotas.concurrency().get(), 331);
        Ok(())
    }

    #[tokio::test]
    async fn the_first_lines_name_their_models() -> Result<(), Box<dyn std::error::Error>> {
        let quotas = quotas(QuotaBook::empty());
        let line = |id: u32, model: &str| {
            format!(
                r#"{{"custom_id":"{id}","url":"/v1/chat/completions","body":{{"model":"{model}"}}}}"#
            )
        };
        let lines = format!(
            "{}\r\n\nno call\n{}\n{}",
            line(1, "a"),
            line(2, "b"),
            &line(3, "c")[..40]
        );
        let mut reader = Reader::new(lines.as_bytes(), "http://h/v1".parse()?);
        reader.peek(|call| quotas.add_call(call)).await?;
        let found = quotas.found();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["a", "b"]);
        let mut items = 0;
        while reader.next().await?.is_some() {
            items += 1;
        }
        assert_eq!(items, 4, "none is lost");
        Ok(())
    }

    #[test]
    fn no_number_of_models_fills_memory_or_screen() {
        let quotas = quotas(QuotaBook::empty());
        for number in 0..MOST_MODELS + 5 {
            quotas.add(&format!("m{number}"));
        }
        assert_eq!(quotas.found().len(), MOST_MODELS);
        assert_eq!(quotas.news().take().len(), MOST_SENTENCES + 1);
    }
}
