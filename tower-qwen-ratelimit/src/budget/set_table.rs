use std::sync::Arc;

use super::{
    Budget, BudgetOwner, BudgetTable, accounts::Accounts, counter::LimitCounter, places::PlaceId,
};
use crate::units::Nanos;

/// How the budgets change.
impl Accounts {
    /// Takes a table that has been checked in place of the one so far; what is reserved and spent stays.
    pub(super) fn set_table(&mut self, table: BudgetTable, now: Nanos) {
        self.version += 1;
        let table = Arc::new(table);
        self.table = table.clone();
        let is_gone = |name: &Arc<str>| !table.groups.contains_key(name);
        for name in self
            .groups
            .keys()
            .filter(|&name| is_gone(name))
            .cloned()
            .collect::<Vec<_>>()
        {
            if let Some(id) = self.groups.remove(&name) {
                self.places.remove(id);
            }
        }
        for (name, group) in &table.groups {
            let known = self.groups.get(name).copied();
            let id = known.unwrap_or_else(|| self.places.add(BudgetOwner::Group(name.clone())));
            self.groups.insert(name.clone(), id);
            self.set_budget(id, &group.budget, now);
        }
        self.above_everyone = self.ids_above(&table, None);
        let named = table.named_tenants();
        for &name in &named {
            let known = self.tenants.get(name).copied();
            let id = known.unwrap_or_else(|| self.places.add(BudgetOwner::Tenant(name.clone())));
            self.tenants.insert(name.clone(), id);
        }
        self.unnamed = self.tenants.len() - named.len();
        let all: Vec<(Arc<str>, PlaceId)> = self
            .tenants
            .iter()
            .map(|(name, id)| (name.clone(), *id))
            .collect();
        for (name, id) in all {
            let is_named = named.contains(&name);
            let budget = match table.tenants.get(&name) {
                Some(budget) => budget.clone(),
                None => self.default_of(&name),
            };
            if !is_named && budget.is_unlimited() {
                self.forget(&name, id);
                continue;
            }
            let above = match is_named {
                true => self.ids_above(&table, Some(&name)),
                false => self.above_everyone.clone(),
            };
            self.set_budget(id, &budget, now);
            if let Some(account) = self.places.get(id) {
                (account.above, account.is_named) = (above, is_named);
            }
        }
        if let Some(id) = self.overflow {
            let budget = self.default_of("");
            self.set_budget(id, &budget, now);
            let above = self.above_everyone.clone();
            if let Some(account) = self.places.get(id) {
                account.above = above;
            }
        }
    }

    fn ids_above(&self, table: &BudgetTable, tenant: Option<&str>) -> Arc<[PlaceId]> {
        let above = table.above(tenant).into_iter();
        above
            .filter_map(|name| self.groups.get(name).copied())
            .collect()
    }

    /// Gives an account the limits of a budget. A limit of the same unit and period goes on.
    pub(super) fn set_budget(&mut self, id: PlaceId, budget: &Budget, now: Nanos) {
        let version = self.version;
        #[cfg(feature = "redis")]
        let is_shared = self.leases.is_some();
        let Some(account) = self.places.get(id) else {
            return;
        };
        let mut known = std::mem::take(&mut account.counters);
        known.iter_mut().for_each(|counter| counter.advance(now));
        // The new ones first: they go on from any of those that are known.
        let new: Vec<Option<LimitCounter>> = budget
            .limits
            .iter()
            .map(|limit| {
                let is_known = known.iter().any(|counter| counter.is_of(limit));
                (!is_known).then(|| {
                    let mut counter = LimitCounter::new(limit, version, now);
                    counter.take_over(&known, now);
                    #[cfg(feature = "redis")]
                    if is_shared {
                        counter.share(now);
                    }
                    counter
                })
            })
            .collect();
        let counters = budget.limits.iter().zip(new).filter_map(|(limit, new)| {
            new.or_else(|| {
                let at = known.iter().position(|counter| counter.is_of(limit))?;
                let mut counter = known.swap_remove(at);
                counter.set_limit(limit);
                Some(counter)
            })
        });
        account.counters = counters.collect();
    }
}
