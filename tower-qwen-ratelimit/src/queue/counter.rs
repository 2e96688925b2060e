/// Fractional bits of a token: even the largest weight (32 bits) is charged something for one
/// token.
const PARTS: u32 = 32;

/// Tokens served per unit of weight, in parts of 2^-32.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Counter(u128);

impl Counter {
    /// What so many tokens are to this weight, rounded up.
    pub(super) fn of(tokens: u64, weight: u64) -> Self {
        let parts = u128::from(tokens) << PARTS;
        Self(match weight {
            0 | 1 => parts,
            // Rounded up: no call is free.
            _ => parts.div_ceil(u128::from(weight)),
        })
    }

    pub(super) fn plus(self, other: Self) -> Self {
        // Saturating, though `is_high` lowers all counters long before.
        Self(self.0.saturating_add(other.0))
    }

    pub(super) fn minus(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// Whole tokens of this weight, and whether there is a part of one more.
    pub(super) fn tokens(self, weight: u64) -> (u64, bool) {
        let parts = self.0.saturating_mul(u128::from(weight));
        let whole = u64::try_from(parts >> PARTS).unwrap_or(u64::MAX);
        (whole, parts & ((1 << PARTS) - 1) != 0)
    }

    /// Whether it is time to lower all counters. There is still room for a billion of the largest
    /// charges.
    pub(super) fn is_high(self) -> bool {
        self.0 > u128::MAX / 2
    }

    #[cfg(test)]
    pub(super) const MAX: Self = Self(u128::MAX);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn twice_the_weight_is_charged_half() {
        assert_eq!(Counter::of(10, 2), Counter::of(5, 1));
        assert_eq!(Counter::of(10, 1).tokens(1), (10, false));
        assert_eq!(Counter::of(10, 3).tokens(1), (3, true));
        assert!(!Counter::of(u64::MAX, 1).is_high());
        assert!(Counter::MAX.is_high());
    }

    proptest! {
        #[test]
        fn nothing_is_served_for_nothing(tokens in 1..=u64::MAX, weight in 1..=u64::from(u32::MAX)) {
            let charge = Counter::of(tokens, weight);
            prop_assert!(charge > Counter::default());
            let (whole, _) = charge.tokens(weight);
            prop_assert!(whole >= tokens);
            prop_assert!(whole - tokens <= 1);
        }

        #[test]
        fn no_input_overflows(tokens: u64, weight: u64) {
            let charge = Counter::of(tokens, weight);
            prop_assert_eq!(Counter::MAX.plus(charge), Counter::MAX);
            prop_assert_eq!(Counter::default().minus(charge), Counter::default());
            prop_assert_eq!(Counter::MAX.tokens(weight.max(2)).0, u64::MAX);
        }
    }
}
