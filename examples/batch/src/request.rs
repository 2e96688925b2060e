//! What goes out for a line.

use std::{borrow::Cow, collections::BTreeMap, fmt};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use http_body_util::Full;
use serde::Deserialize;
use serde_json::value::RawValue;
use tower_qwen_tokens::{Dialect, protocol::header::X_DASHSCOPE_SSE};

use crate::{
    accounts::BATCH_PATH,
    base_url::{BadUrl, BaseUrl},
    input::{InputCall, Param},
};

/// Makes requests of calls.
#[derive(Clone)]
pub struct Requests {
    base: BaseUrl,
    authorization: Option<HeaderValue>,
    model: Option<Box<RawValue>>,
    params: Vec<Param>,
    stream: bool,
    is_batch_host: bool,
}

/// The model and the path of a call: a provider has both, or neither call can succeed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    key: String,
    model_at: usize,
}

/// Why no request can be made of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum BadRequest {
    /// Its path is of no use.
    Url(BadUrl),
    /// Its body cannot be changed as asked: it, or its `parameters`, is no object.
    Body,
    /// The batch host does not have its path.
    BatchHost,
}

/// A key with characters that no header can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadKey;

type Fields = BTreeMap<String, Box<RawValue>>;

impl Requests {
    /// Requests to this address, without a key, with the bodies as they are.
    #[must_use]
    pub fn new(base: BaseUrl) -> Self {
        Self {
            base,
            authorization: None,
            model: None,
            params: Vec::new(),
            stream: false,
            is_batch_host: false,
        }
    }

    /// Sends this key along.
    ///
    /// # Errors
    ///
    /// [`BadKey`] where no header can carry it.
    pub fn key(mut self, key: &str) -> Result<Self, BadKey> {
        self.authorization = Some(bearer(key)?);
        Ok(self)
    }

    /// The header with the key.
    #[must_use]
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// Sets the model of every call, in place of its own.
    #[must_use]
    pub fn model(mut self, model: Option<&str>) -> Self {
        self.model = model.map(json);
        self
    }

    /// Sets these parameters of every call, in place of its own.
    #[must_use]
    pub fn params(mut self, params: &[Param]) -> Self {
        self.params = params.to_vec();
        self
    }

    /// Asks for streams where [`is_streamable`] says that they can be put together again.
    #[must_use]
    pub fn stream(mut self, stream: bool) -> Self {
        self.stream = stream;
        self
    }

    /// Takes only the calls that the batch host has a path for.
    #[must_use]
    pub fn batch_host(mut self, is_batch_host: bool) -> Self {
        self.is_batch_host = is_batch_host;
        self
    }

    /// The request of a call. A body that needs no change goes out byte for byte.
    ///
    /// # Errors
    ///
    /// See [`BadRequest`].
    pub fn build(&self, call: &InputCall) -> Result<Request<Full<Bytes>>, BadRequest> {
        let uri = self.base.join(&call.url).map_err(BadRequest::Url)?;
        if self.is_batch_host && !uri.path().ends_with(BATCH_PATH) {
            return Err(BadRequest::BatchHost);
        }
        let streamed =
            Dialect::of_path(uri.path()).filter(|&dialect| self.stream && is_streamable(dialect));
        let is_native = Dialect::of_path(uri.path()).is_some_and(Dialect::is_native);
        let mut request = Request::new(Full::new(self.body(call, is_native, streamed)?));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/json"),
        );
        headers.insert(
            header::USER_AGENT,
            HeaderValue::from_static(concat!("tower-qwen-batch/", env!("CARGO_PKG_VERSION"))),
        );
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        if streamed.is_some() {
            headers.insert(
                header::ACCEPT,
                HeaderValue::from_static("text/event-stream"),
            );
        }
        if streamed.is_some_and(Dialect::is_native) {
            headers.insert(X_DASHSCOPE_SSE, HeaderValue::from_static("enable"));
        }
        Ok(request)
    }

    /// The model and the path that a call names.
    #[must_use]
    pub fn route(&self, call: &InputCall) -> Route {
        #[derive(Deserialize)]
        struct Head<'a> {
            #[serde(borrow)]
            model: Cow<'a, str>,
        }
        let model = match &self.model {
            Some(model) => serde_json::from_str(model.get()).unwrap_or_default(),
            None => serde_json::from_str::<Head<'_>>(call.body.get())
                .map(|head| head.model.into_owned())
                .unwrap_or_default(),
        };
        Route {
            key: format!("{} {model}", call.url),
            model_at: call.url.len() + 1,
        }
    }

    fn body(
        &self,
        call: &InputCall,
        is_native: bool,
        streamed: Option<Dialect>,
    ) -> Result<Bytes, BadRequest> {
        if self.model.is_none() && self.params.is_empty() && streamed.is_none() {
            return Ok(Bytes::copy_from_slice(call.body.get().as_bytes()));
        }
        let mut fields = fields(&call.body)?;
        if let Some(model) = &self.model {
            fields.insert("model".to_owned(), model.clone());
        }
        for Param { name, value } in &self.params {
            match is_native {
                true => set(&mut fields, "parameters", name, value)?,
                false => drop(fields.insert(name.clone(), value.clone())),
            }
        }
        match streamed {
            Some(dialect) if dialect.is_native() => {
                set(&mut fields, "parameters", "incremental_output", &true)?;
            }
            Some(_) => {
                fields.insert("stream".to_owned(), json(&true));
                set(&mut fields, "stream_options", "include_usage", &true)?;
            }
            None => {}
        }
        serde_json::to_vec(&fields)
            .map(Bytes::from)
            .map_err(|_| BadRequest::Body)
    }
}

