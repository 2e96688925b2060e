//! Processes that share limits in rolling periods, through the store's script as it is in memory: reports
//! and answers get lost or come late, processes die, the store is away or loses its memory.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{
    budget::{
        Group,
        lease::{Outage, ReportReason},
        leases::{ReportDraft, ReportedLimit},
    },
    fleet::lease_model::LeaseModel,
    leased_amounts::{LeaseReply, LeaseReport},
    sharing::OutagePolicy,
};

const SECOND: Nanos = 1_000_000_000;
const TENANTS: [&str; 3] = ["a", "b", "c"];
const PROCESSES: usize = 3;
const OF_TENANT: u64 = 700;
const OF_ALL: u64 = 1_500;

/// What becomes of a report.
#[derive(Debug, Clone, Copy)]
enum Fate {
    Answered,
    /// It never arrives.
    Lost,
    /// It arrives, and its answer does not.
    AnswerLost,
    /// The process gives it up, and it arrives later.
    Late,
    /// Its answer takes until the next wait is over.
    SlowAnswer,
}

struct Process {
    name: String,
    accounts: Accounts,
    number: u64,
    running: Vec<RunningCall>,
    /// Of its next report.
    fate: Fate,
    slow: Option<(Vec<ReportedLimit>, LeaseReply, u64)>,
    began: u64,
}

struct RunningCall {
    taken: Taken,
    /// Its place among all calls.
    call: usize,
}

struct SpentCall {
    tenant: String,
    at: Nanos,
    reserved: u64,
    actual: Option<u64>,
}

struct Fleet {
    period: Nanos,
    store: LeaseModel,
    /// Hashes leave the store when their time is over.
    expires: bool,
    processes: Vec<Process>,
    table: BudgetTable,
    now: Nanos,
    born: u64,
    calls: Vec<SpentCall>,
    late: Vec<(String, LeaseReport)>,
    /// Until when the store's last losses may show.
    losses: Vec<Nanos>,
    /// Until when outages that are over may show.
    outages: Vec<Nanos>,
}

impl Fleet {
    fn new(period: Duration, expires: bool) -> Self {
        let limit = |limit| in_tokens(limit, Period::rolling(period));
        let table = BudgetTable::new()
            .default_budget(limit(OF_TENANT))
            .group("all", Group::new(limit(OF_ALL)).everyone());
        let mut fleet = Self {
            period: nanos(period),
            store: LeaseModel::default(),
            expires,
            processes: Vec::new(),
            table,
            now: START,
            born: 0,
            calls: Vec::new(),
            late: Vec::new(),
            losses: Vec::new(),
            outages: Vec::new(),
        };
        for _ in 0..PROCESSES {
            let process = fleet.process();
            fleet.processes.push(process);
        }
        fleet
    }

    fn process(&mut self) -> Process {
        self.born += 1;
        let mut accounts = accounts(self.table.clone(), 100);
        accounts.share(self.now);
        Process {
            name: self.born.to_string(),
            accounts,
            number: 0,
            running: Vec::new(),
            fate: Fate::Answered,
            slow: None,
            began: 0,
        }
    }

    /// As it is stated: as long as the period, from ten seconds to a minute.
    fn term(&self) -> Nanos {
        self.period.clamp(10 * SECOND, 60 * SECOND)
    }

    fn is_away(&self, at: usize) -> bool {
        let leases = self.processes[at].accounts.leases.as_ref();
        leases.is_some_and(|leases| leases.outage.is_some())
    }

    fn at_store(&mut self, name: &str, report: &LeaseReport) -> Option<LeaseReply> {
        if self.expires {
            self.store.expire(self.now / 1_000);
        }
        self.store.report(name, report, self.now / 1_000)
    }

