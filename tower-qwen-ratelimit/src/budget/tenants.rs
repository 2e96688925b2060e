use std::sync::Arc;

use super::{
    Budget, BudgetOwner,
    accounts::{Accounts, Taken},
    places::PlaceId,
};
use crate::units::Nanos;

/// How many accounts are examined for every new tenant. Two for one: what leaves keeps up with what
/// comes even when every second account is in use.
const EXAMINED_PER_NEW_TENANT: usize = 2;

/// How a call finds its accounts.
impl Accounts {
    /// Where a call of this tenant reserves.
    pub(super) fn path(&mut self, tenant: &str, at: Nanos) -> Taken {
        let account = self.account_of(tenant, at);
        let above = account
            .and_then(|id| self.places.get(id))
            .map(|account| account.above.clone());
        Taken {
            account,
            above: above.unwrap_or_else(|| self.above_everyone.clone()),
            at,
            version: self.version,
        }
    }

    /// The account of a tenant, made if there is none; `None` for one without any limit.
    pub(super) fn account_of(&mut self, tenant: &str, now: Nanos) -> Option<PlaceId> {
        if let Some(&id) = self.tenants.get(tenant) {
            if let Some(account) = self.places.get(id) {
                account.is_used = true;
            }
            return Some(id);
        }
        let budget = self.default_of(tenant);
        if budget.is_unlimited() {
            return None;
        }
        self.make_room(now);
        if self.unnamed >= self.max_tenants {
            return self.overflow_account(now);
        }
        let name: Arc<str> = tenant.into();
        let id = self.add_default(BudgetOwner::Tenant(name.clone()), &budget, now);
        self.tenants.insert(name, id);
        self.unnamed += 1;
        Some(id)
    }

    pub(super) fn overflow_account(&mut self, now: Nanos) -> Option<PlaceId> {
        let budget = self.default_of("");
        if self.overflow.is_none() && !budget.is_unlimited() {
            self.overflow = Some(self.add_default(BudgetOwner::Overflow, &budget, now));
        }
        self.overflow
    }

    /// The budget of a tenant that the table does not name.
    pub(super) fn default_of(&self, tenant: &str) -> Budget {
        match &self.by_name {
            Some(by_name) => by_name.budget(tenant),
            None => self.table.default.clone(),
        }
    }

    fn add_default(&mut self, owner: BudgetOwner, budget: &Budget, now: Nanos) -> PlaceId {
        let id = self.places.add(owner);
        self.set_budget(id, budget, now);
        let above = self.above_everyone.clone();
        if let Some(account) = self.places.get(id) {
            account.above = above;
        }
        id
    }

    /// Drops tenants that hold no information and were not used since the hand last went by.
    fn make_room(&mut self, now: Nanos) {
        let capacity = self.places.capacity();
        for _ in 0..EXAMINED_PER_NEW_TENANT.min(capacity) {
            self.hand = (self.hand + 1) % capacity;
            let Some((id, account)) = self.places.at(self.hand) else {
                continue;
            };
            let BudgetOwner::Tenant(name) = &account.owner else {
                continue;
            };
            if account.is_named || std::mem::take(&mut account.is_used) {
                continue;
            }
            let counters = account.counters.iter_mut();
            let is_empty = counters.fold(true, |is_empty, counter| {
                counter.advance(now);
                is_empty && counter.is_empty()
            });
            if is_empty {
                let name = name.clone();
                self.forget(&name, id);
            }
        }
    }

    pub(super) fn forget(&mut self, name: &str, id: PlaceId) {
        self.tenants.remove(name);
        self.places.remove(id);
        self.unnamed = self.unnamed.saturating_sub(1);
    }
}
