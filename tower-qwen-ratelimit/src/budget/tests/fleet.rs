//! Processes that share limits, through the store's script as it is in memory.

use std::collections::HashMap;

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    budget::{
        Group,
        lease::{Outage, ReportReason},
        leases::ReportDraft,
    },
    fleet::lease_model::LeaseModel,
    leased_amounts::{LeaseReply, LeaseReport},
    sharing::OutagePolicy,
};

const SECOND: Nanos = 1_000_000_000;

struct Process {
    name: String,
    accounts: Accounts,
    number: u64,
    running: Vec<RunningCall>,
    /// The answer to its next report is lost.
    is_deaf: bool,
}

struct RunningCall {
    tenant: String,
    tokens: u64,
    at: Nanos,
    taken: Taken,
}

/// All processes, their store, and what their calls have spent.
struct Fleet {
    store: LeaseModel,
    processes: Vec<Process>,
    table: BudgetTable,
    now: Nanos,
    born: u64,
    /// By tenant and day, with what was reserved.
    spent: HashMap<(String, Nanos), u64>,
    under_estimated: u64,
    /// What processes had not used when they died.
    lost: HashMap<String, u64>,
    reports: u64,
}

impl Fleet {
    fn new(table: BudgetTable, processes: usize) -> Self {
        let mut fleet = Self {
            store: LeaseModel::default(),
            processes: Vec::new(),
            table,
            now: START,
            born: 0,
            spent: HashMap::new(),
            under_estimated: 0,
            lost: HashMap::new(),
            reports: 0,
        };
        for _ in 0..processes {
            let process = fleet.process();
            fleet.processes.push(process);
        }
        fleet
    }

    fn process(&mut self) -> Process {
        self.born += 1;
        let mut accounts = accounts(self.table.clone(), 20_000);
        accounts.share(self.now);
        Process {
            name: self.born.to_string(),
            accounts,
            number: 0,
            running: Vec::new(),
            is_deaf: false,
        }
    }

    fn day(&self) -> Nanos {
        self.now / hours(24)
    }

    /// One report of a process, with a call that waits or without. Whether that one fits; `None` where
    /// nobody answers.
    fn report(
        &mut self,
        at: usize,
        call: Option<(&str, &Need)>,
        reason: ReportReason,
    ) -> Option<bool> {
        let members = self.processes.len() as u64;
        let process = &mut self.processes[at];
        if process.accounts.leases.as_ref()?.outage.is_some() {
            return None;
        }
        let mut draft = ReportDraft::default();
        if let Some(call) = call {
            assert!(
                process
                    .accounts
                    .add_call(&mut draft, call, &Rates::new(), self.now)
            );
        }
        process.accounts.add_due(&mut draft, reason, self.now);
        if draft.is_empty() {
            return None;
        }
        process.number += 1;
        self.reports += 1;
        let report = LeaseReport {
            holder: 1,
            number: process.number,
            parts: members * 4,
            limits: draft.limits,
            calls: draft.calls,
        };
        let reply = self.store.report(&process.name, &report, self.now / 1_000);
        let reply: LeaseReply = reply.expect("reports come in their order");
        if std::mem::take(&mut process.is_deaf) {
            return None;
        }
        let parts = report.parts;
        process
            .accounts
            .end_report(&draft.places, &reply, parts, self.now);
        reply.fits.first().copied()
    }

    fn try_reserve(&mut self, at: usize, tenant: &str, amount: u64) -> Result<(), Fault> {
        let need = tokens(amount);
        let accounts = &mut self.processes[at].accounts;
        let taken = reserve(accounts, tenant, &need, self.now)?;
        self.processes[at].running.push(RunningCall {
            tenant: tenant.to_owned(),
            tokens: amount,
            at: self.now,
            taken,
        });
        *self
            .spent
            .entry((tenant.to_owned(), self.day()))
            .or_default() += amount;
        Ok(())
    }

    /// Whether the call goes.
    fn call(&mut self, at: usize, tenant: &str, amount: u64) -> bool {
        match self.try_reserve(at, tenant, amount) {
            Err(Fault::Unleased(_)) => {}
            result => return result.is_ok(),
        }
        let need = tokens(amount);
        let fits = self.report(at, Some((tenant, &need)), ReportReason::Timer);
        match fits {
            None => false,
            Some(fits) => {
                // What was granted to the call is there, and what was not is not asked for again.
                let again = self.try_reserve(at, tenant, amount);
                assert_eq!(again.is_ok(), fits);
                assert!(fits || matches!(again, Err(Fault::Exceeded(_))));
                fits
            }
        }
    }

