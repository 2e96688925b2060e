use std::{fmt, sync::Arc, time::Duration};

use crate::{
    Basis, End, Money, Usage,
    ledger::{Labels, Tenant},
};

use super::facts::CallFacts;

/// What one call waited, used and cost, over all of its attempts. Clones share everything.
///
/// It is in the extensions of every answer that our layers pass on. Put one into the request's extensions and keep a clone, to
/// have it also where the call ends in an error, is rejected before it is sent, or is dropped. One for each call: a second call
/// with the same one adds to it.
///
/// Each layer writes what it knows, so without a Meter there are no tokens, without Admission or a server's queue no wait for
/// quota. It can be read at any time; of a stream the tokens come when its body has ended, or is dropped
/// ([`ended`](CallReport::ended)).
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use http_body_util::{BodyExt, Full};
/// use tower::{ServiceExt, service_fn};
/// use tower_layer::Layer;
/// use tower_qwen_tokens::{CallReport, Ledger, MeterLayer};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let transport = service_fn(|_: Request<Full<Bytes>>| async {
///     let body = r#"{"choices":[],"usage":{"prompt_tokens":1000,"completion_tokens":200}}"#;
///     Response::builder().header("content-type", "application/json").body(Full::<Bytes>::from(body))
/// });
/// let client = MeterLayer::new(Ledger::default()).layer(transport);
///
/// let report = CallReport::new();
/// let request = Request::post("https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions")
///     .extension(report.clone())
///     .body(Full::from(r#"{"model":"qwen-plus","messages":[{"role":"user","content":"Hello!"}]}"#))?;
/// let answer = client.oneshot(request).await?;
/// answer.into_body().collect().await?;
///
/// assert_eq!(report.sends(), 1);
/// assert_eq!(report.usage().and_then(|usage| usage.total()), Some(1_200));
/// assert_eq!(report.cost().map(|cost| cost.to_string()).as_deref(), Some("0.00064 USD"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Default)]
pub struct CallReport(pub(super) Arc<CallFacts>);

impl CallReport {
    /// A report of a call that is yet to be sent.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How long it waited for quota until now: at Admission, all attempts together, and before that in the queue of a server
    /// (`EnforceLayer::queue`).
    #[must_use]
    pub fn queued(&self) -> Duration {
        self.0.lock().queued()
    }

    /// How long Retry waited between the attempts, and for targets that rest, until now. Without the waits at Admission.
    #[must_use]
    pub fn retry_wait(&self) -> Duration {
        self.0.lock().backoff()
    }

    /// How often it was handed to the transport so far: 0 where it still waits, or was rejected.
    #[must_use]
    pub fn sends(&self) -> u32 {
        self.0.lock().sends()
    }

    /// Whether the provider may have worked on it: not if it was never handed to the transport, nor if every attempt has
    /// provably never begun (the connection was refused, HTTP/2 says so). Such a call costs nothing.
    #[must_use]
    pub fn was_sent(&self) -> bool {
        self.0.lock().is_sent()
    }

    /// The name of the fallback, or of the pool's member, that it went to last; `None` for the caller's own target.
    #[must_use]
    pub fn target(&self) -> Option<Arc<str>> {
        self.0.lock().target.clone()
    }

    /// The tokens of the latest attempt that has ended; `None` before.
    #[must_use]
    pub fn usage(&self) -> Option<Usage> {
        self.0.lock().outcome.map(|outcome| outcome.usage)
    }

    /// Where they come from; `None` before an attempt has ended.
    #[must_use]
    pub fn basis(&self) -> Option<Basis> {
        self.0.lock().outcome.map(|outcome| outcome.basis)
    }

    /// How the latest attempt ended; `None` before.
    #[must_use]
    pub fn end(&self) -> Option<End> {
        self.0.lock().outcome.map(|outcome| outcome.end)
    }

    /// What all attempts cost together. `None` where nothing is known to have cost anything: no attempt has ended, its usage is
    /// unknown, or the model has no price; and where it cost money of several currencies, see [`costs`](CallReport::costs).
    #[must_use]
    pub fn cost(&self) -> Option<Money> {
        let facts = self.0.lock();
        facts.cost.filter(|_| facts.other_costs.is_empty())
    }

    /// What all attempts cost together, one amount for each currency: a fallback may be priced in another one.
    #[must_use]
    pub fn costs(&self) -> Vec<Money> {
        let facts = self.0.lock();
        let others = facts.other_costs.iter().copied();
        facts.cost.into_iter().chain(others).collect()
    }

    /// Whose call it was, as the Meter recorded it; `None` before an attempt has ended.
    #[must_use]
    pub fn tenant(&self) -> Option<Tenant> {
        self.0.lock().tenant.clone()
    }

    /// What it was summed up by, as the Meter recorded it; none before an attempt has ended.
    #[must_use]
    pub fn labels(&self) -> Labels {
        self.0.lock().labels.clone()
    }

    /// Whether it is over: no layer works on it any more, and its body has ended or was dropped.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.lock().has_ended
    }

    /// Waits until it is over, however it ends. Ready at once where it is over; a call that is never sent never ends.
    ///
    /// Whoever holds the answer reads its body to the end, or drops it, before it waits here. With a retrier other than ours
    /// outside of the Meter, each attempt ends the call.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn ended(&self) {
        loop {
            // Registered before the check, so that an end between the two is not missed.
            let ended = self.0.ended.notified();
            if self.has_ended() {
                return;
            }
            ended.await;
        }
    }

    #[doc(hidden)]
    #[must_use]
    pub fn facts(&self) -> &Arc<CallFacts> {
        &self.0
    }

    /// Whether both are of one call.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl fmt::Debug for CallReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallReport")
            .field("queued", &self.queued())
            .field("retry_wait", &self.retry_wait())
            .field("sends", &self.sends())
            .field("was_sent", &self.was_sent())
            .field("target", &self.target())
            .field("usage", &self.usage())
            .field("basis", &self.basis())
            .field("costs", &self.costs())
            .field("has_ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}
