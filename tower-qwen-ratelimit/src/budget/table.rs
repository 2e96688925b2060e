use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::{Budget, BudgetOwner, InvalidBudget};

/// All budgets: of tenants, of those without one of their own, and of groups.
///
/// ```
/// use tower_qwen_ratelimit::{Budget, budget::{Amount, BudgetTable, Group}, period::{Period, TimeZone}};
///
/// let day = |amount: &str| -> Result<Budget, Box<dyn std::error::Error>> {
///     Ok(Budget::new(amount.parse::<Amount>()?, Period::day(TimeZone::UTC)))
/// };
/// let table = BudgetTable::new()
///     .default_budget(day("1 USD")?)
///     .tenant("search", day("20 USD")?)
///     .group("research", Group::new(day("50 USD")?).tenants(["search", "chat"]))
///     .group("all of us", Group::new(day("200 USD")?).everyone());
/// table.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct BudgetTable {
    pub(super) default: Budget,
    pub(super) tenants: BTreeMap<Arc<str>, Budget>,
    pub(super) groups: BTreeMap<Arc<str>, Group>,
}

/// A group of tenants with a budget for all of them together. A group may be a member of another one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
pub struct Group {
    pub(super) budget: Budget,
    pub(super) tenants: BTreeSet<Arc<str>>,
    groups: BTreeSet<Arc<str>>,
    has_everyone: bool,
}

/// Why a table of budgets makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidBudgets {
    /// One of the budgets.
    #[error("the budget of {}", .owner.as_ref().map_or("tenants by default".into(), BudgetOwner::to_string))]
    Budget {
        /// Whose it is; `None` for the default one.
        owner: Option<BudgetOwner>,
        /// What is wrong with it.
        source: InvalidBudget,
    },
    /// A group has a member that is no group of the table.
    #[error("the group {group} has the group {member} as a member, which is not in the table")]
    NoGroup {
        /// The group.
        group: Arc<str>,
        /// Its member.
        member: Arc<str>,
    },
    /// A group is a member of itself, at any depth.
    #[error("the group {0} is a member of itself")]
    Circle(Arc<str>),
    /// There is room for no tenant at all.
    #[error("budgets need room for at least one tenant")]
    NoTenants,
}

impl BudgetTable {
    /// No budgets.
    pub fn new() -> Self {
        Self::default()
    }

    /// The budget of every tenant without one of its own: each has it for itself. Default:
    /// [`Budget::unlimited`].
    pub fn default_budget(mut self, budget: Budget) -> Self {
        self.default = budget;
        self
    }

    /// A tenant's own budget, in place of the default one. The name `""` is that of calls without a
    /// tenant.
    pub fn tenant(mut self, name: impl Into<Arc<str>>, budget: Budget) -> Self {
        self.tenants.insert(name.into(), budget);
        self
    }

    /// A group, or another one in place of the group of this name.
    pub fn group(mut self, name: impl Into<Arc<str>>, group: Group) -> Self {
        self.groups.insert(name.into(), group);
        self
    }

    /// Checks all budgets, and that no group is a member of itself.
    ///
    /// # Errors
    ///
    /// [`InvalidBudgets`].
    pub fn check(&self) -> Result<(), InvalidBudgets> {
        let invalid = |owner| move |source| InvalidBudgets::Budget { owner, source };
        self.default.check().map_err(invalid(None))?;
        for (name, budget) in &self.tenants {
            let owner = BudgetOwner::Tenant(name.clone());
            budget.check().map_err(invalid(Some(owner)))?;
        }
        for (name, group) in &self.groups {
            let owner = BudgetOwner::Group(name.clone());
            group.budget.check().map_err(invalid(Some(owner)))?;
            for member in &group.groups {
                if !self.groups.contains_key(member) {
                    let (group, member) = (name.clone(), member.clone());
                    return Err(InvalidBudgets::NoGroup { group, member });
                }
            }
        }
        for name in self.groups.keys() {
            // One step further than to itself: a group is above itself only in a circle.
            let mut above = BTreeSet::new();
            for parent in self.parents(name) {
                self.climb(parent, &mut above);
            }
            if above.contains(name) {
                return Err(InvalidBudgets::Circle(name.clone()));
            }
        }
        Ok(())
    }

