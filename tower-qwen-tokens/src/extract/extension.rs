/// Makes a type an extractor: `$find` takes it from the extensions, `$missing` names what is
/// missing if it is not there.
macro_rules! extract_extension {
    ($type:ty, $find:expr, $missing:expr) => {
        impl<S: Sync> axum_core::extract::FromRequestParts<S> for $type {
            type Rejection = Missing;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Missing> {
                ($find)(&*parts).ok_or_else(|| Missing::new(($missing)(&*parts), parts))
            }
        }

        impl<S: Sync> axum_core::extract::OptionalFromRequestParts<S> for $type {
            type Rejection = Missing;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Missing> {
                Ok(($find)(&*parts))
            }
        }
    };
}

pub(super) use extract_extension;
