use crate::protocol::is_incremental_by_default;

/// What is known of the texts in the events of a native stream before the first of them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum NativeEvents {
    /// Each has new text alone.
    New,
    /// The same, unless they look otherwise.
    LikelyNew,
    /// Each repeats the text so far, unless they look otherwise.
    #[default]
    LikelyRepeating,
}

impl NativeEvents {
    /// By `incremental_output`, as the request states it, and by the model.
    pub(crate) fn of(incremental_output: Option<bool>, model: &str) -> Self {
        match incremental_output {
            Some(true) => Self::New,
            None if is_incremental_by_default(model) => Self::LikelyNew,
            // Models that think stream new text alone whatever the request says.
            Some(false) | None => Self::LikelyRepeating,
        }
    }
}
