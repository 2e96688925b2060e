/// How the quota may be spent within its window.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Pacing {
    /// Evenly, and never more than the quota in any window. For providers that also count seconds or
    /// throttle sudden growth, as Model Studio does. The first call of an idle account goes at once.
    /// What was not used while calls were few or waited for the other dimension is caught up with
    /// later, at one and a half times the rate at most: see [`Quota::burst`](crate::Quota::burst).
    #[default]
    Smooth,
    /// The whole quota at once, but never more than it in any window. For hosts that count whole
    /// minutes only.
    Window,
}
