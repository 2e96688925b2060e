//! One stack, unchanged, over every client and router (`tests/stacks`), what that costs (`benches/adapters.rs`), and the
//! programs of the pages in `docs`, which are compiled here.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/cookbook.md")]
    struct Cookbook;

    #[doc = include_str!("../../../docs/migration.md")]
    struct Migration;

    #[doc = include_str!("../../../docs/stacks.md")]
    struct Stacks;
}
