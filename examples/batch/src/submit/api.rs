//! Calls of the Batch API.
//!
//! What may be sent twice goes through Retry: questions, and deletions. An upload, a creation and a cancellation are sent once; who
//! asks for them looks at the provider before they are sent again.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response,
    header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, USER_AGENT},
};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::{fs, io::AsyncWriteExt, time::timeout};
use tower::{ServiceBuilder, ServiceExt, util::BoxCloneService};
use tower_qwen_retry::{RetryLayer, RetryPolicy};
use tower_qwen_tokens::{Verdict, call::BoxError};

use super::{
    api_error::{ApiError, of_verdict},
    state::JobState,
    upload::{Form, UploadBody},
    wire::{Batch, FileObject, Page},
};
use crate::{
    base_url::BaseUrl,
    failure::chain,
    fatal::Fatal,
    stack::{Transport, connect},
};

/// The most of an answer that is no file.
const MAX_OBJECT: usize = 16 << 20;
/// Time for a question and its retries.
const ANSWER: Duration = Duration::from_secs(120);
/// Silence after which a download counts as broken.
const SILENCE: Duration = Duration::from_secs(60);
/// The slowest upload that is waited for. Unit: bytes in a second.
const SLOWEST: u64 = 20_000;
/// Pages of a list that are read: a host that always has one more is not followed for ever.
const MAX_PAGES: usize = 200;

type Answer = Response<http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>>;

/// Calls the Batch API at the address of the calls, with their key.
pub(super) struct Api {
    base: BaseUrl,
    authorization: Option<HeaderValue>,
    /// With retries.
    client: BoxCloneService<Request<Full<Bytes>>, Answer, BoxError>,
    /// Without.
    once: Transport,
    uploads: Transport<UploadBody>,
}

/// An object, and how long the provider asks to wait before the next question.
pub(super) struct Polled {
    pub(super) batch: Batch,
    pub(super) wait: Option<Duration>,
}

impl Api {
    pub(super) fn new(base: BaseUrl, authorization: Option<HeaderValue>, attempts: u32) -> Self {
        // A file of errors is an answer here, and no error.
        let policy = RetryPolicy::default()
            .max_attempts(attempts)
            .json_errors(false);
        let client = ServiceBuilder::new()
            .map_response(|answer: Response<_>| answer.map(boxed))
            .layer(RetryLayer::new(policy))
            .service(connect::<Full<Bytes>>(1));
        Self {
            base,
            authorization,
            client: BoxCloneService::new(client),
            // No idle connection is used, which may be closed while the request is on its way: nobody knows then what became
            // of it.
            once: connect(0),
            uploads: connect(0),
        }
    }

    /// Whether the host has the Batch API, and takes the key. Costs nothing.
    pub(super) async fn check(&self) -> Result<(), ApiError> {
        let found: Result<Page<Batch>, _> = self.get("/v1/batches?limit=1").await;
        found.map(drop)
    }

    pub(super) async fn upload(&self, path: &Path, name: &str) -> Result<FileObject, ApiError> {
        let form = Form::of(path, name).await.map_err(ApiError::Io)?;
        let mut request = self.request(Method::POST, "/v1/files", form.body)?;
        let content_type = HeaderValue::try_from(form.content_type);
        let content_type = content_type.map_err(|_| ApiError::Refused("a bad name".to_owned()))?;
        request.headers_mut().insert(CONTENT_TYPE, content_type);
        request
            .headers_mut()
            .insert(CONTENT_LENGTH, form.length.into());
        let time = ANSWER + Duration::from_secs(form.length / SLOWEST);
        let answer = timeout(time, self.uploads.clone().oneshot(request)).await;
        let answer = sent(answer)?;
        object(answer.map(boxed)).await.map(|(file, _)| file)
    }

