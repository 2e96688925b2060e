//! Which upstreams serve a call, by its model.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use axum::{body::Body, extract::Request, response::Response};
use http::{HeaderValue, header::CONTENT_LENGTH};
use tower_qwen_ratelimit::Limiter;
use tower_qwen_tokens::{
    Call, call::PredictWait, error_format::ErrorFormat, protocol::rejection::UNREADABLE,
};

use crate::{
    client::Client,
    config::UpstreamEntry,
    models::UNKNOWN_MODEL,
    upstream::{Inbound, Upstream},
};

/// All routes.
#[derive(Debug)]
pub struct Routes {
    by_model: HashMap<Box<str>, Arc<Route>>,
    /// Of models that no upstream lists; `None` where every one lists its models.
    others: Option<Arc<Route>>,
    /// Of calls that name no model.
    first: Arc<Route>,
}

/// The upstreams that serve some models.
#[derive(Debug)]
pub struct Route {
    /// Over all of them.
    pub(crate) client: Client,
    members: Vec<Member>,
}

/// One of the upstreams of a route.
#[derive(Debug, Clone)]
pub struct Member {
    pub(crate) upstream: Arc<Upstream>,
    /// What it calls the model, where not all of the route call it as callers do.
    pub(crate) model: Option<Box<str>>,
}

/// A member by the number of its upstream.
type Numbered = (usize, Option<Box<str>>);

/// Why a call has no route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoRoute {
    /// No upstream has it.
    Unknown(Box<str>),
    /// Its body cannot be rewritten for the model's name at the upstream.
    Fixed,
    /// Its path makes no address.
    Path,
}

impl Routes {
    /// One upstream for all models.
    ///
    /// # Errors
    ///
    /// When a client cannot be made.
    pub fn to_one(
        upstream: Upstream,
        client: impl Fn(&[Member]) -> anyhow::Result<Client>,
    ) -> anyhow::Result<Self> {
        let member = Member {
            upstream: Arc::new(upstream),
            model: None,
        };
        let first = Arc::new(Route::new(vec![member], &client)?);
        Ok(Self {
            by_model: HashMap::new(),
            others: Some(first.clone()),
            first,
        })
    }

    /// Those of the file.
    ///
    /// # Errors
    ///
    /// When there are none, or a client cannot be made.
    pub fn new(
        entries: &[UpstreamEntry],
        client: impl Fn(&[Member]) -> anyhow::Result<Client>,
    ) -> anyhow::Result<Self> {
        let upstreams = entries.iter().filter_map(|entry| {
            let upstream = Upstream::of_entry(entry)?;
            Some((entry, Arc::new(upstream)))
        });
        let mut upstreams: Vec<_> = upstreams.collect();
        // Behind the others, and otherwise in the order of the file.
        upstreams.sort_by_key(|(_, upstream)| upstream.is_fallback);
        // Models with the same upstreams share a client, and with it what that has learned of them.
        let mut known: HashMap<Vec<Numbered>, Arc<Route>> = HashMap::new();
        let mut route = |members: Vec<Numbered>| -> anyhow::Result<_> {
            if let Some(route) = known.get(&members) {
                return Ok(route.clone());
            }
            let of = members.iter().filter_map(|(at, model)| {
                let (_, upstream) = upstreams.get(*at)?;
                let (upstream, model) = (upstream.clone(), model.clone());
                Some(Member { upstream, model })
            });
            let route = Arc::new(Route::new(of.collect(), &client)?);
            known.insert(members, route.clone());
            Ok(route)
        };
        let names: BTreeSet<&str> = entries.iter().flat_map(UpstreamEntry::names).collect();
        let mut by_model = HashMap::new();
        for name in names {
            let with = upstreams.iter().enumerate();
            let with = with.filter_map(|(at, (entry, _))| Some((at, entry.model(name)?)));
            let mut members: Vec<_> = with.map(|(at, model)| (at, Some(model.into()))).collect();
            let is_own = |(_, model): &Numbered| model.as_deref() == Some(name);
            if members.iter().all(is_own) {
                members.iter_mut().for_each(|(_, model)| *model = None);
            }
            if !members.is_empty() {
                by_model.insert(name.into(), route(members)?);
            }
        }
        let any = upstreams.iter().enumerate();
        let any = any.filter(|(_, (entry, _))| entry.models.is_none());
        let any: Vec<_> = any.map(|(at, _)| (at, None)).collect();
        let others = match any.is_empty() {
            true => None,
            false => Some(route(any)?),
        };
        let first = route(vec![(0, None)])?;
        Ok(Self {
            by_model,
            others,
            first,
        })
    }

