use std::time::Duration;

use crate::sharing::{OutagePolicy, Sharing};

/// What the processes of a fleet have agreed on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) sharing: Sharing,
    pub(crate) outage: OutagePolicy,
    /// How long an operation may take before the store counts as away.
    pub(crate) timeout: Duration,
    /// Operations that may wait for the driver.
    pub(crate) capacity: usize,
}
