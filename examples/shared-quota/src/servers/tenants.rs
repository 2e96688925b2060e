//! The tenants: what each may do, whose a call is, and what it asks for.
//!
//! One of ten is busy: a third of the calls is theirs, twice as many as their quotas allow. Half of the busy ones ask for
//! short answers and run out of requests, the others for long ones and run out of tokens. Another of ten has a budget.

use tower_qwen_ratelimit::{
    Budget, Quota, Reserve,
    budget::{Amount, BudgetTable, Group},
    period::Period,
};

use super::args::TenantArgs;

/// The group of all tenants.
const ALL: &str = "all";
/// More than any study sends, and little enough for every sum of it.
const WIDE_REQUESTS: u64 = 1_000_000_000;
const WIDE_TOKENS: u64 = 1 << 40;
/// One tenant of so many is busy, and one has a budget.
const ONE_OF: u32 = 10;

impl TenantArgs {
    /// Requests and tokens of a tenant's window.
    pub(crate) fn limits(&self) -> (u64, u64) {
        match self.wide {
            true => (WIDE_REQUESTS, WIDE_TOKENS),
            false => (self.rpm, self.tpm),
        }
    }

    /// The quota of each tenant.
    pub(crate) fn quota(&self) -> Quota {
        let (requests, tokens) = self.limits();
        // With ceilings an answer never costs more than was reserved, so that what a window may hold is exact.
        let quota = Quota::per_minute(requests, tokens).reserve(Reserve::Ceiling);
        quota.window(self.window)
    }

    /// What a tenant may use for ever, if it has a budget of its own.
    pub(crate) fn budget_of(&self, tenant: u32) -> Option<u64> {
        let has_budget = tenant % ONE_OF == ONE_OF / 2;
        has_budget.then_some(if self.wide { WIDE_TOKENS } else { self.budget })
    }

    /// What all tenants together may use for ever.
    pub(crate) fn budget_of_all(&self) -> u64 {
        match self.wide {
            true => WIDE_TOKENS,
            false => self.budget_of_all,
        }
    }

    /// The budgets of all.
    pub(crate) fn table(&self) -> BudgetTable {
        let for_ever = |tokens| Budget::new(Amount::Tokens(tokens), Period::total());
        let all = Group::new(for_ever(self.budget_of_all())).everyone();
        (0..self.tenants).fold(
            BudgetTable::new().group(ALL, all),
            |table, tenant| match self.budget_of(tenant) {
                Some(tokens) => table.tenant(name(tenant), for_ever(tokens)),
                None => table,
            },
        )
    }

    /// Whose a call is.
    pub(crate) fn tenant_of(&self, call: u64) -> u32 {
        let busy = u64::from(self.tenants.div_ceil(ONE_OF));
        let tenant = match call % 3 {
            0 => scattered(call) % busy * u64::from(ONE_OF),
            _ => scattered(call) % u64::from(self.tenants),
        };
        u32::try_from(tenant).unwrap_or(0)
    }
}

pub(crate) fn name(tenant: u32) -> String {
    format!("tenant-{tenant}")
}

/// The tenant of a name.
pub(crate) fn number(name: &str) -> Option<u32> {
    name.strip_prefix("tenant-")?.parse().ok()
}

pub(crate) fn is_busy(tenant: u32) -> bool {
    tenant.is_multiple_of(ONE_OF)
}

/// The longest answer that a tenant asks for. Unit: tokens.
pub(crate) fn longest_answer(tenant: u32) -> u64 {
    match tenant % (2 * ONE_OF) {
        0 => 120,
        _ => 30,
    }
}

/// A number that says nothing of its neighbours', the same in every run (`SplitMix64`).
pub(crate) fn scattered(number: u64) -> u64 {
    let mut mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        tenants: TenantArgs,
    }

    #[test]
    fn a_third_of_the_calls_is_of_busy_tenants() {
        let tenants = Line::parse_from(["study"]).tenants;
        let mut calls = vec![0_u32; 200];
        for call in 0..100_000 {
            calls[tenants.tenant_of(call) as usize] += 1;
        }
        for (tenant, calls) in (0..).zip(calls) {
            let expected = match is_busy(tenant) {
                true => 1_800..2_200,
                false => 250..420,
            };
            assert!(expected.contains(&calls), "{tenant}: {calls}");
            assert_eq!(number(&name(tenant)), Some(tenant));
        }
    }

    #[test]
    fn the_budgets_of_all_are_sound() {
        for line in [&["study"][..], &["study", "--wide"]] {
            let tenants = Line::parse_from(line).tenants;
            assert_eq!(tenants.table().check(), Ok(()));
            assert_eq!(tenants.quota().check(), Ok(()));
        }
    }

    #[test]
    fn a_server_gets_what_the_command_line_says() {
        let line = "study --tenants=7 --rpm=1 --tpm=2 --window=300ms --budget=4 --budget-of-all=5 --wide --memory --away=reject";
        let tenants = Line::parse_from(line.split(' ')).tenants;
        let arguments = ["study".to_owned()]
            .into_iter()
            .chain(tenants.to_arguments());
        let read = Line::parse_from(arguments).tenants;
        assert_eq!(format!("{read:?}"), format!("{tenants:?}"));
    }
}
