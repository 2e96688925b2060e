//! Which calls of the input are made: all, a shard, a sample.
//!
//! Both go by the id alone. So they are the same in every run and on every machine, whatever else stands in the input,
//! and a run that is repeated goes on with the same calls.

use std::{collections::BTreeSet, hash::Hasher, str::FromStr};

use siphasher::sip::SipHasher13;

/// One of several parts of an input, which have no call in common and together have them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    index: u64,
    count: u64,
}

/// Which calls are made.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Selection {
    pub(super) shard: Option<Shard>,
    /// Calls of a sample rank no higher.
    pub(super) highest_rank: Option<u64>,
}

/// Finds the rank up to which so many calls are.
#[derive(Debug)]
pub(super) struct Sampling {
    size: usize,
    lowest: BTreeSet<u64>,
}

impl Shard {
    /// Whether what has this id belongs to it.
    fn holds(self, id: &str) -> bool {
        hash(id, 1) % self.count == self.index
    }
}

impl FromStr for Shard {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let form = "not a shard, such as 1/4 to 4/4";
        let (index, count) = text.split_once('/').ok_or(form)?;
        let index: u64 = index.trim().parse().map_err(|_| form)?;
        let count: u64 = count.trim().parse().map_err(|_| form)?;
        match (1..=count).contains(&index) && count <= 1_000_000 {
            true => Ok(Self {
                index: index - 1,
                count,
            }),
            false => Err(form),
        }
    }
}

impl Selection {
    /// Whether the call of this id is made.
    pub(super) fn takes(&self, id: &str) -> bool {
        self.shard.is_none_or(|shard| shard.holds(id))
            && self.highest_rank.is_none_or(|highest| rank(id) <= highest)
    }

    /// Whether a line that is no call is reported: by one shard, and by no sample, which is of calls.
    pub(super) fn takes_bad(&self, name: &str, line: u64) -> bool {
        self.highest_rank.is_none()
            && self
                .shard
                .is_none_or(|shard| shard.holds(&format!("{name}:{line}")))
    }
}

impl Sampling {
    pub(super) fn new(size: usize) -> Self {
        Self {
            size,
            lowest: BTreeSet::new(),
        }
    }

    pub(super) fn note(&mut self, id: &str) {
        self.lowest.insert(rank(id));
        if self.lowest.len() > self.size {
            self.lowest.pop_last();
        }
    }

    /// How many calls there are, and their highest rank.
    pub(super) fn end(&self) -> (usize, u64) {
        (self.lowest.len(), self.lowest.last().copied().unwrap_or(0))
    }
}

fn rank(id: &str) -> u64 {
    hash(id, 2)
}

/// Not the standard library's hasher, which may change: shards on other machines would not fit any more.
fn hash(id: &str, key: u64) -> u64 {
    let mut hasher = SipHasher13::new_with_keys(key, 0);
    hasher.write(id.as_bytes());
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample(ids: &[String], size: usize) -> BTreeSet<&String> {
        let mut sampling = Sampling::new(size);
        ids.iter().for_each(|id| sampling.note(id));
        let selection = Selection {
            highest_rank: Some(sampling.end().1),
            ..Selection::default()
        };
        ids.iter().filter(|id| selection.takes(id)).collect()
    }

    proptest! {
        #[test]
        fn shards_are_disjoint_and_together_whole(id in any::<String>(), line in any::<u64>(), count in 1..50_u64) {
            let shards: Vec<Selection> = (1..=count)
                .map(|index| Selection {
                    shard: format!("{index}/{count}").parse().ok(),
                    ..Selection::default()
                })
                .collect();
            prop_assert_eq!(shards.iter().filter(|shard| shard.takes(&id)).count(), 1);
            prop_assert_eq!(shards.iter().filter(|shard| shard.takes_bad(&id, line)).count(), 1);
        }

        #[test]
        fn a_sample_has_its_size_and_a_larger_one_holds_it(
            ids in proptest::collection::btree_set("[a-z]{1,4}", 0..80),
            small in 1..40_usize,
            more in 0..40_usize,
            is_reversed in any::<bool>(),
        ) {
            let mut ids: Vec<String> = ids.into_iter().collect();
            let first: BTreeSet<String> = sample(&ids, small).into_iter().cloned().collect();
            prop_assert_eq!(first.len(), small.min(ids.len()));
            if is_reversed {
                ids.reverse();
            }
            prop_assert!(first.iter().collect::<BTreeSet<_>>().is_subset(&sample(&ids, small + more)));
        }
    }

    #[test]
    fn shards_are_about_equal_and_stay_what_they_are() {
        let shard: Shard = "2/4".parse().expect("a shard");
        let held = (0..4_000)
            .filter(|number| shard.holds(&format!("call-{number}")))
            .count();
        assert!((900..1_100).contains(&held), "{held}");
        // Answers of an earlier version belong to the same shard.
        let first: Vec<u64> = (0..40)
            .filter(|number| shard.holds(&format!("call-{number}")))
            .collect();
        assert_eq!(first, FIRST_OF_SHARD_2_OF_4);
    }

    const FIRST_OF_SHARD_2_OF_4: [u64; 13] = [0, 1, 5, 6, 8, 15, 24, 28, 31, 33, 36, 37, 39];

    #[test]
    fn what_is_no_shard_is_rejected() {
        for text in [
            "",
            "1",
            "0/4",
            "5/4",
            "1/0",
            "-1/4",
            "a/b",
            "1/4/4",
            "1/1000001",
        ] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }
}
