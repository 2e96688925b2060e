use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use tower_layer::Layer;
use tower_qwen_tokens::call::ReadOptions;

use super::{Admission, settings::Settings};
use crate::limiter::Limiter;

/// Layer of [`Admission`]; see the [module docs](super).
///
/// Clones of the layer, and all services that it makes, share the limiter's accounts.
///
/// # Examples
///
/// Calls that would wait for more than 30 s are rejected at once:
///
/// ```
/// use std::time::Duration;
///
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::Full;
/// use tower::{ServiceBuilder, ServiceExt, service_fn};
/// use tower_qwen_ratelimit::{AdmissionLayer, Limiter, Quota, RejectKind, Rejected};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
/// let limiter = Limiter::new(Quota::per_minute(1, 100_000));
/// let client = ServiceBuilder::new()
///     .layer(AdmissionLayer::new(limiter).max_wait(Duration::from_secs(30)))
///     .service(service_fn(|_: Request<Full<Bytes>>| async {
///         Ok::<_, std::convert::Infallible>(Response::new(Full::<Bytes>::from("{}")))
///     }));
///
/// let request = Request::post("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions")
///     .body(Full::from(r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#))?;
/// // The first call goes at once. One request a minute flows in, so the second would wait a minute.
/// client.clone().oneshot(request.clone()).await?;
/// let error = client.oneshot(request).await.map(drop).unwrap_err();
/// let rejected = error.downcast::<Rejected>()?;
/// assert_eq!(rejected.kind(), RejectKind::MaxWait);
/// assert!(rejected.predicted_wait() >= Some(Duration::from_secs(60)));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AdmissionLayer {
    settings: Arc<Settings>,
}

impl AdmissionLayer {
    /// A layer whose services wait for this limiter's quota.
    pub fn new(limiter: Limiter) -> Self {
        Self {
            settings: Arc::new(Settings::new(limiter)),
        }
    }

    /// The longest wait for quota. A call with a longer predicted wait is rejected at once, any
    /// other call when it has waited this long. A call's own
    /// [`Deadline`](tower_qwen_tokens::Deadline) and [`MaxWait`](tower_qwen_tokens::call::MaxWait) work
    /// the same way. Default: no limit.
    pub fn max_wait(mut self, max_wait: Duration) -> Self {
        Arc::make_mut(&mut self.settings).max_wait = Some(max_wait);
        self
    }

    /// Asks the provider to queue calls for at most this long instead of throttling them while the
    /// traffic grows fast (`X-DashScope-Wait-Timeout`; a header that the caller has set is kept).
    /// Unit: whole seconds; the provider recommends 3 to 120. Raise the timeouts of the layers
    /// below by the same time. Default: the header is not sent.
    pub fn provider_queue_timeout(mut self, timeout: Duration) -> Self {
        Arc::make_mut(&mut self.settings).provider_queue_timeout =
            Some(HeaderValue::from(timeout.as_secs()));
        self
    }

    /// How requests are read that no layer above has read. Default: [`ReadOptions::default`], at
    /// most 32 MiB.
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        Arc::make_mut(&mut self.settings).read_options = options;
        self
    }
}

impl<S> Layer<S> for AdmissionLayer {
    type Service = Admission<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Admission::new(inner, self.settings.clone())
    }
}