    /// The uploaded file of this name and size, if there is one. Others of the name are what broken uploads left.
    pub(super) async fn find_file(
        &self,
        name: &str,
        bytes: u64,
    ) -> Result<Option<String>, ApiError> {
        let found =
            |file: &FileObject| file.filename == name && file.bytes.is_none_or(|of| of == bytes);
        let file = self
            .find(
                "/v1/files?purpose=batch",
                |file: &FileObject| &file.id,
                found,
            )
            .await?;
        Ok(file.map(|file| file.id))
    }

    pub(super) async fn create(&self, job: &JobState, file: &str) -> Result<Batch, ApiError> {
        let body = json!({
            "input_file_id": file,
            "endpoint": job.endpoint,
            "completion_window": job.completion_window,
            "metadata": { "ds_name": job.name },
        });
        self.post("/v1/batches", body.to_string()).await
    }

    /// The job that was made of this file. One that failed is none: it may be made again.
    pub(super) async fn find_batch(&self, file: &str) -> Result<Option<Batch>, ApiError> {
        let found = |batch: &Batch| batch.input_file_id == file && batch.status != "failed";
        // Hosts that do not know the filter list all jobs.
        let path = format!("/v1/batches?limit=100&input_file_ids={}", id(file)?);
        self.find(&path, |batch: &Batch| &batch.id, found).await
    }

    pub(super) async fn poll(&self, batch: &str) -> Result<Polled, ApiError> {
        let request = self.request(
            Method::GET,
            &format!("/v1/batches/{}", id(batch)?),
            Full::default(),
        )?;
        let (batch, wait) = object(self.send(request).await?).await?;
        Ok(Polled { batch, wait })
    }

    pub(super) async fn cancel(&self, batch: &str) -> Result<Batch, ApiError> {
        let path = format!("/v1/batches/{}/cancel", id(batch)?);
        self.post(&path, String::new()).await
    }

