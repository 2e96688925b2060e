//! The window of a plan.

/// What a plan allows in one of its windows, beside the quotas of a minute. A call is refused once its tokens or its
/// requests are used up; the call before that may go beyond.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Which window. Default: [`PlanWindow::FiveHours`].
    pub window: PlanWindow,
    /// Tokens of a window, prompts and outputs together. Default: `None`, not limited.
    pub tokens: Option<u64>,
    /// Requests of a window. Default: `None`, not limited.
    pub requests: Option<u64>,
    /// Whether the refusal states when the window ends, where the host ever does. Default: true.
    pub states_reset: bool,
    /// Probability that a call is let in although the window is used up, as was seen of such hosts. Default: 0.
    pub flap: f64,
}

/// How long a window of a plan lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PlanWindow {
    /// Five hours from the first call after the last window.
    #[default]
    FiveHours,
    /// From 00:00 UTC to the next.
    Day,
    /// From Monday 00:00 in UTC+8 to the next.
    Week,
    /// Thirty days in a row, the first from the start of the server: the day of the subscription.
    Month,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            window: PlanWindow::default(),
            tokens: None,
            requests: None,
            states_reset: true,
            flap: 0.0,
        }
    }
}
