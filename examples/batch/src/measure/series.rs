//! A course over time in a bounded number of slots.

use std::time::Duration;

/// More are never kept: twice as many as are shown side by side on a page. Even, so that two slots make one.
const SLOTS: usize = 240;
/// The width of a slot in the beginning: how often a run looks at its accounts. With it the first minute fits.
const FIRST_WIDTH: Duration = Duration::from_millis(250);

/// What is summed up in slots.
pub trait Merge {
    /// Adds what came after this.
    fn merge(&mut self, later: &Self);
}

/// A course over time. When the time exceeds its slots, they become twice as wide: two make one, and nothing is lost.
#[derive(Debug, Clone, PartialEq)]
pub struct Series<T> {
    width: Duration,
    slots: Vec<T>,
}

impl<T: Default + Merge> Series<T> {
    /// The slot of this time since the start.
    pub fn at(&mut self, since_start: Duration) -> &mut T {
        let mut number = self.number(since_start);
        while number >= SLOTS {
            self.widen();
            number = self.number(since_start);
        }
        if number >= self.slots.len() {
            self.slots.resize_with(number + 1, T::default);
        }
        &mut self.slots[number]
    }

    /// The width of each slot.
    #[must_use]
    pub fn width(&self) -> Duration {
        self.width
    }

    /// The slots, from the start on.
    #[must_use]
    pub fn slots(&self) -> &[T] {
        &self.slots
    }

    /// All slots as one.
    #[must_use]
    pub fn sum(&self) -> T {
        sum(&self.slots)
    }

    /// The slots as so many groups at most, each with the time of its begin and of its end.
    pub fn groups(&self, most: usize) -> impl Iterator<Item = (Duration, Duration, T)> {
        let size = self.slots.len().div_ceil(most).max(1);
        let time = move |slot: usize| self.width * u32::try_from(slot).unwrap_or(u32::MAX);
        let groups = self.slots.chunks(size).enumerate();
        groups.map(move |(group, slots)| {
            let begin = group * size;
            (time(begin), time(begin + slots.len()), sum(slots))
        })
    }

    fn number(&self, since_start: Duration) -> usize {
        usize::try_from(since_start.as_nanos() / self.width.as_nanos()).unwrap_or(usize::MAX)
    }

    fn widen(&mut self) {
        self.width *= 2;
        self.slots = self.slots.chunks(2).map(sum).collect();
    }
}

fn sum<T: Default + Merge>(slots: &[T]) -> T {
    slots.iter().fold(T::default(), |mut sum, slot| {
        sum.merge(slot);
        sum
    })
}

impl<T> Default for Series<T> {
    fn default() -> Self {
        Self {
            width: FIRST_WIDTH,
            slots: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How often, and the times of the first and the last.
    #[derive(Debug, Default, Clone, PartialEq)]
    struct Seen(u64, Option<(Duration, Duration)>);

    impl Merge for Seen {
        fn merge(&mut self, later: &Self) {
            self.0 += later.0;
            self.1 = match (self.1, later.1) {
                (Some((first, last)), Some((one, other))) => {
                    Some((first.min(one), last.max(other)))
                }
                (some, none) => some.or(none),
            };
        }
    }

    proptest! {
        #[test]
        fn nothing_is_lost_and_all_is_in_the_slot_of_its_time(
            steps in prop::collection::vec((0_u32..36, any::<u64>()), 1..400),
        ) {
            let mut series = Series::<Seen>::default();
            for (bits, value) in &steps {
                // Up to a year in milliseconds, in no order.
                let at = Duration::from_millis(value % (1 << bits));
                series.at(at).merge(&Seen(1, Some((at, at))));
                prop_assert!(series.slots().len() <= SLOTS);
            }
            prop_assert_eq!(series.sum().0, steps.len() as u64);
            for (begin, end, seen) in series.groups(SLOTS) {
                if let Some((first, last)) = seen.1 {
                    prop_assert!(begin <= first && last < end);
                }
            }
            let groups: Vec<_> = series.groups(10).collect();
            prop_assert!(groups.len() <= 10);
            prop_assert!(groups.windows(2).all(|two| two[0].1 == two[1].0));
            prop_assert_eq!(groups.iter().map(|group| group.2.0).sum::<u64>(), steps.len() as u64);
        }
    }

    #[test]
    fn a_run_of_days_has_as_many_slots_as_one_of_minutes() {
        let mut series = Series::<Seen>::default();
        for second in 0..200_000 {
            series.at(Duration::from_secs(second)).0 += 1;
        }
        assert!(series.slots().len() <= SLOTS && series.slots().len() > SLOTS / 3);
        assert!(series.slots.capacity() <= 2 * SLOTS);
        assert_eq!(series.sum().0, 200_000);
    }
}
