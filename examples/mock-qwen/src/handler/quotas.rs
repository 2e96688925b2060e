//! The list of the account's limits.

use axum::body::Body;
use axum::extract::{Query, State};
use http::{HeaderMap, Response, StatusCode};

use super::refuse::{Caller, refuse};
use super::{add_id, key, response};
use crate::config::QuotaList;
use crate::server::MockQwen;
use crate::wire::{Dialect, Problem, QuotaPage, quota_list, quota_list_forbidden};

/// How many models a page may have.
const MAX_PAGE: usize = 100;

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Wanted {
    /// The whole name of a model.
    model: Option<String>,
    /// A part of the name of a model.
    name: Option<String>,
    number: usize,
    size: usize,
}

/// It is no call of a model, so neither the quotas nor the statistics know of it.
pub(super) async fn list(
    State(mock): State<MockQwen>,
    headers: HeaderMap,
    Query(query): Query<Vec<(String, String)>>,
) -> Response<Body> {
    let inner = mock.inner();
    let id = inner.account().id();
    let closed = match inner.config.quota_list {
        QuotaList::Open => None,
        QuotaList::Forbidden => Some((StatusCode::FORBIDDEN, quota_list_forbidden(&id))),
        QuotaList::Missing => Some((StatusCode::NOT_FOUND, String::new())),
    };
    if let Some((status, body)) = closed {
        let mut response = response(status, "application/json", Body::from(body));
        add_id(&mut response, &id);
        return response;
    }
    let wanted = key::check(&inner.config, Dialect::Native, &headers)
        .map_err(Problem::from)
        .and_then(|()| Wanted::read(query));
    let mut response = match wanted {
        Ok(wanted) => {
            let config = &inner.config;
            let models = wanted.matching(&config.quota_models);
            let page = QuotaPage {
                models: wanted.page(&models),
                total: models.len(),
                number: wanted.number,
                size: wanted.size,
            };
            let body = quota_list(config, &page, &id).to_string();
            response(StatusCode::OK, "application/json", Body::from(body))
        }
        Err(problem) => {
            let caller = Caller::new(Dialect::Native, &HeaderMap::new(), id.clone());
            refuse(&mock, &caller, &problem.into())
        }
    };
    add_id(&mut response, &id);
    response
}

impl Wanted {
    fn read(query: Vec<(String, String)>) -> Result<Self, Problem> {
        let mut wanted = Self {
            model: None,
            name: None,
            number: 1,
            size: 20,
        };
        for (key, value) in query {
            match key.as_str() {
                "model" => wanted.model = Some(value),
                "name" => wanted.name = Some(value),
                "page_no" => wanted.number = number(&key, &value, usize::MAX)?,
                "page_size" => wanted.size = number(&key, &value, MAX_PAGE)?,
                _ => {}
            }
        }
        Ok(wanted)
    }

    fn matching<'a>(&self, models: &'a [String]) -> Vec<&'a str> {
        let all = models.iter().map(String::as_str);
        all.filter(|model| self.model.as_deref().is_none_or(|wanted| wanted == *model))
            .filter(|model| {
                let name = self.name.as_deref();
                name.is_none_or(|part| model.contains(part))
            })
            .collect()
    }

    fn page<'a>(&self, models: &'a [&'a str]) -> &'a [&'a str] {
        let start = (self.number - 1).saturating_mul(self.size);
        let rest = models.get(start..).unwrap_or_default();
        &rest[..rest.len().min(self.size)]
    }
}

fn number(key: &str, value: &str, most: usize) -> Result<usize, Problem> {
    match value.parse() {
        Ok(number) if (1..=most).contains(&number) => Ok(number),
        _ => Err(Problem::invalid(format!("Invalid {key}."))),
    }
}
