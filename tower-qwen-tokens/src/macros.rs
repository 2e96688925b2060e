/// The three methods by which a service with a field `inner: S` gives access to the service inside.
///
/// One text for the services of our three crates, so that none of them lacks one or words it differently.
#[doc(hidden)]
#[macro_export]
macro_rules! inner_accessors {
    () => {
        /// A reference to the inner service.
        pub fn get_ref(&self) -> &S {
            &self.inner
        }

        /// A mutable reference to the inner service.
        pub fn get_mut(&mut self) -> &mut S {
            &mut self.inner
        }

        /// Returns the inner service.
        pub fn into_inner(self) -> S {
            self.inner
        }
    };
}

/// `Debug` of a type by its name and these fields alone: the others say nothing to a reader, or are
/// not for logs.
#[doc(hidden)]
#[macro_export]
macro_rules! opaque_debug {
    ($name:ident $({ $($field:ident),+ })?, impl $($header:tt)+) => {
        impl $($header)+ {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.debug_struct(stringify!($name))
                    $($(.field(stringify!($field), &self.$field))+)?
                    .finish_non_exhaustive()
            }
        }
    };
}

pub use {inner_accessors, opaque_debug};
