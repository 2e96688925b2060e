use std::time::Duration;

/// How often a call was sent, and how long it waited in between. In the extensions of every answer.
///
/// ```
/// use http::Response;
/// use tower_qwen_retry::Attempts;
///
/// fn log<B>(answer: &Response<B>) {
///     if let Some(attempts) = answer.extensions().get::<Attempts>() {
///         println!("sent {} times, waited {:?}", attempts.number, attempts.waited);
///     }
/// }
/// # log(&Response::new(()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Attempts {
    /// How often the call was sent; 1 without a retry.
    pub number: u32,
    /// How long Retry itself waited between the attempts, without the waits of layers inside.
    pub waited: Duration,
    /// Which target answered: 0 is the caller's own, 1 the first
    /// [fallback](crate::RetryPolicy::fallback), and so on.
    pub fallback: u32,
}

impl Attempts {
    pub(crate) const NONE: Self = Self {
        number: 0,
        waited: Duration::ZERO,
        fallback: 0,
    };
}