    /// The name of the first upstream that calls of a model go to.
    #[must_use]
    pub fn first_upstream(&self, model: &str) -> Option<Arc<str>> {
        let others = self.others.as_ref();
        let route = match model {
            "" => Some(&self.first),
            model => self.by_model.get(model).or(others),
        };
        Some(route?.first_upstream())
    }

    /// Whether an upstream may have a model.
    #[must_use]
    pub fn has(&self, model: &str) -> bool {
        self.others.is_some() || self.lists(model)
    }

    /// Whether an upstream lists a model.
    #[must_use]
    pub fn lists(&self, model: &str) -> bool {
        self.by_model.contains_key(model)
    }

    /// All models that are listed, by the names that callers and upstreams use.
    pub fn names(&self) -> impl Iterator<Item = Box<str>> {
        let of_upstreams = self.by_model.values().flat_map(|route| &route.members);
        let of_upstreams = of_upstreams.filter_map(|member| member.model.clone());
        self.by_model.keys().cloned().chain(of_upstreams)
    }

    /// The route of a call, which is addressed to the first upstream of it.
    ///
    /// # Errors
    ///
    /// [`NoRoute`].
    pub fn route(&self, request: &mut Request) -> Result<Arc<Route>, NoRoute> {
        let call = Call::of(request).and_then(|call| call.model_call());
        let Some(model) = call.map(|call| call.model.clone()) else {
            self.first.address(request)?;
            return Ok(self.first.clone());
        };
        let route = self.by_model.get(&*model).or(self.others.as_ref());
        let route = route.ok_or_else(|| NoRoute::Unknown((*model).into()))?;
        route.address(request)?;
        Ok(route.clone())
    }
}

impl Route {
    fn new(
        members: Vec<Member>,
        client: impl Fn(&[Member]) -> anyhow::Result<Client>,
    ) -> anyhow::Result<Self> {
        anyhow::ensure!(!members.is_empty(), "a route without an upstream");
        Ok(Self {
            client: client(&members)?,
            members,
        })
    }

    /// The name of the upstream that calls go to first.
    #[must_use]
    pub fn first_upstream(&self) -> Arc<str> {
        let first = self.members.first();
        first.map_or_else(Arc::default, |member| member.upstream.name().into())
    }

    /// The gateway's key at the upstream that a call is addressed to.
    #[must_use]
    pub fn key(&self) -> Option<&HeaderValue> {
        self.members.first()?.upstream.key()
    }

    /// How long a call would wait for quota at the upstream where that is shortest; `None` if none would take it.
    #[must_use]
    pub fn predicted_wait(&self, limiter: &Limiter, call: Option<&Call>) -> Option<Duration> {
        let model = call.and_then(Call::model_call).map(|call| &*call.model);
        let waits = self.members.iter().filter_map(
            |Member {
                 upstream,
                 model: own,
             }| {
                let model = own.as_deref().or(model).unwrap_or_default();
                limiter.predicted_wait(&upstream.account_of(model), call)
            },
        );
        waits.min()
    }

    fn address(&self, request: &mut Request) -> Result<(), NoRoute> {
        // A route has a member.
        let Some(first) = self.members.first() else {
            return Err(NoRoute::Path);
        };
        if let Some(model) = &first.model {
            rename(request, model).ok_or(NoRoute::Fixed)?;
        }
        if self.members.len() > 1 {
            let inbound = Inbound(request.uri().clone());
            request.extensions_mut().insert(inbound);
        }
        first.upstream.address(request).map_err(|_| NoRoute::Path)
    }
}

/// Gives a call another model; `None` where its body cannot be changed.
fn rename(request: &mut Request, model: &str) -> Option<()> {
    let call = Call::of(request)?;
    if call.model_call().is_some_and(|call| &*call.model == model) {
        return Some(());
    }
    let call = call.for_model(request.headers(), model)?;
    let body = call.body()?.clone();
    // Where no length is stated the transport chooses the framing.
    if request.headers().contains_key(CONTENT_LENGTH) {
        let length = HeaderValue::from(body.len());
        request.headers_mut().insert(CONTENT_LENGTH, length);
    }
    request.extensions_mut().insert(Arc::new(call));
    *request.body_mut() = Body::from(body);
    Some(())
}

impl NoRoute {
    /// The answer to the caller.
    #[must_use]
    pub fn answer(&self, format: &ErrorFormat) -> Response {
        let (codes, message) = match self {
            Self::Unknown(model) => (UNKNOWN_MODEL, format!("There is no model {model} here.")),
            Self::Fixed => (
                UNREADABLE,
                "The model goes by another name behind the gateway, and this request cannot be changed.".to_owned(),
            ),
            Self::Path => (UNREADABLE, "The path cannot be read.".to_owned()),
        };
        format.error(codes, &message).map(Body::from)
    }
}
