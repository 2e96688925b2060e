use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// Whose budget it is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "(OwnerKind, String)", from = "(OwnerKind, String)")]
#[non_exhaustive]
pub enum BudgetOwner {
    /// A tenant's; without a name that of all calls that name none.
    Tenant(Arc<str>),
    /// A group's.
    Group(Arc<str>),
    /// That of all tenants above [`max_tenants`](super::BudgetsBuilder::max_tenants) together.
    Overflow,
}

/// How owners are written: by a word and a name.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OwnerKind {
    Tenant,
    Group,
    Overflow,
}

impl BudgetOwner {
    /// The name; `(overflow)` of that of all further tenants.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Tenant(name) | Self::Group(name) => name,
            Self::Overflow => "(overflow)",
        }
    }

    /// `tenant`, `group` or `overflow`, for metrics.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Tenant(_) => "tenant",
            Self::Group(_) => "group",
            Self::Overflow => "overflow",
        }
    }
}

impl From<BudgetOwner> for (OwnerKind, String) {
    fn from(owner: BudgetOwner) -> Self {
        let kind = match owner {
            BudgetOwner::Tenant(_) => OwnerKind::Tenant,
            BudgetOwner::Group(_) => OwnerKind::Group,
            BudgetOwner::Overflow => OwnerKind::Overflow,
        };
        (kind, owner.name().to_owned())
    }
}

impl From<(OwnerKind, String)> for BudgetOwner {
    fn from((kind, name): (OwnerKind, String)) -> Self {
        match kind {
            OwnerKind::Tenant => Self::Tenant(name.into()),
            OwnerKind::Group => Self::Group(name.into()),
            OwnerKind::Overflow => Self::Overflow,
        }
    }
}

impl fmt::Display for BudgetOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tenant(name) if name.is_empty() => f.write_str("calls without a tenant"),
            Self::Tenant(name) => write!(f, "tenant {name}"),
            Self::Group(name) => write!(f, "group {name}"),
            Self::Overflow => f.write_str("all further tenants"),
        }
    }
}