    /// One report of a process, with a call that waits or without. Whether that one fits; `None` where
    /// nobody answers.
    fn report(&mut self, at: usize, call: Option<(&str, &Need)>) -> Option<bool> {
        if self.is_away(at) || self.processes[at].slow.is_some() {
            return None;
        }
        let process = &mut self.processes[at];
        let mut draft = ReportDraft::default();
        if let Some(call) = call {
            let rates = Rates::new();
            assert!(
                process
                    .accounts
                    .add_call(&mut draft, call, &rates, self.now)
            );
        }
        let is_all = process
            .accounts
            .add_due(&mut draft, ReportReason::Timer, self.now);
        assert!(is_all, "it has few limits");
        if draft.is_empty() {
            return None;
        }
        process.number += 1;
        let parts = PROCESSES as u64 * 4;
        let report = LeaseReport {
            holder: 1,
            number: process.number,
            parts,
            limits: draft.limits,
            calls: draft.calls,
        };
        let (name, fate) = (process.name.clone(), process.fate);
        process.fate = Fate::Answered;
        match fate {
            Fate::Lost => return None,
            Fate::Late => {
                self.late.push((name, report));
                return None;
            }
            Fate::Answered | Fate::AnswerLost | Fate::SlowAnswer => {}
        }
        let reply = self.at_store(&name, &report);
        let reply = reply.expect("only earlier ones come late");
        let fits = reply.fits.first().copied();
        match fate {
            Fate::Answered => self.end_report(at, &draft.places, &reply, parts),
            Fate::SlowAnswer => self.processes[at].slow = Some((draft.places, reply, parts)),
            _ => {}
        }
        fits.filter(|_| matches!(fate, Fate::Answered))
    }

    fn end_report(&mut self, at: usize, places: &[ReportedLimit], reply: &LeaseReply, parts: u64) {
        let process = &mut self.processes[at];
        if std::mem::replace(&mut process.began, reply.began) != reply.began {
            process.accounts.report_all();
        }
        process.accounts.end_report(places, reply, parts, self.now);
    }

    fn try_reserve(&mut self, at: usize, tenant: &str, amount: u64) -> Result<(), Fault> {
        let process = &mut self.processes[at];
        let taken = reserve(&mut process.accounts, tenant, &tokens(amount), self.now)?;
        let call = self.calls.len();
        process.running.push(RunningCall { taken, call });
        self.calls.push(SpentCall {
            tenant: tenant.to_owned(),
            at: self.now,
            reserved: amount,
            actual: None,
        });
        Ok(())
    }

    /// Whether the call goes.
    fn call(&mut self, at: usize, tenant: &str, amount: u64) -> bool {
        match self.try_reserve(at, tenant, amount) {
            Err(Fault::Unleased(_)) => {}
            result => return result.is_ok(),
        }
        let Some(fits) = self.report(at, Some((tenant, &tokens(amount)))) else {
            return false;
        };
        let again = self.try_reserve(at, tenant, amount);
        // What does not fit is not asked for again.
        assert!(fits || matches!(again, Err(Fault::Exceeded(_))));
        again.is_ok()
    }

    fn settle(&mut self, at: usize, call: usize, percent: u64) {
        let process = &mut self.processes[at];
        let running = process.running.swap_remove(call);
        let call = &mut self.calls[running.call];
        let actual = call.reserved * percent / 100;
        call.actual = Some(actual);
        let needs = (&tokens(call.reserved), &tokens(actual));
        settle(
            &mut process.accounts,
            &running.taken,
            needs.0,
            needs.1,
            self.now,
        );
    }

    fn set_away(&mut self, at: usize, is_away: bool) {
        if self.is_away(at) == is_away {
            return;
        }
        if !is_away {
            self.outages.push(self.now + self.period);
            self.processes[at].accounts.report_all();
        }
        let outage = is_away.then_some(Outage {
            policy: OutagePolicy::LocalShare,
            processes: PROCESSES as u64,
        });
        let leases = self.processes[at].accounts.leases.as_mut();
        leases.expect("shared").outage = outage;
    }

    /// It dies without a word; another one starts.
    fn kill(&mut self, at: usize) {
        if self.is_away(at) {
            self.outages.push(self.now + self.period);
        }
        let new = self.process();
        self.processes[at] = new;
    }

    fn lose_memory(&mut self) {
        self.store = LeaseModel::default();
        self.losses.push(self.now + self.term() + self.period);
    }

