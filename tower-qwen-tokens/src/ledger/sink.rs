use super::Record;

/// Receives every attempt that a [`Ledger`](super::Ledger) records.
pub trait LedgerSink: Send + Sync {
    /// Called once per attempt, after it was added to the sums, from wherever the attempt ends: a `Drop` included. It must
    /// not panic, and whatever time it takes is taken from the caller.
    fn record(&self, record: &Record<'_>);
}
