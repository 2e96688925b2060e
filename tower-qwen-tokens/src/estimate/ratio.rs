use std::fmt;

/// What an estimate is multiplied by, in 1/65536.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ratio(u32);

// Exact to 0.002 %, far below what an estimate is off; a division by it is a shift.
const ONE: u64 = 1 << 16;

impl Ratio {
    /// Nothing is changed.
    pub const ONE: Self = Self(ONE as u32);

    /// So many hundredths: 115 is 15 % more.
    #[must_use]
    pub const fn percent(percent: u16) -> Self {
        Self(percent as u32 * ONE as u32 / 100)
    }

    /// `actual` by `estimated`, as near as a ratio comes. Nothing by nothing, or by something, is [`Ratio::ONE`].
    #[must_use]
    pub fn of(actual: u64, estimated: u64) -> Self {
        if estimated == 0 {
            return Self::ONE;
        }
        let parts = u128::from(actual) * u128::from(ONE) / u128::from(estimated);
        Self(u32::try_from(parts).unwrap_or(u32::MAX))
    }

    /// In thousandths, rounded down.
    #[must_use]
    pub fn thousandths(self) -> u64 {
        u64::from(self.0) * 1000 / ONE
    }

    /// `tokens` by this ratio, rounded up.
    #[must_use]
    pub fn apply(self, tokens: u64) -> u64 {
        // Up: what is set aside must not be a token short.
        let parts = (u128::from(tokens) * u128::from(self.0)).div_ceil(u128::from(ONE));
        u64::try_from(parts).unwrap_or(u64::MAX)
    }

    /// Both, one after the other.
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let parts = u64::from(self.0) * u64::from(other.0) / ONE;
        Self(u32::try_from(parts).unwrap_or(u32::MAX))
    }

    /// The middle between [`Ratio::ONE`] and this, at `part` of `whole` of the way.
    pub(super) fn toward(self, part: u64, whole: u64) -> Self {
        let part = part.min(whole);
        let sum = u64::from(self.0) * part + ONE * (whole - part);
        Self(u32::try_from(sum / whole.max(1)).unwrap_or(u32::MAX))
    }

    /// Within half again of `other`, either way.
    pub(super) fn is_near(self, other: Self) -> bool {
        let (low, high) = (self.0.min(other.0), self.0.max(other.0));
        // Whole numbers, so that the edge is the same on every machine.
        u64::from(high) * 2 <= u64::from(low) * 3
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let thousandths = self.thousandths();
        write!(f, "{}.{:03}", thousandths / 1000, thousandths % 1000)
    }
}

#[cfg(test)]
mod tests {
    use super::Ratio;

    #[test]
    fn arithmetic() {
        assert_eq!(Ratio::of(0, 0), Ratio::ONE);
        assert_eq!(Ratio::of(3, 2).thousandths(), 1500);
        assert_eq!(Ratio::of(3, 2).to_string(), "1.500");
        assert_eq!(Ratio::percent(115).apply(100), 115);
        assert_eq!(Ratio::percent(115).apply(0), 0);
        assert_eq!(Ratio::ONE.apply(u64::MAX), u64::MAX);
        assert_eq!(Ratio::percent(200).apply(u64::MAX), u64::MAX);
        assert_eq!(Ratio::of(u64::MAX, 1).apply(u64::MAX), u64::MAX);
        assert_eq!(Ratio::of(2, 1).times(Ratio::percent(50)), Ratio::ONE);
        assert_eq!(Ratio::of(2, 1).toward(10, 20).thousandths(), 1500);
        assert_eq!(Ratio::of(2, 1).toward(30, 20), Ratio::of(2, 1));
    }

    #[test]
    fn near_is_half_again() {
        assert!(Ratio::of(3, 2).is_near(Ratio::ONE));
        assert!(Ratio::of(2, 3).is_near(Ratio::percent(99)));
        assert!(!Ratio::of(8, 5).is_near(Ratio::ONE));
        assert!(!Ratio::of(5, 8).is_near(Ratio::ONE));
    }
}
