use std::sync::Arc;

use super::{BudgetOwner, counter::LimitCounter};

/// The accounts of tenants and groups, found by where they are.
#[derive(Debug, Default)]
pub(super) struct Places {
    places: Vec<AccountPlace>,
    free: Vec<u32>,
}

/// Where an account is, as long as it is the same one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct PlaceId {
    index: u32,
    generation: u32,
}

#[derive(Debug, Default)]
struct AccountPlace {
    generation: u32,
    account: Option<BudgetAccount>,
}

#[derive(Debug)]
pub(super) struct BudgetAccount {
    pub(super) owner: BudgetOwner,
    pub(super) counters: Vec<LimitCounter>,
    /// Calls that a limit in money could not count.
    pub(super) unpriced: u64,
    /// Calls that did not fit here.
    pub(super) rejected: u64,
    /// The groups above it, each once.
    pub(super) above: Arc<[PlaceId]>,
    /// In the table by its name: it stays.
    pub(super) is_named: bool,
    /// Used since the hand last went by.
    pub(super) is_used: bool,
    /// Among those that may hold something of a shared store.
    #[cfg(feature = "redis")]
    pub(super) is_listed: bool,
}

impl Places {
    pub(super) fn add(&mut self, owner: BudgetOwner) -> PlaceId {
        let account = BudgetAccount {
            owner,
            counters: Vec::new(),
            unpriced: 0,
            rejected: 0,
            above: Arc::new([]),
            is_named: false,
            is_used: false,
            #[cfg(feature = "redis")]
            is_listed: false,
        };
        let index = self.free.pop().unwrap_or_else(|| {
            self.places.push(AccountPlace::default());
            // More than 2^32 accounts do not fit into memory.
            u32::try_from(self.places.len() - 1).unwrap_or(u32::MAX)
        });
        let place = &mut self.places[index as usize];
        place.account = Some(account);
        PlaceId {
            index,
            generation: place.generation,
        }
    }

    pub(super) fn remove(&mut self, id: PlaceId) {
        let Some(place) = self.places.get_mut(id.index as usize) else {
            return;
        };
        if place.generation == id.generation && place.account.take().is_some() {
            place.generation = place.generation.wrapping_add(1);
            self.free.push(id.index);
        }
    }

    pub(super) fn get(&mut self, id: PlaceId) -> Option<&mut BudgetAccount> {
        let place = self.places.get_mut(id.index as usize)?;
        (place.generation == id.generation).then_some(())?;
        place.account.as_mut()
    }

    /// The account at an index, which is below `capacity`; `None` where there is none.
    pub(super) fn at(&mut self, index: usize) -> Option<(PlaceId, &mut BudgetAccount)> {
        let place = self.places.get_mut(index)?;
        let id = PlaceId {
            index: u32::try_from(index).ok()?,
            generation: place.generation,
        };
        Some((id, place.account.as_mut()?))
    }

    /// How many places there are, those without an account too.
    pub(super) fn capacity(&self) -> usize {
        self.places.len()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut BudgetAccount> {
        self.places
            .iter_mut()
            .filter_map(|place| place.account.as_mut())
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }
}