    fn settle(&mut self, at: usize, call: usize, actual: u64) {
        let process = &mut self.processes[at];
        let call = process.running.swap_remove(call);
        settle(
            &mut process.accounts,
            &call.taken,
            &tokens(call.tokens),
            &tokens(actual),
            self.now,
        );
        let spent = self
            .spent
            .entry((call.tenant, call.at / hours(24)))
            .or_default();
        *spent = *spent - call.tokens + actual;
        self.under_estimated += actual.saturating_sub(call.tokens);
    }

    /// It dies without a word; another one starts.
    fn kill(&mut self, at: usize) {
        let new = self.process();
        let mut dead = std::mem::replace(&mut self.processes[at], new);
        dead.accounts.visit(self.now, |account| {
            for counter in &account.counters {
                let name = format!("{}:{}", account.owner.kind(), account.owner.name());
                *self.lost.entry(name).or_default() +=
                    u64::try_from(counter.room()).expect("small");
            }
        });
    }

    fn spent_by(&self, is_it: impl Fn(&str) -> bool) -> u64 {
        let today = self.day();
        let of_day = self.spent.iter().filter(|((_, day), _)| *day == today);
        let of_it = of_day.filter(|((tenant, _), _)| is_it(tenant));
        of_it.map(|(_, spent)| *spent).sum()
    }
}

#[derive(Debug, Clone)]
enum Step {
    Call {
        process: usize,
        tenant: usize,
        tokens: u64,
    },
    Settle {
        process: usize,
        call: usize,
        percent: u64,
    },
    Kill {
        process: usize,
    },
    LoseAnswer {
        process: usize,
    },
    Outage {
        process: usize,
        lasts: bool,
    },
    Wait {
        millis: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let process = || 0..3_usize;
    let step = prop_oneof![
        10 => (process(), 0..3_usize, 1..120_u64).prop_map(|(process, tenant, tokens)| Step::Call { process, tenant, tokens }),
        6 => (process(), any::<usize>(), 0..200_u64).prop_map(|(process, call, percent)| Step::Settle { process, call, percent }),
        1 => process().prop_map(|process| Step::Kill { process }),
        1 => process().prop_map(|process| Step::LoseAnswer { process }),
        1 => (process(), any::<bool>()).prop_map(|(process, lasts)| Step::Outage { process, lasts }),
        4 => prop_oneof![0..3_000_u64, Just(50_000_000)].prop_map(|millis| Step::Wait { millis }),
    ];
    vec(step, 1..80)
}

const TENANTS: [&str; 3] = ["a", "b", "c"];
const OF_TENANT: u64 = 700;
const OF_ALL: u64 = 1_500;

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let table = BudgetTable::new()
        .default_budget(in_tokens(OF_TENANT, day()))
        .group("all", Group::new(in_tokens(OF_ALL, day())).everyone());
    let mut fleet = Fleet::new(table, 3);
    // Outages of the day: in each, a process may take a third of what the store had left.
    let (mut outages, mut day) = (0, fleet.day());
    for step in steps {
        match step {
            Step::Call {
                process,
                tenant,
                tokens,
            } => {
                fleet.call(process, TENANTS[tenant], tokens);
            }
            Step::Settle {
                process,
                call,
                percent,
            } => {
                let running = &fleet.processes[process].running;
                if !running.is_empty() {
                    let call = call % running.len();
                    let actual = running[call].tokens * percent / 100;
                    fleet.settle(process, call, actual);
                }
            }
            Step::Kill { process } => fleet.kill(process),
            Step::LoseAnswer { process } => fleet.processes[process].is_deaf = true,
            Step::Outage { process, lasts } => {
                let leases = fleet.processes[process].accounts.leases.as_mut();
                let outage = &mut leases.expect("shared").outage;
                outages += u64::from(lasts && outage.is_none());
                *outage = lasts.then_some(Outage {
                    policy: OutagePolicy::LocalShare,
                    processes: 3,
                });
            }
            Step::Wait { millis } => {
                fleet.now += millis * 1_000_000;
                for process in 0..3 {
                    fleet.report(process, None, ReportReason::Timer);
                }
            }
        }
        if fleet.day() != day {
            day = fleet.day();
            fleet.under_estimated = 0;
            let away = fleet.processes.iter().filter(|process| {
                let leases = process.accounts.leases.as_ref();
                leases.is_some_and(|leases| leases.outage.is_some())
            });
            outages = away.count() as u64;
        }
        for tenant in TENANTS {
            let spent = fleet.spent_by(|name| name == tenant);
            let most = OF_TENANT + outages * OF_TENANT / 3 + fleet.under_estimated;
            prop_assert!(spent <= most, "{tenant}: {spent} of {most}");
        }
        let spent = fleet.spent_by(|_| true);
        let most = OF_ALL + outages * OF_ALL / 3 + fleet.under_estimated;
        prop_assert!(spent <= most, "all: {spent} of {most}");
    }
    // When all have ended, the store knows all that was spent, and what the dead had.
    for process in 0..3 {
        let leases = fleet.processes[process].accounts.leases.as_mut();
        leases.expect("shared").outage = None;
        fleet.processes[process].is_deaf = false;
        fleet.report(process, None, ReportReason::End);
    }
    let today = Duration::from_nanos(fleet.day() * hours(24)).as_secs();
    let name = format!(":{today}:group:all");
    let all = fleet.store.all(|limit| limit.ends_with(&name));
    let spent = i64::try_from(fleet.spent_by(|_| true)).expect("small");
    // A dead process takes what it has spent beyond its grants with it.
    let least = spent - i64::try_from(fleet.under_estimated + outages * OF_ALL / 3).expect("small");
    prop_assert!(all >= least, "{all} of {spent}");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn no_fleet_spends_more_than_its_budgets_and_what_was_under_estimated(steps in steps()) {
        run(steps)?;
    }
}