impl Route {
    /// Both in one text.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.key[..self.model_at - 1]
    }

    /// The model; empty where the body names none.
    #[must_use]
    pub fn model(&self) -> &str {
        &self.key[self.model_at..]
    }
}

/// Whether the streams of a dialect can be put together into an answer in one piece.
#[must_use]
pub fn is_streamable(dialect: Dialect) -> bool {
    matches!(
        dialect,
        Dialect::Chat | Dialect::Completions | Dialect::NativeText | Dialect::NativeMultimodal
    )
}

/// The header with a key, marked as a secret.
///
/// # Errors
///
/// [`BadKey`] where no header can carry it.
pub fn bearer(key: &str) -> Result<HeaderValue, BadKey> {
    let mut value = HeaderValue::try_from(format!("Bearer {}", key.trim())).map_err(|_| BadKey)?;
    value.set_sensitive(true);
    Ok(value)
}

fn fields(raw: &RawValue) -> Result<Fields, BadRequest> {
    serde_json::from_str(raw.get()).map_err(|_| BadRequest::Body)
}

/// Sets a field of an object inside, which is made where it is missing or null.
fn set(
    fields: &mut Fields,
    object: &str,
    field: &str,
    value: &impl serde::Serialize,
) -> Result<(), BadRequest> {
    let mut inside = match fields.get(object) {
        Some(raw) if raw.get() != "null" => self::fields(raw)?,
        _ => Fields::new(),
    };
    inside.insert(field.to_owned(), json(value));
    fields.insert(object.to_owned(), json(&inside));
    Ok(())
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    serde_json::value::to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

impl fmt::Debug for Requests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Requests")
            .field("base", &self.base)
            .field("model", &self.model)
            .field("params", &self.params)
            .field("stream", &self.stream)
            .finish_non_exhaustive()
    }
}

impl fmt::Display for BadRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(bad) => write!(f, "`url`: {bad}"),
            Self::BatchHost => f.write_str(
                "`url`: the batch host has chat completions alone: leave out --batch-host for this call",
            ),
            Self::Body => f.write_str(
                "the body cannot be changed as the options ask: it lacks the shape of its path",
            ),
        }
    }
}

impl std::error::Error for BadRequest {}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the key has characters that no header can carry")
    }
}

