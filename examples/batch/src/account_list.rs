//! The account's own list of quotas: `GET /api/v1/quotas` at the address of the calls.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Request, Response, StatusCode,
    header::{AUTHORIZATION, USER_AGENT},
};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde::Deserialize;
use tokio::time::{Instant, timeout_at};
use tower::{Service, ServiceExt};
use tower_qwen_tokens::{call::BoxError, data::QuotaBook};

use crate::{base_url::BaseUrl, failure::chain};

/// All pages together. A run does not wait for longer: it can begin without the list.
pub const TIMEOUT: Duration = Duration::from_secs(5);
/// The most that a page may have. The provider lists a few hundred models at about 300 bytes each.
const MAX_PAGE: usize = 4 << 20;
/// What a page is asked to have, in place of the provider's 20: a few hundred models are a few pages.
const PAGE_SIZE: u64 = 100;
/// No account has so many; a server that always has one more page is not followed for ever.
const MAX_PAGES: u64 = 100;

/// Why there is no list.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum NoList {
    /// Model Studio lists nothing without a key.
    NoKey,
    /// The list was answered with this status.
    Status(StatusCode),
    /// What came is no list of quotas.
    Unreadable,
    /// It did not come within [`TIMEOUT`].
    Late,
    /// It could not be sent for, or broke off.
    Transport(String),
}

/// How many models there are on all pages; the rows are read by [`QuotaBook::from_account`].
#[derive(Deserialize)]
struct Envelope {
    output: Option<Total>,
}

#[derive(Deserialize)]
struct Total {
    total: Option<u64>,
    #[serde(default)]
    quotas: Vec<serde::de::IgnoredAny>,
}

/// Reads all pages of the list. The key goes to the address of the calls and nowhere else: no redirect is followed.
///
/// # Errors
///
/// See [`NoList`].
pub async fn read_list<S, B>(
    mut client: S,
    base: &BaseUrl,
    key: Option<&HeaderValue>,
) -> Result<QuotaBook, NoList>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>>,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    if key.is_none() && is_model_studio(base.host()) {
        return Err(NoList::NoKey);
    }
    let end = Instant::now() + TIMEOUT;
    let mut book = QuotaBook::empty();
    let (mut seen, mut size) = (0, Some(PAGE_SIZE));
    let mut number = 1;
    while number <= MAX_PAGES {
        let request = request(base, key, number, size)?;
        let page = timeout_at(end, page(&mut client, request));
        let text = match page.await.map_err(|_| NoList::Late)? {
            // It may allow smaller pages only.
            Err(NoList::Status(StatusCode::BAD_REQUEST)) if size.take().is_some() => continue,
            text => text?,
        };
        let text = str::from_utf8(&text).map_err(|_| NoList::Unreadable)?;
        let rows = QuotaBook::from_account(text).map_err(|_| NoList::Unreadable)?;
        book = book.merge(rows);
        let output = serde_json::from_str::<Envelope>(text).ok();
        // A list without a total has come as a whole.
        let Some(output) = output.and_then(|envelope| envelope.output) else {
            break;
        };
        seen += output.quotas.len() as u64;
        if output.quotas.is_empty() || output.total.is_none_or(|total| seen >= total) {
            break;
        }
        number += 1;
    }
    Ok(book)
}

/// Whether the host is one of Model Studio's.
#[must_use]
pub fn is_model_studio(host: &str) -> bool {
    host == "aliyuncs.com" || host.ends_with(".aliyuncs.com")
}

fn request(
    base: &BaseUrl,
    key: Option<&HeaderValue>,
    number: u64,
    size: Option<u64>,
) -> Result<Request<Full<Bytes>>, NoList> {
    let size = size.map_or_else(String::new, |size| format!("&page_size={size}"));
    let path = format!("/api/v1/quotas?page_no={number}{size}");
    let uri = base
        .join(&path)
        .map_err(|bad| NoList::Transport(bad.to_string()))?;
    let mut request = Request::new(Full::default());
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(
        USER_AGENT,
        HeaderValue::from_static(concat!("tower-qwen-batch/", env!("CARGO_PKG_VERSION"))),
    );
    if let Some(key) = key {
        headers.insert(AUTHORIZATION, key.clone());
    }
    Ok(request)
}

async fn page<S, B>(client: &mut S, request: Request<Full<Bytes>>) -> Result<Bytes, NoList>
where
    S: Service<Request<Full<Bytes>>, Response = Response<B>, Error: Into<BoxError>>,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    let broken = |error: BoxError| NoList::Transport(chain(&*error));
    let ready = client.ready().await.map_err(|error| broken(error.into()))?;
    let answer = ready.call(request).await;
    let answer = answer.map_err(|error| broken(error.into()))?;
    if answer.status() != StatusCode::OK {
        return Err(NoList::Status(answer.status()));
    }
    let body = Limited::new(answer.into_body(), MAX_PAGE);
    Ok(body.collect().await.map_err(broken)?.to_bytes())
}

