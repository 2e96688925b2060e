use super::{ModelNotice, Record};

/// Receives every attempt that a [`Ledger`](super::Ledger) records.
pub trait LedgerSink: Send + Sync {
    /// Called once per attempt, after it was added to the sums, from wherever the attempt ends: a `Drop` included. It must
    /// not panic, and whatever time it takes is taken from the caller.
    fn record(&self, record: &Record<'_>);

    /// Called once for a model that has no price or is retired, at its first attempt, and once for one whose answer states a
    /// usage that cannot be; before [`record`](Self::record), under the same conditions. Does nothing unless it is implemented.
    fn notice(&self, notice: &ModelNotice<'_>) {
        let _ = notice;
    }
}
