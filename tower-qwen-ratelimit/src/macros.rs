/// `get_ref`, `get_mut` and `into_inner` of a service with the field `inner`.
macro_rules! inner_accessors {
    () => {
        /// The inner service.
        pub fn get_ref(&self) -> &S {
            &self.inner
        }

        /// The inner service, mutable.
        pub fn get_mut(&mut self) -> &mut S {
            &mut self.inner
        }

        /// Consumes this service and returns the inner one.
        pub fn into_inner(self) -> S {
            self.inner
        }
    };
}

/// `Debug` of a type by its name and these fields alone: the others say nothing to a reader, or are
/// not for logs.
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
