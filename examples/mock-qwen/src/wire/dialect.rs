//! The two dialects.

/// Which of the two interfaces a call came by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// As OpenAI's.
    Compatible,
    /// DashScope's own.
    Native,
}