#[test]
fn the_end_reports_what_runs_low_once() {
    let table = BudgetTable::new().default_budget(in_tokens(OF_TENANT, day()));
    let mut fleet = Fleet::new(table, 1);
    // A quarter of what is left was taken beforehand; more than half of it is used.
    for _ in 0..12 {
        assert!(fleet.call(0, "a", 10));
    }
    assert_eq!(fleet.reports, 1);
    for _ in 0..3 {
        fleet.report(0, None, ReportReason::End);
    }
    assert_eq!(fleet.reports, 2);
    assert_eq!(fleet.store.all(|_| true), 120);
}

/// A hundred processes and ten thousand tenants. A tenth of the tenants makes most of
/// the calls, several times what they may; at every five hundredth call a process dies.
#[test]
fn ten_thousand_tenants_at_a_hundred_processes_that_die() {
    const TENANTS: usize = 10_000;
    const PROCESSES: usize = 100;
    const CALLS: usize = 120_000;
    const LIMIT: u64 = 10_000;
    let table = BudgetTable::new().default_budget(in_tokens(LIMIT, day()));
    let mut fleet = Fleet::new(table, PROCESSES);
    let mut random = 7_u64;
    let mut next = |most: usize| {
        // Numbers of Knuth's: the schedule is the same in each run.
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(random >> 33).expect("31 bits") % most
    };
    let (mut rejected, mut admitted) = (0_u64, 0_u64);
    for call in 0..CALLS {
        // A tenth of the tenants has all calls, so that budgets are used up.
        let (tenant, process) = (
            next(TENANTS / 10) + call % 10 / 9 * next(TENANTS),
            next(PROCESSES),
        );
        // Small ones are served from what was taken beforehand, large ones use budgets up.
        let amount = if call % 4 == 0 { 1_500 } else { 20 };
        match fleet.call(process, &tenant.to_string(), amount) {
            true => admitted += 1,
            false => rejected += 1,
        }
        if call % 500 == 499 {
            fleet.kill(next(PROCESSES));
        }
        if call % 20_000 == 19_999 {
            fleet.now += SECOND;
            for process in 0..PROCESSES {
                fleet.report(process, None, ReportReason::Timer);
            }
        }
    }
    for process in 0..PROCESSES {
        while fleet.report(process, None, ReportReason::End).is_some() {}
    }
    let mut most = 0;
    let mut spent_of: HashMap<&str, u64> = HashMap::new();
    for ((tenant, _), spent) in &fleet.spent {
        spent_of.insert(tenant, *spent);
        most = most.max(*spent);
    }
    assert!(most <= LIMIT, "{most}");
    // Nothing leaks: the store has what was spent, and what processes had when they died.
    let all = fleet.store.all(|_| true);
    let spent: u64 = spent_of.values().sum();
    let lost: u64 = fleet.lost.values().sum();
    assert_eq!(all, i64::try_from(spent + lost).expect("small"));
    println!(
        "{admitted} admitted, {rejected} rejected, {} reports, {lost} of {} tokens lost with {} processes",
        fleet.reports,
        LIMIT * spent_of.len() as u64,
        CALLS / 500
    );
    assert!(admitted > 0 && rejected > 0);
}