    fn deliver_late(&mut self, which: usize) {
        if !self.late.is_empty() {
            let at = which % self.late.len();
            let (name, report) = self.late.swap_remove(at);
            // Nobody waits for the answer.
            let _ = self.at_store(&name, &report);
        }
    }

    fn wait(&mut self, nanos: Nanos) {
        self.now += nanos;
        for at in 0..PROCESSES {
            self.receive_slow_answer(at);
            self.report(at, None);
        }
    }

    fn receive_slow_answer(&mut self, at: usize) {
        if let Some((places, reply, parts)) = self.processes[at].slow.take() {
            self.end_report(at, &places, &reply, parts);
        }
    }

    /// The law: in no period is more spent than the limit and what its calls cost beyond their estimates;
    /// a process that is cut off has its share beside, and a store that loses its memory may grant once more.
    fn check(&self, limit: u64, is_it: impl Fn(&str) -> bool) -> Result<(), TestCaseError> {
        let is_in = |call: &&SpentCall| call.at + self.period > self.now && is_it(&call.tenant);
        let (mut spent, mut beyond) = (0, 0);
        for call in self.calls.iter().filter(is_in) {
            let actual = call.actual.unwrap_or(call.reserved);
            spent += actual;
            beyond += actual.saturating_sub(call.reserved);
        }
        let count = |untils: &[Nanos]| untils.iter().filter(|until| **until >= self.now).count();
        let away = (0..PROCESSES).filter(|&at| self.is_away(at)).count();
        let outages = (count(&self.outages) + away) as u64 * (limit / PROCESSES as u64);
        let losses = count(&self.losses) as u64 * limit;
        let most = limit + beyond + outages + losses;
        prop_assert!(
            spent <= most,
            "{spent} of {limit} + {beyond} + {outages} + {losses}"
        );
        Ok(())
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
    SetFate {
        process: usize,
        fate: Fate,
    },
    SetAway {
        process: usize,
        is_away: bool,
    },
    LoseMemory,
    DeliverLate {
        which: usize,
    },
    /// In thousandths of the period, or of the term.
    Wait {
        of_period: u64,
        of_term: u64,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let process = || 0..PROCESSES;
    let fate = prop_oneof![
        Just(Fate::Lost),
        Just(Fate::AnswerLost),
        Just(Fate::Late),
        Just(Fate::SlowAnswer),
    ];
    let wait = prop_oneof![
        4 => (0..40_u64, Just(0)),
        2 => (0..700_u64, Just(0)),
        2 => (Just(0), 0..700_u64),
        1 => (Just(990_u64), 0..1_100_u64),
        1 => (Just(1_100_u64), Just(1_100_u64)),
    ];
    let step = prop_oneof![
        12 => (process(), 0..3_usize, 1..250_u64).prop_map(|(process, tenant, tokens)| Step::Call { process, tenant, tokens }),
        5 => (process(), any::<usize>(), 0..200_u64).prop_map(|(process, call, percent)| Step::Settle { process, call, percent }),
        1 => process().prop_map(|process| Step::Kill { process }),
        3 => (process(), fate).prop_map(|(process, fate)| Step::SetFate { process, fate }),
        1 => (process(), any::<bool>()).prop_map(|(process, is_away)| Step::SetAway { process, is_away }),
        1 => Just(Step::LoseMemory),
        2 => any::<usize>().prop_map(|which| Step::DeliverLate { which }),
        6 => wait.prop_map(|(of_period, of_term)| Step::Wait { of_period, of_term }),
    ];
    vec(step, 1..80)
}

fn run(period: Duration, expires: bool, steps: Vec<Step>) -> Result<(), TestCaseError> {
    let mut fleet = Fleet::new(period, expires);
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
                let running = fleet.processes[process].running.len();
                if running > 0 {
                    fleet.settle(process, call % running, percent);
                }
            }
            Step::Kill { process } => fleet.kill(process),
            Step::SetFate { process, fate } => fleet.processes[process].fate = fate,
            Step::SetAway { process, is_away } => fleet.set_away(process, is_away),
            Step::LoseMemory => fleet.lose_memory(),
            Step::DeliverLate { which } => fleet.deliver_late(which),
            Step::Wait { of_period, of_term } => {
                let millis = |whole: Nanos, part: u64| whole / 1_000 * part;
                let wait = millis(fleet.period, of_period) + millis(fleet.term(), of_term);
                fleet.wait(wait);
            }
        }
        for tenant in TENANTS {
            fleet.check(OF_TENANT, |name| name == tenant)?;
        }
        fleet.check(OF_ALL, |_| true)?;
    }
    // Nothing is rejected for ever: when all has been quiet, a new process has all.
    fleet.now += fleet.period + fleet.term();
    fleet.kill(0);
    for (tenant, amount) in [("a", OF_TENANT), ("b", OF_TENANT), ("c", 100)] {
        prop_assert!(fleet.call(0, tenant, amount), "{tenant}");
    }
    prop_assert!(!fleet.call(0, "c", 1), "more than all");
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4_000))]

    #[test]
    fn no_rolling_period_sees_more_than_its_limit_and_nothing_is_rejected_for_ever(
        seconds in prop_oneof![Just(1_u64), Just(60), Just(3_600)],
        expires in any::<bool>(),
        steps in steps(),
    ) {
        run(Duration::from_secs(seconds), expires, steps)?;
    }
}

