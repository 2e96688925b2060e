/// How many tokens are reserved for an answer while its call runs; the table in
/// [`Cost`](crate::Cost) has all cases.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reserve {
    /// The expected length: the 65th percentile of the latest 64 answers of the account, at most
    /// the call's own ceiling (`max_tokens`). Until 8 answers are known: the ceiling, or 4,096 for
    /// a call without one, and at most a sixteenth of what a window may hold, so that no single call
    /// holds up all others.
    ///
    /// The 65th percentile and not the mean: of many calls that run at one time, the sum then
    /// rarely exceeds the reservations.
    #[default]
    Expected,
    /// The call's own ceiling, always. For providers that reserve it themselves while the call
    /// runs. A call without a ceiling is treated as with [`Reserve::Expected`].
    Ceiling,
}
