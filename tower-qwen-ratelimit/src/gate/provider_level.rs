use super::gate::Gate;
use crate::units::Nanos;

/// What a provider says of a limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ProviderLevel {
    pub(crate) limit: Option<u64>,
    pub(crate) remaining: u64,
    /// When nothing of what was used counts any more.
    pub(crate) reset_at: Nanos,
}

impl Gate {
    /// Lowers the gate to what the provider says is left; never raises it, since calls under way
    /// are missing in that.
    pub(crate) fn lower_to(&mut self, level: ProviderLevel) {
        let limit = level.limit.unwrap_or(self.quota).max(level.remaining);
        let used = limit - level.remaining;
        // What the provider counts beyond our own count: others use the same account.
        let unknown = used.saturating_sub(self.window.sum());
        let slot = self.window.leaving_at(level.reset_at);
        self.window.add(slot, unknown);
        if let Some(buckets) = &mut self.buckets {
            buckets.lower_to(level.remaining);
        }
    }
}
