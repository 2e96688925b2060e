/// Settings that would admit no call at all, or more calls than the quota allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidQuota {
    /// No requests, no tokens, no concurrency, or no tokens per day: no call could ever be
    /// admitted.
    #[error("the quota allows nothing at all")]
    Nothing,
    /// The window is shorter than 1 ms or longer than a day.
    #[error("the quota's window is shorter than 1 ms or longer than a day")]
    Window,
    /// The burst is longer than the window.
    #[error("the quota's burst is longer than its window")]
    Burst,
    /// The headroom leaves nothing: it is 100 percent or more.
    #[error("the headroom leaves nothing of the quota")]
    Headroom,
    /// A further limit has a rolling period that is shorter than 1 ms or longer than 366 days.
    #[error("a further limit's period is shorter than 1 ms or longer than 366 days")]
    Period,
    /// There are more than 8 further limits.
    #[error("a quota has at most 8 further limits")]
    TooManyLimits,
}
