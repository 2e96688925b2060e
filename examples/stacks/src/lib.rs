//! One stack, unchanged, over every client and router (`tests/stacks`), what that costs (`benches/adapters.rs`), and the
//! recipes of the pages in `docs`, which are compiled here. The programs of `docs/stacks.md` are run by `.ci/snippets`.

#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../docs/cookbook.md")]
    struct Cookbook;

    #[doc = include_str!("../../../docs/migration.md")]
    struct Migration;
}
