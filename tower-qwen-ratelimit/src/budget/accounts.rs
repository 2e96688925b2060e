use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use crate::{period::Period, units::Nanos};

use super::{
    Amount, BudgetExceeded, BudgetOwner, BudgetTable, BudgetsByName, Rates, Unpriced,
    amount::Unit,
    counter::LimitCounter,
    need::{Need, Uncounted},
    places::{BudgetAccount, PlaceId, Places},
    sums::time,
};
#[cfg(feature = "redis")]
use super::{
    lease::{BeyondRoom, Outage},
    listed::Leases,
};

/// By how much conversions of money may be off, in its smallest part: a millionth of a dollar.
// Each rounding is of one part before it is converted, and a rate may be some thousands.
const ROUNDED: u128 = 1_000_000;

/// What all tenants and groups have reserved and spent. Pure: it has no lock and no clock.
#[derive(Debug)]
pub(super) struct Accounts {
    pub(super) table: Arc<BudgetTable>,
    /// Counts the tables, so that a call never settles at a limit where it has reserved nothing.
    pub(super) version: u64,
    pub(super) places: Places,
    pub(super) tenants: HashMap<Arc<str>, PlaceId>,
    pub(super) groups: HashMap<Arc<str>, PlaceId>,
    pub(super) overflow: Option<PlaceId>,
    /// The groups above a tenant that no group names.
    pub(super) above_everyone: Arc<[PlaceId]>,
    /// Tenants that the table does not name.
    pub(super) unnamed: usize,
    pub(super) max_tenants: usize,
    /// The place that was examined last.
    pub(super) hand: usize,
    /// Has the budgets of tenants that the table does not name, in place of its default one.
    pub(super) by_name: Option<Arc<dyn BudgetsByName>>,
    /// What a fleet shares, if it does.
    #[cfg(feature = "redis")]
    pub(super) leases: Option<Leases>,
}

/// Where a call has reserved, and when.
#[derive(Debug, Clone)]
pub(super) struct Taken {
    pub(super) account: Option<PlaceId>,
    pub(super) above: Arc<[PlaceId]>,
    pub(super) at: Nanos,
    pub(super) version: u64,
}

/// A call that goes.
#[derive(Debug)]
pub(super) struct Fit {
    pub(super) taken: Taken,
    /// Why it would not have gone, had it not been forced.
    pub(super) over: Option<Fault>,
    pub(super) is_unpriced: bool,
}

/// Why a call does not fit.
#[derive(Debug)]
pub(super) enum Fault {
    Exceeded(Box<BudgetExceeded>),
    Uncounted(BudgetOwner, Uncounted),
    /// It does not fit into what the process holds; the store may have more.
    #[cfg(feature = "redis")]
    Unleased(Box<BudgetExceeded>),
    /// The store is away, and calls are to be rejected then.
    #[cfg(feature = "redis")]
    StoreAway(BudgetOwner),
}

/// A line that was reached, to be reported when the lock is released.
#[derive(Debug)]
pub(super) struct ReachedLine {
    pub(super) owner: BudgetOwner,
    pub(super) line: Amount,
    pub(super) limit: Amount,
    pub(super) period: Period,
    pub(super) spent: Amount,
    pub(super) resets_at: Option<SystemTime>,
}

impl Accounts {
    /// Accounts of a table that has been checked.
    pub(super) fn new(
        table: BudgetTable,
        by_name: Option<Arc<dyn BudgetsByName>>,
        max_tenants: usize,
        now: Nanos,
    ) -> Self {
        let mut accounts = Self {
            table: Arc::default(),
            version: 0,
            places: Places::default(),
            tenants: HashMap::new(),
            groups: HashMap::new(),
            overflow: None,
            above_everyone: Arc::new([]),
            unnamed: 0,
            max_tenants,
            hand: 0,
            by_name,
            #[cfg(feature = "redis")]
            leases: None,
        };
        accounts.set_table(table, now);
        accounts
    }

