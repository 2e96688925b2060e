//! A provider or model server behind the gateway.

use std::time::Duration;

use http::{HeaderValue, Request, Uri, header::AUTHORIZATION};
use tower_qwen_retry::{Fallback, InvalidFallback};
use tower_qwen_tokens::{AccountId, call::AccountOf};

use crate::{
    api_key::{ApiKey, BadKey},
    args::Args,
    config::UpstreamEntry,
    target::Target,
};

/// How long a call waits for the other upstreams before it goes to a fallback.
// Longer than most throttles last, and short enough for a person.
const LONGEST_ELSEWHERE: Duration = Duration::from_secs(10);

/// Where calls go, and with which key.
#[derive(Debug)]
pub struct Upstream {
    /// The name of its accounts in the limiter, of its cool-downs and in logs; `None` for the one of the command line, which
    /// has no other beside it.
    account: Option<AccountId>,
    target: Target,
    key: Option<HeaderValue>,
    /// Whether it serves what the others cannot, and after which wait.
    pub(crate) is_fallback: bool,
    after_wait: Option<Duration>,
}

/// The path and query of a call as its caller wrote it: each upstream has it at another address. In the extensions of calls
/// that may go to several.
#[derive(Debug, Clone)]
pub struct Inbound(pub(crate) Uri);

impl Upstream {
    /// The one that the command line names.
    ///
    /// # Errors
    ///
    /// [`BadKey`]: its key is none.
    pub fn of_flags(args: &Args, target: &Target) -> Result<Self, BadKey> {
        let key = args.upstream_key.as_ref().map(|key| key.key());
        Ok(Self {
            account: None,
            target: target.clone(),
            key: key.transpose()?.as_ref().map(ApiKey::bearer),
            is_fallback: false,
            after_wait: None,
        })
    }

    /// One of the file; `None` where that has no address for it.
    #[must_use]
    pub fn of_entry(entry: &UpstreamEntry) -> Option<Self> {
        Some(Self {
            account: Some(AccountId::new(entry.name.as_str())),
            target: entry.base_url.clone()?,
            key: entry.api_key.as_ref().map(ApiKey::bearer),
            is_fallback: entry.is_fallback,
            after_wait: entry.after_wait,
        })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.account.as_ref().map_or("upstream", AccountId::as_str)
    }

    /// The gateway's key there.
    #[must_use]
    pub fn key(&self) -> Option<&HeaderValue> {
        self.key.as_ref()
    }

    /// Its account in the limiter, of a model.
    pub(crate) fn account_of<'a>(&'a self, model: &'a str) -> AccountOf<'a> {
        let id = self.account.as_ref().map_or("", AccountId::as_str);
        AccountOf::new(self.target.scheme(), self.target.authority(), model, id)
    }

    /// Whether an attempt goes here, by its account.
    pub(crate) fn is_of<B>(&self, request: &Request<B>) -> bool {
        request.extensions().get::<AccountId>() == self.account.as_ref()
    }

    /// Makes this the target of a call that comes from its caller.
    pub(crate) fn address<B>(&self, request: &mut Request<B>) -> Result<(), http::Error> {
        *request.uri_mut() = self.target.uri(request.uri())?;
        if let Some(account) = &self.account {
            request.extensions_mut().insert(account.clone());
        }
        Ok(())
    }

    /// Makes this the target of an attempt that was addressed to another upstream.
    pub(crate) fn readdress<B>(
        &self,
        request: &mut Request<B>,
        inbound: &Uri,
    ) -> Result<(), http::Error> {
        *request.uri_mut() = self.target.uri(inbound)?;
        match &self.key {
            Some(key) => request.headers_mut().insert(AUTHORIZATION, key.clone()),
            None => request.headers_mut().remove(AUTHORIZATION),
        };
        Ok(())
    }

    /// As a target of Retry. Path and key follow below it ([`Upstream::readdress`]): a base URL of Retry's would be one for the
    /// paths of all dialects.
    pub(crate) fn fallback(
        &self,
        model: Option<&str>,
        max_wait: Duration,
    ) -> Result<Fallback, InvalidFallback> {
        let mut fallback = Fallback::new(self.name()).base_url(&self.target.origin())?;
        if let Some(account) = &self.account {
            fallback = fallback.account(account.clone());
        }
        if let Some(model) = model {
            fallback = fallback.model(model);
        }
        if !self.is_fallback {
            return Ok(fallback);
        }
        // All waits of a call together have an end: without one of its own before that, an outage would leave no time for the
        // fallback.
        let own = || LONGEST_ELSEWHERE.min(max_wait / 2);
        let wait = self.after_wait.unwrap_or_else(own);
        Ok(fallback.after_retries().after_wait(wait))
    }
}
