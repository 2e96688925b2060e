/// Why a [`Scanner`](super::Scanner) cannot read an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UnsupportedBody {
    /// It is compressed, or encoded in another way.
    #[error("answer is encoded")]
    Encoded,
    /// It is neither JSON nor a stream of events, by its content type.
    #[error("answer is neither JSON nor a stream of events")]
    ContentType,
}
