//! One stack, unchanged, over every client and router (`tests/stacks`), what that costs (`benches/adapters.rs`), and the
//! recipes of the pages in `docs`, which are compiled here. The programs of the README are run by `.ci/snippets`.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/cookbook.md")]
    struct Cookbook;

    #[doc = include_str!("../../../docs/migration.md")]
    struct Migration;

    #[doc = include_str!("../../../docs/troubleshooting.md")]
    struct Troubleshooting;

    /// What asks for a service that is `'static` does not fit inside of reqwest-middleware; what does not, fits.
    ///
    /// ```compile_fail
    /// use tower_qwen_tokens::adapter::reqwest_middleware_0_5::TowerMiddleware;
    ///
    /// fn fits(_: impl reqwest_middleware::Middleware) {}
    /// fits(TowerMiddleware::new(tower::buffer::BufferLayer::<http::Request<reqwest::Body>>::new(1)));
    /// ```
    ///
    /// ```
    /// use tower_qwen_tokens::adapter::reqwest_middleware_0_5::TowerMiddleware;
    ///
    /// fn fits(_: impl reqwest_middleware::Middleware) {}
    /// let _ = tower::buffer::BufferLayer::<http::Request<reqwest::Body>>::new(1);
    /// fits(TowerMiddleware::new(tower::limit::ConcurrencyLimitLayer::new(1)));
    /// ```
    struct Static;
}