    /// Takes what a call needs from all its limits, or nothing. By `force` it is taken in any case.
    pub(super) fn reserve(
        &mut self,
        tenant: &str,
        need: &Need,
        rates: &Rates,
        unpriced: Unpriced,
        (now, force): (Nanos, bool),
    ) -> Result<Fit, Fault> {
        let taken = self.path(tenant, now);
        let (mut over, mut is_unpriced) = (None, false);
        #[cfg(feature = "redis")]
        let outage = self.leases.as_ref().and_then(|leases| leases.outage);
        #[cfg(feature = "redis")]
        let mut unleased = None;
        for id in taken.ids() {
            let Some(account) = self.places.get(id) else {
                continue;
            };
            for counter in &mut account.counters {
                counter.advance(now);
                #[cfg(feature = "redis")]
                if outage.is_some_and(Outage::rejects) {
                    over = Some(Fault::StoreAway(account.owner.clone()));
                    continue;
                }
                match need.in_unit(counter.unit, rates) {
                    Ok(needed) if needed <= counter.room() => {}
                    Ok(needed) => {
                        #[cfg(feature = "redis")]
                        match counter.beyond_room(needed, outage, now) {
                            BeyondRoom::Enough => continue,
                            BeyondRoom::AtStore => {
                                unleased.get_or_insert_with(|| {
                                    Box::new(exceeded(&account.owner, counter, needed, now))
                                });
                                continue;
                            }
                            BeyondRoom::Nothing => counter.lacks(),
                        }
                        let exceeded = exceeded(&account.owner, counter, needed, now);
                        replace_by_later(&mut over, exceeded);
                    }
                    Err(Uncounted::NoPrice { .. }) if unpriced == Unpriced::Admit => {
                        is_unpriced = true;
                    }
                    // Final: room in the other limits does not help.
                    Err(why) => over = Some(Fault::Uncounted(account.owner.clone(), why)),
                }
            }
        }
        #[cfg(feature = "redis")]
        if let (None, Some(exceeded)) = (&over, unleased) {
            return Err(Fault::Unleased(exceeded));
        }
        if let Some(fault) = over {
            self.count_rejected(&taken, &fault);
            if !force {
                return Err(fault);
            }
            over = Some(fault);
        }
        for id in taken.ids() {
            let Some(account) = self.places.get(id) else {
                continue;
            };
            let mut has_uncounted = false;
            for counter in &mut account.counters {
                let needed = need.in_unit(counter.unit, rates);
                has_uncounted |= needed.is_err();
                counter.reserve(now, needed.unwrap_or(0));
            }
            account.unpriced += u64::from(has_uncounted);
            #[cfg(feature = "redis")]
            if let Some(leases) = self.leases.as_mut().filter(|_| !account.is_listed) {
                account.is_listed = true;
                leases.listed.push(id);
            }
        }
        Ok(Fit {
            taken,
            over,
            is_unpriced,
        })
    }

    /// A need of which all beyond `stated` is a guess, cut to what the whole limits grant: so the call fits where nothing is
    /// spent, and what it costs is learned.
    pub(super) fn cut_guess(
        &mut self,
        tenant: &str,
        (stated, guessed): (&Need, Need),
        rates: &Rates,
        now: Nanos,
    ) -> Need {
        let taken = self.path(tenant, now);
        let mut cut = guessed;
        for id in taken.ids() {
            let Some(account) = self.places.get(id) else {
                continue;
            };
            for counter in &account.counters {
                let unit = counter.unit;
                if let (Ok(least), Ok(most)) =
                    (stated.in_unit(unit, rates), cut.in_unit(unit, rates))
                    && (least..most).contains(&counter.limit())
                {
                    let room = counter.limit() - least;
                    // Of money each conversion is rounded up.
                    let room = match unit {
                        Unit::Money(_) => room.saturating_sub(ROUNDED),
                        Unit::Counted(_) => room,
                    };
                    cut = stated.towards(&cut, (room, most - least));
                }
            }
        }
        cut
    }

    /// Settles what a call has reserved, where it did. What nobody can count stays as it was estimated.
    pub(super) fn settle(
        &mut self,
        taken: &Taken,
        (reserved, actual): (&Need, &Need),
        rates: &Rates,
        now: Nanos,
    ) -> Vec<ReachedLine> {
        // Without an allocation unless a line is reached.
        let mut reached = Vec::new();
        for id in taken.ids() {
            let Some(account) = self.places.get(id) else {
                continue;
            };
            for counter in &mut account.counters {
                if counter.version > taken.version {
                    continue;
                }
                counter.advance(now);
                let reserved = reserved.in_unit(counter.unit, rates).unwrap_or(0);
                let actual = actual.in_unit(counter.unit, rates).unwrap_or(reserved);
                counter.settle(taken.at, reserved, actual);
                report_lines(&account.owner, counter, now, &mut reached);
            }
        }
        reached
    }

