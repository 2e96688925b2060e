/// A part of a whole, from nothing to all of it.
///
/// Counted in integer parts, so that this process and a store's scripts compute the same.
// 2^16 parts: a sixty-fourth is still a thousand of them, and a product with 100 fits 32 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fraction(u32);

impl Fraction {
    pub(crate) const ZERO: Self = Self(0);
    pub(crate) const WHOLE: Self = Self(1 << 16);

    /// So many parts; more than the whole is the whole.
    pub(crate) const fn from_parts(parts: u32) -> Self {
        if parts > Self::WHOLE.0 {
            return Self::WHOLE;
        }
        Self(parts)
    }

    /// One part of `count` equal ones, rounded down, but never nothing.
    pub(crate) const fn one_of(count: u64) -> Self {
        let count = if count == 0 { 1 } else { count };
        let parts = Self::WHOLE.0 as u64 / count;
        Self(if parts == 0 { 1 } else { parts as u32 })
    }

    /// What `amount` is of `whole`, rounded down; the whole where it is more.
    #[cfg(feature = "redis")]
    pub(crate) fn ratio(amount: u64, whole: u64) -> Self {
        Self::from_wide(scaled(amount) / u128::from(whole.max(1)))
    }

    /// The same, rounded up.
    pub(crate) fn ratio_rounded_up(amount: u64, whole: u64) -> Self {
        Self::from_wide(scaled(amount).div_ceil(u128::from(whole.max(1))))
    }

    pub(crate) const fn parts(self) -> u32 {
        self.0
    }

    /// The fraction of `amount`, rounded down.
    #[inline]
    pub(crate) fn of(self, amount: u64) -> u64 {
        // By far the most frequent case: no throttle, no slow start, no fleet.
        if self == Self::WHOLE {
            return amount;
        }
        let part = u128::from(amount) * u128::from(self.0) / u128::from(Self::WHOLE.0);
        u64::try_from(part).unwrap_or(amount)
    }

    /// In percent, rounded down.
    pub(crate) fn percent(self) -> u8 {
        u8::try_from(self.0 * 100 / Self::WHOLE.0).unwrap_or(100)
    }

    fn from_wide(parts: u128) -> Self {
        u32::try_from(parts).map_or(Self::WHOLE, Self::from_parts)
    }
}

fn scaled(amount: u64) -> u128 {
    u128::from(amount) * u128::from(Fraction::WHOLE.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_rounded_down() {
        let half = Fraction::one_of(2);
        assert_eq!((half.of(7), half.percent()), (3, 50));
        assert_eq!((half.of(1), half.of(0)), (0, 0));
        assert_eq!(Fraction::WHOLE.of(u64::MAX), u64::MAX);
        assert_eq!(Fraction::ZERO.of(u64::MAX), 0);
    }

    #[test]
    fn no_fraction_is_more_than_the_whole_or_overflows() {
        assert_eq!(Fraction::from_parts(u32::MAX), Fraction::WHOLE);
        assert_eq!(Fraction::one_of(0), Fraction::WHOLE);
        assert_eq!(Fraction::one_of(u64::MAX).parts(), 1);
        assert_eq!(Fraction::ratio_rounded_up(u64::MAX, 0), Fraction::WHOLE);
        assert_eq!(Fraction::ratio_rounded_up(1, u64::MAX).parts(), 1);
    }
}
