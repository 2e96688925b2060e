use std::{fmt, sync::Arc};

/// Which account of the provider a call uses: a key, a workspace or a region with a quota of its own.
///
/// Put into the request's extensions by the caller, or by Retry for a call that goes to another
/// target. Admission then has an account for each origin, model and name. Calls without it use the
/// account of their origin and model alone.
///
/// A name, never the API key itself: it is shown in snapshots, metrics and logs, and is part of the
/// names that a fleet has in its store. Two keys of one root account share its quota, so they need
/// the same name, or none. An empty name counts as none.
///
/// # Examples
///
/// ```
/// use tower_qwen_tokens::call::AccountId;
///
/// # fn main() -> Result<(), http::Error> {
/// let request = http::Request::post("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions")
///     .extension(AccountId::new("second"))
///     .body(())?;
/// # let _ = request;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountId(Arc<str>);

impl AccountId {
    /// An account of this name.
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Self(name.into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
