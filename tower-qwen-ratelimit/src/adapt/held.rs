/// All of the quota as it was given. Finer than a `Fraction`, so that growth in steps loses nothing.
pub(super) const WHOLE: u64 = 1 << 32;
/// The most that is ever believed of a quota that is not a ceiling.
// Sixty-five thousand times what was given: a quota can hardly be further off, and products with an amount
// fit 128 bits.
pub(super) const MOST: u64 = WHOLE << 16;
/// What is believed of what was measured, in thousandths.
// A window holds 990 thousandths of what is believed, and so 998 of what was measured: calls do not
// reach the provider in the order and at the distances of their sends. With 995 it used a hundredth less, with 1,015 it was
// throttled a quarter more (examples/goodput).
pub(super) const OF_MEASURED: u64 = 1_008;
/// From this part of what may be held on, a throttle is what was to be expected. Percent.
const EXPLAINED: u64 = 97;
/// What was accepted within the latest window when a call was throttled, the call itself included, and
/// what might have been.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) with_it: u64,
    pub(crate) allowed: u64,
    /// The quota as it was given.
    pub(crate) quota: u64,
}

impl Held {
    /// Whether our own count says that there was no room left.
    pub(crate) fn is_full(self) -> bool {
        u128::from(self.with_it) * 100 >= u128::from(self.allowed) * u128::from(EXPLAINED)
    }

    /// How full the window was, in 65,536ths.
    pub(crate) fn fill(self) -> u64 {
        let fill = (u128::from(self.with_it) << 16) / u128::from(self.allowed.max(1));
        u64::try_from(fill).unwrap_or(u64::MAX)
    }

    /// The limit that the provider shows, as a multiple of what was given.
    // With the call itself: of calls that differ, the large ones are throttled first, and what stood
    // before them is less than the limit by a part of them.
    pub(super) fn measured(self) -> u64 {
        let held = u128::from(self.with_it) * u128::from(WHOLE) / u128::from(self.quota.max(1));
        u64::try_from(held * u128::from(OF_MEASURED) / 1_000).unwrap_or(MOST)
    }
}