    pub(super) async fn delete(&self, file: &str) -> Result<(), ApiError> {
        let path = format!("/v1/files/{}", id(file)?);
        let request = self.request(Method::DELETE, &path, Full::default())?;
        let gone: Result<(serde::de::IgnoredAny, _), _> = object(self.send(request).await?).await;
        match gone {
            Ok(_) | Err(ApiError::Missing(_)) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Writes a file of the provider to this path, whole or not at all.
    pub(super) async fn download(&self, file: &str, path: &Path) -> Result<(), ApiError> {
        let url = format!("/v1/files/{}/content", id(file)?);
        let answer = self
            .send(self.request(Method::GET, &url, Full::default())?)
            .await?;
        let answer = success(answer).await?;
        let fresh = path.with_extension("new");
        let mut out = fs::File::create(&fresh).await.map_err(ApiError::Io)?;
        let mut body = answer.into_body();
        loop {
            let frame = timeout(SILENCE, body.frame()).await;
            let frame = frame.map_err(|_| ApiError::Lost("the download fell silent".to_owned()))?;
            let Some(frame) = frame else { break };
            let frame = frame.map_err(|error| ApiError::Lost(chain(&*error)))?;
            if let Ok(data) = frame.into_data() {
                out.write_all(&data).await.map_err(ApiError::Io)?;
            }
        }
        out.sync_all().await.map_err(ApiError::Io)?;
        fs::rename(&fresh, path).await.map_err(ApiError::Io)
    }

    async fn find<T: DeserializeOwned>(
        &self,
        path: &str,
        id_of: impl Fn(&T) -> &str,
        found: impl Fn(&T) -> bool,
    ) -> Result<Option<T>, ApiError> {
        let mut next = path.to_owned();
        for _ in 0..MAX_PAGES {
            let page: Page<T> = self.get(&next).await?;
            let (items, after) = page.into_items(&id_of);
            if let Some(item) = items.into_iter().find(&found) {
                return Ok(Some(item));
            }
            let Some(after) = after else { break };
            next = format!("{path}&after={}", id(&after)?);
        }
        Ok(None)
    }

    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ApiError> {
        let request = self.request(Method::GET, path, Full::default())?;
        object(self.send(request).await?)
            .await
            .map(|(object, _)| object)
    }

    /// Sent once: it is not for Retry to know whether it took effect.
    async fn post<T: DeserializeOwned>(&self, path: &str, body: String) -> Result<T, ApiError> {
        let mut request = self.request(Method::POST, path, Full::new(Bytes::from(body)))?;
        let json = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, json);
        let answer = sent(timeout(ANSWER, self.once.clone().oneshot(request)).await)?;
        object(answer.map(boxed)).await.map(|(object, _)| object)
    }

    async fn send(&self, request: Request<Full<Bytes>>) -> Result<Answer, ApiError> {
        sent(timeout(ANSWER, self.client.clone().oneshot(request)).await)
    }

    fn request<B>(&self, method: Method, path: &str, body: B) -> Result<Request<B>, ApiError> {
        let uri = self
            .base
            .join(path)
            .map_err(|bad| ApiError::Refused(bad.to_string()))?;
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        let agent = concat!("tower-qwen-batch/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        if let Some(authorization) = &self.authorization {
            headers.insert(AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }
}

fn boxed<B>(body: B) -> http_body_util::combinators::UnsyncBoxBody<Bytes, BoxError>
where
    B: Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    body.map_err(Into::into).boxed_unsync()
}

/// An id as a part of a path: no other path can be made of it.
fn id(text: &str) -> Result<&str, ApiError> {
    let is_plain =
        |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    match !text.is_empty() && text.chars().all(is_plain) {
        true => Ok(text),
        false => Err(ApiError::Refused(format!(
            "the provider gave a strange id: {text:?}"
        ))),
    }
}

/// The answer to a request, if one came.
fn sent<A, E: Into<BoxError>>(
    answer: Result<Result<A, E>, tokio::time::error::Elapsed>,
) -> Result<A, ApiError> {
    match answer {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => {
            let error = error.into();
            Err(match Fatal::of_error(&*error) {
                Some(fatal) => ApiError::Fatal(fatal),
                None => ApiError::Lost(chain(&*error)),
            })
        }
        Err(_) => Err(ApiError::Lost("no answer came in time".to_owned())),
    }
}

/// The JSON of a successful answer, and the wait that it names.
async fn object<T: DeserializeOwned>(answer: Answer) -> Result<(T, Option<Duration>), ApiError> {
    let answer = success(answer).await?;
    let wait = named_wait(answer.headers());
    let status = answer.status().as_u16();
    let body = timeout(
        ANSWER,
        Limited::new(answer.into_body(), MAX_OBJECT).collect(),
    )
    .await;
    let body = body
        .map_err(|_| ApiError::Lost("the answer fell silent".to_owned()))?
        .map_err(|error| ApiError::Lost(chain(&*error)))?
        .to_bytes();
    match serde_json::from_slice(&body) {
        Ok(object) => Ok((object, wait)),
        // A page for people, such as of a proxy's login.
        Err(_) if !body.trim_ascii_start().starts_with(b"{") => {
            Err(ApiError::Fatal(Fatal::not_json(status)))
        }
        Err(error) => Err(ApiError::Lost(format!(
            "the answer cannot be read: {error}"
        ))),
    }
}

fn named_wait(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers
        .get(RETRY_AFTER)?
        .to_str()
        .ok()?
        .trim()
        .parse()
        .ok()?;
    Some(Duration::from_secs(seconds))
}

/// An answer of success, or what the other one says.
async fn success(answer: Answer) -> Result<Answer, ApiError> {
    if answer.status().is_success() {
        return Ok(answer);
    }
    let (parts, body) = answer.into_parts();
    let body = timeout(ANSWER, Limited::new(body, MAX_OBJECT).collect()).await;
    // Where the body does not come, the status alone has to do.
    let body = body
        .ok()
        .and_then(Result::ok)
        .map(http_body_util::Collected::to_bytes);
    #[allow(clippy::disallowed_methods, reason = "for dates, not for waits")]
    let now = SystemTime::now();
    let verdict =
        Verdict::of_response(parts.status, &parts.headers, &body.unwrap_or_default(), now);
    Err(of_verdict(&verdict, parts.status))
}