    /// Counts what an earlier process has spent. Lines that it reaches are not reported.
    pub(super) fn restore(
        &mut self,
        tenant: &str,
        spent: &Need,
        rates: &Rates,
        (at, now): (Nanos, Nanos),
    ) {
        let taken = self.path(tenant, now);
        for id in taken.ids() {
            let Some(account) = self.places.get(id) else {
                continue;
            };
            let mut has_uncounted = false;
            for counter in &mut account.counters {
                counter.advance(now);
                let amount = spent.in_unit(counter.unit, rates);
                has_uncounted |= amount.is_err();
                counter.add_spent(at, amount.unwrap_or(0));
                counter.report_lines(now, |_| {});
            }
            account.unpriced += u64::from(has_uncounted);
        }
    }

    /// Counts what an earlier process had at one limit; `false` where there is no such limit.
    pub(super) fn restore_part(
        &mut self,
        owner: &BudgetOwner,
        (amount, period): (Amount, &str),
        (at, now): (Nanos, Nanos),
    ) -> bool {
        let id = match owner {
            BudgetOwner::Tenant(name) => self.account_of(name, now),
            BudgetOwner::Group(name) => self.groups.get(name).copied(),
            BudgetOwner::Overflow => self.overflow_account(now),
        };
        let Some(account) = id.and_then(|id| self.places.get(id)) else {
            return false;
        };
        let mut counters = account.counters.iter_mut();
        let is_it = |counter: &&mut LimitCounter| {
            counter.unit == amount.unit() && counter.period.to_string() == period
        };
        let Some(counter) = counters.find(is_it) else {
            return false;
        };
        counter.advance(now);
        counter.add_spent(at, amount.count().unwrap_or(0));
        counter.report_lines(now, |_| {});
        true
    }

    /// Every account, as of now.
    pub(super) fn visit(&mut self, now: Nanos, mut visit: impl FnMut(&BudgetAccount)) {
        for account in self.places.iter_mut() {
            let counters = account.counters.iter_mut();
            counters.for_each(|counter| counter.advance(now));
            visit(account);
        }
    }

    fn count_rejected(&mut self, taken: &Taken, fault: &Fault) {
        let owner = match fault {
            Fault::Exceeded(exceeded) => &exceeded.owner,
            Fault::Uncounted(owner, _) => owner,
            #[cfg(feature = "redis")]
            Fault::Unleased(exceeded) => &exceeded.owner,
            #[cfg(feature = "redis")]
            Fault::StoreAway(owner) => owner,
        };
        for id in taken.ids() {
            if let Some(account) = self
                .places
                .get(id)
                .filter(|account| account.owner == *owner)
            {
                account.rejected += 1;
            }
        }
    }
}

impl Taken {
    /// When it was reserved.
    pub(super) fn instant(&self) -> SystemTime {
        time(self.at)
    }

    pub(super) fn ids(&self) -> impl Iterator<Item = PlaceId> + use<'_> {
        self.account.into_iter().chain(self.above.iter().copied())
    }
}

fn exceeded(
    owner: &BudgetOwner,
    counter: &LimitCounter,
    needed: u128,
    now: Nanos,
) -> BudgetExceeded {
    let amount = |count| counter.unit.amount(count);
    let total = counter.total();
    let frees = counter.frees(needed, now);
    BudgetExceeded {
        owner: owner.clone(),
        limit: amount(counter.limit()),
        period: counter.period,
        spent: amount(counter.spent_by_all()),
        reserved: amount(total.reserved),
        needed: amount(needed),
        resets_at: frees.map(time),
        wait: frees.map(|at| Duration::from_nanos(at.saturating_sub(now))),
    }
}

/// Of two limits that do not fit the one that resets later: before that no call fits.
fn replace_by_later(fault: &mut Option<Fault>, exceeded: BudgetExceeded) {
    let is_later = match fault {
        None => true,
        Some(Fault::Uncounted(..)) => false,
        #[cfg(feature = "redis")]
        Some(Fault::Unleased(_) | Fault::StoreAway(_)) => false,
        Some(Fault::Exceeded(known)) => match (known.wait, exceeded.wait) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(known), Some(other)) => other > known,
        },
    };
    if is_later {
        *fault = Some(Fault::Exceeded(Box::new(exceeded)));
    }
}

fn report_lines(
    owner: &BudgetOwner,
    counter: &mut LimitCounter,
    now: Nanos,
    reached: &mut Vec<ReachedLine>,
) {
    let (unit, period, before) = (counter.unit, counter.period, reached.len());
    let limit = unit.amount(counter.limit());
    let spent = unit.amount(counter.spent_by_all());
    counter.report_lines(now, |line| {
        reached.push(ReachedLine {
            owner: owner.clone(),
            line: unit.amount(line),
            limit,
            period,
            spent,
            resets_at: None,
        });
    });
    // Apart, since a ring is searched for it.
    for line in &mut reached[before..] {
        line.resets_at = counter.resets_at();
    }
}