impl std::error::Error for BadKey {}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use http_body_util::BodyExt;
    use serde_json::{Value, json};

    use super::*;
    use crate::input::param;

    type TestResult = Result<(), Box<dyn Error>>;

    const CHAT: &str = "/v1/chat/completions";
    const NATIVE: &str = "/api/v1/services/aigc/text-generation/generation";

    fn call(url: &str, body: &str) -> Result<InputCall, Box<dyn Error>> {
        Ok(InputCall {
            custom_id: "a".to_owned(),
            url: url.to_owned(),
            body: RawValue::from_string(body.to_owned())?,
            carried: crate::carried::Carried::default(),
        })
    }

    async fn body(request: Request<Full<Bytes>>) -> Result<String, Box<dyn Error>> {
        Ok(String::from_utf8(
            request.into_body().collect().await?.to_bytes().to_vec(),
        )?)
    }

    #[tokio::test]
    async fn without_wishes_the_body_goes_out_as_it_is() -> TestResult {
        let text = r#"{ "model":"m",  "temperature": 0.10}"#;
        let requests = Requests::new("http://h/compatible-mode/v1".parse()?);
        let request = requests.build(&call(CHAT, text)?)?;
        assert_eq!(
            request.uri(),
            "http://h/compatible-mode/v1/chat/completions"
        );
        assert_eq!(request.method(), Method::POST);
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
        assert!(!request.headers().contains_key(header::ACCEPT));
        assert_eq!(body(request).await?, text);
        Ok(())
    }

    #[tokio::test]
    async fn the_model_is_replaced_and_the_rest_stays() -> TestResult {
        let requests = Requests::new("http://h".parse()?).model(Some("qwen-\"max\""));
        for text in [
            r#"{"model":"m","temperature":0.10}"#,
            r#"{"temperature":0.10}"#,
        ] {
            let request = requests.build(&call(CHAT, text)?)?;
            assert_eq!(
                body(request).await?,
                r#"{"model":"qwen-\"max\"","temperature":0.10}"#
            );
        }
        Ok(())
    }

    #[test]
    fn the_route_is_the_model_that_goes_out_and_the_path() -> TestResult {
        let requests = Requests::new("http://h".parse()?);
        for (body, expected) in [
            (r#"{"messages":[],"model":"qwen\u002dplus"}"#, "qwen-plus"),
            (r#"{"model":1}"#, ""),
            ("{}", ""),
        ] {
            let route = requests.route(&call(CHAT, body)?);
            assert_eq!((route.path(), route.model()), (CHAT, expected));
        }
        let renamed = requests.model(Some("mine"));
        let route = renamed.route(&call(CHAT, r#"{"model":"m"}"#)?);
        assert_eq!(route.model(), "mine");
        Ok(())
    }

    #[tokio::test]
    async fn parameters_stand_where_their_dialect_wants_them() -> TestResult {
        let params = [param("temperature=0.10")?, param("user=me")?];
        let requests = Requests::new("http://h".parse()?).params(&params);
        for (url, before, after) in [
            (
                CHAT,
                r#"{"temperature":1,"top_p":0.5}"#,
                r#"{"temperature":0.10,"top_p":0.5,"user":"me"}"#,
            ),
            (
                NATIVE,
                r#"{"input":{}}"#,
                r#"{"input":{},"parameters":{"temperature":0.10,"user":"me"}}"#,
            ),
        ] {
            assert_eq!(body(requests.build(&call(url, before)?)?).await?, after);
        }
        Ok(())
    }

    #[tokio::test]
    async fn streams_are_asked_for_in_either_dialect() -> TestResult {
        let requests = Requests::new("http://h".parse()?).stream(true);
        for options in [
            "",
            r#","stream_options":null"#,
            r#","stream_options":{"include_usage":false}"#,
        ] {
            let request = requests.build(&call(CHAT, &format!(r#"{{"model":"m"{options}}}"#))?)?;
            assert_eq!(request.headers()[header::ACCEPT], "text/event-stream");
            assert!(!request.headers().contains_key(X_DASHSCOPE_SSE));
            assert_eq!(
                serde_json::from_str::<Value>(&body(request).await?)?,
                json!({"model": "m", "stream": true, "stream_options": {"include_usage": true}})
            );
        }
        let request =
            requests.build(&call(NATIVE, r#"{"input":{},"parameters":{"top_p":0.5}}"#)?)?;
        assert_eq!(request.headers()[X_DASHSCOPE_SSE], "enable");
        assert_eq!(
            serde_json::from_str::<Value>(&body(request).await?)?,
            json!({"input": {}, "parameters": {"top_p": 0.5, "incremental_output": true}})
        );
        Ok(())
    }

    #[tokio::test]
    async fn what_cannot_be_put_together_is_not_streamed() -> TestResult {
        let requests = Requests::new("http://h".parse()?).stream(true);
        for url in [
            "/v1/embeddings",
            "/v1/responses",
            "/v1/messages",
            "/v1/other",
        ] {
            let request = requests.build(&call(url, r#"{"input":"x"}"#)?)?;
            assert!(!request.headers().contains_key(header::ACCEPT), "{url}");
            assert_eq!(body(request).await?, r#"{"input":"x"}"#);
        }
        let refused = requests.build(&call(CHAT, r#"{"stream_options":1}"#)?);
        assert_eq!(refused.err(), Some(BadRequest::Body));
        Ok(())
    }

    #[test]
    fn the_key_shows_nowhere() -> TestResult {
        let requests = Requests::new("http://h".parse()?).key(" sk-secret\n")?;
        let request = requests.build(&call(CHAT, "{}")?)?;
        assert_eq!(request.headers()[header::AUTHORIZATION], "Bearer sk-secret");
        assert!(!format!("{requests:?} {:?}", request.headers()).contains("secret"));
        assert!(matches!(requests.key("sk-\u{7}"), Err(BadKey)));
        Ok(())
    }
}
