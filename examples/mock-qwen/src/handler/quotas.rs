//! The list of the account's limits.

use axum::body::Body;
use axum::extract::{Query, State};
use http::{HeaderMap, Response, StatusCode};

use super::{add_id, has_key, response};
use crate::server::MockQwen;
use crate::wire::{Dialect, Problem, QuotaPage, quota_list};

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
    let wanted = if inner.config.require_key && !has_key(&headers) {
        Err(Problem::Key)
    } else {
        Wanted::read(query)
    };
    let (status, body) = match wanted {
        Ok(wanted) => {
            let config = &inner.config;
            let models = wanted.matching(&config.quota_models);
            let page = QuotaPage {
                models: wanted.page(&models),
                total: models.len(),
                number: wanted.number,
                size: wanted.size,
            };
            (StatusCode::OK, quota_list(config, &page, &id))
        }
        Err(problem) => (problem.status(), problem.body(Dialect::Native, &id)),
    };
    let body = Body::from(body.to_string());
    let mut response = response(status, "application/json", body);
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