const MINUTE: Duration = Duration::from_secs(60);

#[test]
fn what_leaves_the_period_is_there_for_another_process() {
    let mut fleet = Fleet::new(MINUTE, true);
    assert!(fleet.call(0, "a", OF_TENANT));
    assert!(!fleet.call(1, "a", 1));
    // A slot of the period later than a minute, and until the store knows.
    for _ in 0..62 {
        fleet.wait(SECOND);
    }
    assert!(fleet.call(1, "a", OF_TENANT));
    assert!(!fleet.call(0, "a", 1));
}

#[test]
fn a_dead_process_is_forgotten_after_the_period_and_the_term() {
    let mut fleet = Fleet::new(MINUTE, false);
    assert!(fleet.call(0, "a", 600));
    fleet.kill(0);
    // Another one keeps the limit at the store.
    for _ in 0..119 {
        fleet.wait(SECOND);
        assert!(!fleet.call(1, "a", OF_TENANT));
    }
    fleet.wait(2 * SECOND);
    assert!(fleet.call(1, "a", OF_TENANT));
}

#[test]
fn a_process_that_gets_no_answer_has_nothing_after_the_term_and_its_share_in_an_outage() {
    let mut fleet = Fleet::new(MINUTE, true);
    assert!(fleet.call(0, "a", 10));
    // 690 are left, and a twelfth of them is taken beforehand.
    assert!(fleet.try_reserve(0, "a", 57).is_ok());
    fleet.now += 59 * SECOND;
    assert!(fleet.try_reserve(0, "b", 1).is_err(), "it never had any");
    let counter = |fleet: &mut Fleet| {
        let mut room = None;
        let now = fleet.now;
        fleet.processes[0].accounts.visit(now, |account| {
            if account.owner == tenant("a") {
                room = Some(account.counters[0].room());
            }
        });
        room.expect("an account")
    };
    let later = |fleet: &mut Fleet, seconds: u64| fleet.now += seconds * SECOND;
    assert_eq!(counter(&mut fleet), 0, "all of it is used");
    later(&mut fleet, 3);
    assert_eq!(counter(&mut fleet), 0, "it has left, and so has the lease");
    fleet.set_away(0, true);
    assert!(fleet.try_reserve(0, "a", 233).is_ok(), "a third of all");
    assert!(fleet.try_reserve(0, "a", 1).is_err());
}