    /// The groups above a tenant, at any depth and each once; `None` for a tenant that no group names.
    pub(super) fn above(&self, tenant: Option<&str>) -> BTreeSet<&Arc<str>> {
        let mut above = BTreeSet::new();
        for (name, group) in &self.groups {
            let is_member = tenant.is_some_and(|tenant| group.tenants.contains(tenant));
            if is_member || group.has_everyone {
                self.climb(name, &mut above);
            }
        }
        above
    }

    /// The tenants that the table names.
    pub(super) fn named_tenants(&self) -> BTreeSet<&Arc<str>> {
        let members = self.groups.values().flat_map(|group| &group.tenants);
        self.tenants.keys().chain(members).collect()
    }

    fn parents(&self, member: &Arc<str>) -> impl Iterator<Item = &Arc<str>> {
        let is_parent = |group: &Group| group.groups.contains(member);
        let groups = self.groups.iter();
        groups.filter_map(move |(name, group)| is_parent(group).then_some(name))
    }

    /// Adds a group and all above it. What is there already is not visited again, so a circle ends.
    fn climb<'a>(&'a self, name: &'a Arc<str>, above: &mut BTreeSet<&'a Arc<str>>) {
        let mut next = vec![name];
        while let Some(name) = next.pop() {
            if above.insert(name) {
                next.extend(self.parents(name));
            }
        }
    }
}

impl Group {
    /// A group without members.
    pub fn new(budget: Budget) -> Self {
        Self {
            budget,
            ..Self::default()
        }
    }

    /// Adds tenants. Default: none.
    pub fn tenants<T: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.tenants.extend(names.into_iter().map(Into::into));
        self
    }

    /// Adds groups, with all their members. Default: none.
    pub fn groups<T: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.groups.extend(names.into_iter().map(Into::into));
        self
    }

    /// Makes every tenant a member, those that the table does not name too. Default: off.
    pub fn everyone(mut self) -> Self {
        self.has_everyone = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{budget::Amount, period::Period};

    fn group() -> Group {
        Group::new(Budget::new(Amount::Tokens(1), Period::HOUR))
    }

    #[test]
    fn groups_are_found_at_any_depth_and_once() {
        let table = BudgetTable::new()
            .group("a", group().tenants(["t"]))
            .group("b", group().tenants(["t", "u"]))
            .group("top", group().groups(["a", "b"]))
            .group("all", group().groups(["top"]).everyone());
        assert_eq!(table.check(), Ok(()));
        let above = |tenant| -> Vec<String> {
            let above = table.above(tenant);
            above.into_iter().map(ToString::to_string).collect()
        };
        assert_eq!(above(Some("t")), ["a", "all", "b", "top"]);
        assert_eq!(above(Some("u")), ["all", "b", "top"]);
        assert_eq!(above(None), ["all"]);
    }

    #[test]
    fn circles_and_unknown_members_are_errors() {
        let circle = BudgetTable::new()
            .group("a", group().groups(["c"]))
            .group("b", group().groups(["a"]))
            .group("c", group().groups(["b"]))
            .group("d", group().groups(["a"]));
        assert_eq!(circle.check(), Err(InvalidBudgets::Circle("a".into())));
        let own = BudgetTable::new().group("a", group().groups(["a"]));
        assert_eq!(own.check(), Err(InvalidBudgets::Circle("a".into())));
        let unknown = BudgetTable::new().group("a", group().groups(["b"]));
        let expected = InvalidBudgets::NoGroup {
            group: "a".into(),
            member: "b".into(),
        };
        assert_eq!(unknown.check(), Err(expected));
        let diamond = BudgetTable::new()
            .group("a", group())
            .group("b", group().groups(["a"]))
            .group("c", group().groups(["a"]))
            .group("d", group().groups(["b", "c"]));
        assert_eq!(diamond.check(), Ok(()));
    }

    #[test]
    fn an_invalid_budget_names_its_owner() {
        let wrong =
            Budget::new(Amount::Tokens(1), Period::HOUR).and(Amount::Tokens(2), Period::HOUR);
        let table = BudgetTable::new().tenant("t", wrong);
        let expected = InvalidBudgets::Budget {
            owner: Some(BudgetOwner::Tenant("t".into())),
            source: InvalidBudget::Twice(Period::HOUR),
        };
        assert_eq!(table.check(), Err(expected));
        let lone =
            BudgetTable::new().default_budget(Budget::unlimited().notify_at(Amount::Tokens(1)));
        let expected = InvalidBudgets::Budget {
            owner: None,
            source: InvalidBudget::LineWithoutLimit,
        };
        assert_eq!(lone.check(), Err(expected));
    }
}
