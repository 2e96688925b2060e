use http::Request;
use reqwest::{Body, RequestBuilder};

/// Puts a value into the extensions of a request of reqwest's, for the layers: reqwest itself has no way to.
///
/// `Deadline`, `Tenant`, `Labels`, [`CallReport`](crate::CallReport): whatever a layer reads from the extensions. One value of
/// each type; a second one replaces the first.
///
/// ```
/// use std::time::Duration;
///
/// use tower_qwen_tokens::{Deadline, adapter::reqwest_0_13::WithExtension, ledger::Tenant};
///
/// # fn main() -> reqwest::Result<()> {
/// let client = reqwest::Client::new();
/// let request = client
///     .post("https://dashscope.aliyuncs.com/compatible-mode/v1/chat/completions")
///     .body("{}")
///     .with_extension(Deadline::after(Duration::from_secs(10)))?
///     .with_extension(Tenant::new("acme"))?;
/// # let _ = request;
/// # Ok(())
/// # }
/// ```
pub trait WithExtension: sealed::Sealed {
    /// The request with this value in its extensions, and else unchanged. A builder is built.
    ///
    /// # Errors
    ///
    /// Those of [`RequestBuilder::build`]; and where the URL is none that `http` takes, which no stack could send.
    fn with_extension<T>(self, value: T) -> reqwest::Result<reqwest::Request>
    where
        T: Clone + Send + Sync + 'static;
}

impl WithExtension for reqwest::Request {
    fn with_extension<T>(self, value: T) -> reqwest::Result<reqwest::Request>
    where
        T: Clone + Send + Sync + 'static,
    {
        // Its extensions are private. `http`'s are not, and neither way copies the body.
        let mut request = Request::<Body>::try_from(self)?;
        request.extensions_mut().insert(value);
        Self::try_from(request)
    }
}

impl WithExtension for RequestBuilder {
    fn with_extension<T>(self, value: T) -> reqwest::Result<reqwest::Request>
    where
        T: Clone + Send + Sync + 'static,
    {
        self.build()?.with_extension(value)
    }
}

mod sealed {
    pub trait Sealed {}

    impl Sealed for reqwest::Request {}
    impl Sealed for reqwest::RequestBuilder {}
}