#[test]
fn what_calls_cost_beyond_is_paid_by_what_leaves() {
    let mut fleet = Fleet::new(MINUTE, true);
    assert!(fleet.call(0, "a", 300));
    assert!(fleet.call(1, "a", 300));
    // Three hundred more than was reserved.
    fleet.settle(0, 0, 200);
    fleet.wait(SECOND);
    for _ in 0..59 {
        assert!(!fleet.call(0, "a", 1));
        fleet.wait(SECOND);
    }
    // All is gone, and the limit is as it was.
    fleet.wait(3 * SECOND);
    fleet.wait(3 * SECOND);
    assert!(fleet.call(0, "a", 300));
    assert!(fleet.call(1, "a", 400));
    assert!(!fleet.call(0, "a", 1));
}

#[test]
fn a_store_that_has_lost_its_memory_grants_no_more_when_all_have_reported() {
    let mut fleet = Fleet::new(MINUTE, true);
    assert!(fleet.call(0, "a", OF_TENANT));
    fleet.wait(SECOND);
    fleet.lose_memory();
    // It has never had any, and nobody else has reported yet.
    assert!(fleet.call(1, "a", OF_TENANT));
    for _ in 0..60 {
        fleet.processes[0].accounts.report_all();
        fleet.wait(SECOND);
        assert!(!fleet.call(0, "a", 1) && !fleet.call(1, "a", 1));
    }
    for _ in 0..3 {
        fleet.wait(SECOND);
    }
    assert!(fleet.call(0, "a", OF_TENANT));
    assert!(!fleet.call(1, "a", 1));
}

#[test]
fn a_report_of_an_earlier_life_that_comes_late_gives_nothing_back_twice() {
    let mut fleet = Fleet::new(Duration::from_secs(3_600), false);
    assert!(fleet.call(0, "b", 138));
    fleet.lose_memory();
    fleet.wait(30 * SECOND);
    fleet.processes[0].fate = Fate::Late;
    fleet.wait(36 * SECOND);
    // All has left the period, and the process knows that it has nothing.
    fleet.wait(3_580 * SECOND);
    fleet.wait(20 * SECOND);
    fleet.deliver_late(0);
    assert!(fleet.call(0, "b", 465));
    assert!(!fleet.call(1, "b", 236));
    assert!(fleet.call(1, "b", 235));
}

#[test]
fn a_slow_answer_does_not_lengthen_a_lease() {
    let mut fleet = Fleet::new(MINUTE, true);
    assert!(fleet.call(0, "a", 100));
    fleet.processes[0].fate = Fate::SlowAnswer;
    fleet.wait(30 * SECOND);
    assert!(fleet.processes[0].slow.is_some(), "a renewal is due");
    fleet.now += 40 * SECOND;
    fleet.receive_slow_answer(0);
    // All has left the period.
    fleet.now += 19 * SECOND;
    assert!(fleet.try_reserve(0, "a", 1).is_ok());
    fleet.now += SECOND;
    assert!(
        fleet.try_reserve(0, "a", 1).is_err(),
        "a minute after the report"
    );
}

#[test]
fn what_leaves_the_period_is_not_spent_anew_while_all_hold_more_than_the_limit() {
    let mut fleet = Fleet::new(MINUTE, true);
    assert!(fleet.call(0, "a", OF_TENANT));
    fleet.lose_memory();
    fleet.now += 30 * SECOND;
    assert!(fleet.call(1, "a", OF_TENANT));
    fleet.processes[0].accounts.report_all();
    fleet.wait(SECOND);
    // What the first has spent leaves, and what the second has spent does not.
    fleet.now += 32 * SECOND;
    assert!(fleet.try_reserve(0, "a", 1).is_err());
    for _ in 0..35 {
        fleet.wait(SECOND);
    }
    assert!(fleet.call(0, "a", OF_TENANT));
}

#[test]
fn two_lost_memories_do_not_hide_what_was_granted_before_each() {
    let mut fleet = Fleet::new(MINUTE, true);
    assert!(fleet.call(0, "a", 400));
    fleet.lose_memory();
    assert!(fleet.call(1, "a", 300));
    fleet.lose_memory();
    for process in [1, 0] {
        fleet.processes[process].accounts.report_all();
        fleet.report(process, None);
    }
    assert!(!fleet.call(2, "a", 1));
}