impl fmt::Display for NoList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoKey => f.write_str("there is no key to ask for the account's list with"),
            Self::Status(StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED) => {
                f.write_str("the host has no list of quotas")
            }
            Self::Status(status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)) => {
                let status = status.as_u16();
                write!(f, "the key may not read the account's list ({status})")
            }
            Self::Status(status) => {
                let status = status.as_u16();
                write!(f, "the account's list was answered with status {status}")
            }
            Self::Unreadable => f.write_str("the host's list of quotas cannot be read"),
            Self::Late => {
                let seconds = TIMEOUT.as_secs();
                write!(f, "the account's list did not come within {seconds} s")
            }
            Self::Transport(why) => write!(f, "the account's list cannot be had: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        convert::Infallible,
        sync::{Arc, Mutex},
    };

    use mock_qwen::{Config, MockQwen, QuotaList};
    use tower::service_fn;

    use super::*;

    fn base() -> BaseUrl {
        "http://mock/compatible-mode/v1"
            .parse()
            .expect("an address")
    }

    async fn of_mock(config: Config) -> Result<QuotaBook, NoList> {
        let router = MockQwen::new(config).router();
        let client =
            router.map_request(|request: Request<Full<Bytes>>| request.map(axum::body::Body::new));
        read_list(client, &base(), None).await
    }

    /// What such an answer to every page comes to, and what was sent.
    async fn of(status: u16, body: &'static str) -> (Result<QuotaBook, NoList>, Vec<String>) {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&sent);
        let client = service_fn(move |request: Request<Full<Bytes>>| {
            seen.lock().expect("sound").push(request.uri().to_string());
            let mut answer = Response::new(Full::from(body));
            *answer.status_mut() = StatusCode::from_u16(status).expect("a status");
            async { Ok::<_, Infallible>(answer) }
        });
        let list = read_list(client, &base(), None).await;
        let sent = sent.lock().expect("sound").clone();
        (list, sent)
    }

    #[tokio::test(start_paused = true)]
    async fn all_pages_are_read() -> Result<(), NoList> {
        let models: Vec<String> = (0..250).map(|number| format!("m{number}")).collect();
        let book = of_mock(Config {
            quota_models: models.clone(),
            ..Config::default()
        })
        .await?;
        assert!(models.iter().all(|model| book.quota(model).is_some()));
        assert!(book.quota("m250").is_none());
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_no_list_says_why() {
        for (quota_list, expected) in [
            (
                QuotaList::Forbidden,
                "the key may not read the account's list (403)",
            ),
            (QuotaList::Missing, "the host has no list of quotas"),
        ] {
            let list = of_mock(Config {
                quota_list,
                ..Config::default()
            });
            let why = list.await.expect_err("no list").to_string();
            assert_eq!(why, expected);
        }
        for (status, body) in [(200, "<html>"), (200, "{}"), (200, "")] {
            assert_eq!(of(status, body).await.0.err(), Some(NoList::Unreadable));
        }
        let (list, sent) = of(302, "").await;
        assert_eq!(list.err(), Some(NoList::Status(StatusCode::FOUND)));
        assert_eq!(sent.len(), 1, "no redirect is followed");
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_may_allow_smaller_pages_only_and_never_end() {
        let (list, sent) = of(400, "").await;
        assert_eq!(list.err(), Some(NoList::Status(StatusCode::BAD_REQUEST)));
        let at = |query: &str| format!("http://mock/api/v1/quotas?page_no=1{query}");
        assert_eq!(sent, [at("&page_size=100"), at("")]);
        let row = r#"{"output":{"total":9999999,"quotas":[{"model":"m","model_limit":{"request_limit":1}}]}}"#;
        let (list, sent) = of(200, row).await;
        assert!(list.is_ok_and(|book| book.quota("m").is_some()));
        assert_eq!(sent.len() as u64, MAX_PAGES);
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_says_nothing_is_not_waited_for() {
        let client = service_fn(|_: Request<Full<Bytes>>| {
            std::future::pending::<Result<Response<Full<Bytes>>, Infallible>>()
        });
        let list = read_list(client, &base(), None).await;
        assert_eq!(list.err(), Some(NoList::Late));
    }

    #[tokio::test(start_paused = true)]
    async fn without_a_key_model_studio_is_not_asked() {
        let base = BaseUrl::DASHSCOPE.parse().expect("an address");
        let client = service_fn(|_: Request<Full<Bytes>>| async {
            Err::<Response<Full<Bytes>>, BoxError>("it was asked".into())
        });
        let list = read_list(client, &base, None).await;
        assert_eq!(list.err(), Some(NoList::NoKey));
        let key = HeaderValue::from_static("Bearer sk-1");
        let list = read_list(client, &base, Some(&key)).await;
        assert_eq!(list.err(), Some(NoList::Transport("it was asked".into())));
    }
}
