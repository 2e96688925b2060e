//! Gives each model its quota when the first call of it comes.
//!
//! So a file may have any number of models, and need not be read twice.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde::Deserialize;
use tower::{Layer, Service};
use tower_qwen_ratelimit::{InvalidLimiter, Key, Limiter, Quota};

use crate::{
    accounts::{Account, doubt},
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
    sources: Vec<Source>,
    limiter: Limiter,
    concurrency: Concurrency,
    news: News,
    found: Mutex<Found>,
}

/// Where the quotas of an account are from.
#[derive(Debug)]
struct Source {
    /// `None` where there are no accounts with names.
    account: Option<Account>,
    quotas: QuotaSource,
}

#[derive(Debug, Default)]
struct Found {
    models: BTreeSet<String>,
    quotas: FoundQuotas,
}

/// What was found, by model and name of the account; that is empty where there is one account alone.
pub type FoundQuotas = BTreeMap<(String, String), FoundQuota>;

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
        let source = Source {
            account: None,
            quotas: source,
        };
        Self::over(vec![source], (limiter, concurrency, news))
    }

    /// The same for each account that has a source of its own.
    #[must_use]
    pub fn of_accounts(
        accounts: impl IntoIterator<Item = (Account, QuotaSource)>,
        limiter: Limiter,
        concurrency: Concurrency,
        news: News,
    ) -> Self {
        let sources = accounts.into_iter().map(|(account, quotas)| Source {
            account: Some(account).filter(|account| !account.name().is_empty()),
            quotas,
        });
        Self::over(sources.collect(), (limiter, concurrency, news))
    }

    fn over(
        sources: Vec<Source>,
        (limiter, concurrency, news): (Limiter, Concurrency, News),
    ) -> Self {
        for source in &sources {
            if let Some(sentence) = source.quotas.sentence_of_all() {
                news.add(source.of(sentence));
            }
        }
        Self(Arc::new(Inner {
            sources,
            limiter,
            concurrency,
            news,
            found: Mutex::default(),
        }))
    }

    /// Gives this model its quota at each account, where it has none yet.
    pub fn add(&self, model: &str) {
        let found = &self.0.found;
        let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
        if found.models.contains(model) || found.models.len() >= MOST_MODELS {
            return;
        }
        found.models.insert(model.to_owned());
        let is_batch_host = self
            .0
            .sources
            .iter()
            .any(|source| source.quotas.is_of_batch_host());
        if let Some(sentence) = doubt(model).filter(|_| is_batch_host) {
            self.0.news.add(sentence);
        }
        for source in &self.0.sources {
            if source
                .account
                .as_ref()
                .is_none_or(|account| account.serves(model))
            {
                self.add_at(source, model, &mut found.quotas);
            }
        }
    }

    fn add_at(&self, source: &Source, model: &str, found: &mut FoundQuotas) {
        let Inner {
            limiter,
            concurrency,
            news,
            ..
        } = &*self.0;
        let new = source.quotas.find(model);
        concurrency.add(new.limit());
        if let Err(invalid) = source.set(limiter, model, new.quota) {
            news.add(source.of(format!("The quota of {model} cannot be used: {invalid}.")));
        }
        if source.quotas.sentence_of_all().is_none() {
            match found.len() {
                number if number < MOST_SENTENCES => news.add(source.of(new.sentence(model))),
                MOST_SENTENCES => news.add("The quotas of more models are in the summary.".into()),
                _ => {}
            }
        }
        found.insert((model.to_owned(), source.name().to_owned()), new);
    }

    /// The model of this call of the input.
    pub fn add_call(&self, call: &InputCall) {
        if let Some(model) = model(call.body.get().as_bytes()) {
            self.add(&model);
        }
    }

    /// What was found.
    #[must_use]
    pub fn found(&self) -> FoundQuotas {
        let found = &self.0.found;
        let found = found.lock().unwrap_or_else(PoisonError::into_inner);
        found.quotas.clone()
    }

    /// What was found for an account of Admission.
    #[must_use]
    pub fn found_for(&self, key: &Key) -> Option<FoundQuota> {
        let found = self.0.found.lock().unwrap_or_else(PoisonError::into_inner);
        let name = (key.model().to_owned(), key.account().to_owned());
        found.quotas.get(&name).cloned()
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

impl Source {
    fn name(&self) -> &str {
        self.account.as_ref().map_or("", Account::name)
    }

    /// A sentence about it.
    fn of(&self, sentence: String) -> String {
        match self.name() {
            "" => sentence,
            name => format!("Account {name}: {sentence}"),
        }
    }

    /// Gives a model its quota in Admission.
    fn set(&self, limiter: &Limiter, model: &str, quota: Quota) -> Result<(), InvalidLimiter> {
        match self.name() {
            "" if quota == limiter.quota_of(model) => Ok(()),
            "" => limiter.set_quota_for(model, quota),
            // Each change copies all quotas: one for all models is set once.
            name if self.quotas.sentence_of_all().is_some() => {
                let key = Key::new("", model).with_account(name);
                match limiter.quota_of_key(&key) == quota {
                    true => Ok(()),
                    false => limiter.change_quotas(|quotas| quotas.account(name, quota)),
                }
            }
            name => limiter.change_quotas(|quotas| quotas.account_model(name, model, quota)),
        }
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

    fn models(found: &FoundQuotas) -> Vec<&str> {
        found.keys().map(|(model, _)| model.as_str()).collect()
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
        assert_eq!(models(&found), ["a", "b", "c"]);
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
        assert_eq!(models(&found), ["a", "b"]);
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
