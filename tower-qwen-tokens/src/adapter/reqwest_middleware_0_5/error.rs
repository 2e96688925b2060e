use std::error::Error;

use crate::call::BoxError;

/// An error of a layer of the stack, neither of reqwest nor of a middleware below.
#[derive(Debug, thiserror::Error)]
#[error("the call failed in a layer")]
pub struct LayerError(#[source] BoxError);

impl LayerError {
    /// The layer's error, if it is of this type.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.0.downcast_ref()
    }

    /// The layer's error.
    #[must_use]
    pub fn into_inner(self) -> BoxError {
        self.0
    }
}

/// Returns an error from below as it was, and every other one as a [`LayerError`].
pub(super) fn into_middleware_error(error: BoxError) -> reqwest_middleware::Error {
    let error = match error.downcast::<reqwest_middleware::Error>() {
        Ok(error) => return *error,
        Err(error) => error,
    };
    match error.downcast::<reqwest::Error>() {
        Ok(error) => (*error).into(),
        Err(error) => reqwest_middleware::Error::middleware(LayerError(error)),
    }
}
