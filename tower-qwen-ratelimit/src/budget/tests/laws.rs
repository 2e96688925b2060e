//! Against a list of all calls as the model.

use proptest::{collection::vec, prelude::*};
use tower_qwen_tokens::price::Currency;

use super::*;
use crate::budget::{Group, amount::Unit};

const TENANTS: [&str; 4] = ["a", "b", "c", "d"];
const ROLLING: Duration = Duration::from_secs(7_200);
/// A slot of that: a 63rd.
const WIDTH: Nanos = 114_285_714_286;

#[derive(Debug, Clone)]
enum Step {
    Reserve {
        tenant: usize,
        tokens: u64,
        pico: i128,
        is_yuan: bool,
    },
    /// The call of this place among those that run has cost so many percent of its estimate.
    Settle {
        call: usize,
        percent: u64,
    },
    GiveBack {
        call: usize,
    },
    Keep {
        call: usize,
    },
    Wait {
        seconds: u64,
    },
    Change {
        limit: usize,
        percent: u64,
    },
}

struct Call {
    tenant: usize,
    at: Nanos,
    reserved: Need,
    taken: Taken,
    actual: Option<Need>,
}

/// A limit as the model knows it.
struct ModelLimit {
    owner: BudgetOwner,
    /// Its place in the owner's budget.
    place: usize,
    tenants: &'static [usize],
    amount: Amount,
    /// As it was at first.
    whole: Amount,
    period: Period,
    /// The limit at the last admission, and the calls that ran then.
    admitted: (u128, Vec<usize>),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        8 => (0..4_usize, 0..400_u64, 0..400_i128, any::<bool>()).prop_map(|(tenant, tokens, pico, is_yuan)| Step::Reserve { tenant, tokens, pico, is_yuan }),
        5 => (any::<usize>(), 0..250_u64).prop_map(|(call, percent)| Step::Settle { call, percent }),
        1 => any::<usize>().prop_map(|call| Step::GiveBack { call }),
        1 => any::<usize>().prop_map(|call| Step::Keep { call }),
        3 => prop_oneof![0..600_u64, 0..200_000_u64, Just(2_000_000)].prop_map(|seconds| Step::Wait { seconds }),
        1 => (any::<usize>(), 0..200_u64).prop_map(|(limit, percent)| Step::Change { limit, percent }),
    ];
    vec(step, 1..60)
}

fn limits() -> Vec<ModelLimit> {
    let beijing = TimeZone::east(8, 0).expect("a zone");
    let pico = |pico| Amount::Money(Money::from_pico(pico, Currency::USD));
    let limit = |owner, place, tenants, amount, period| ModelLimit {
        owner,
        place,
        tenants,
        amount,
        whole: amount,
        period,
        admitted: (0, Vec::new()),
    };
    vec![
        limit(tenant("a"), 0, &[0], pico(900), Period::day(beijing)),
        limit(
            tenant("a"),
            1,
            &[0],
            Amount::Tokens(900),
            Period::rolling(ROLLING),
        ),
        limit(tenant("b"), 0, &[1], Amount::Tokens(1_200), day()),
        limit(tenant("c"), 0, &[2], pico(700), Period::week(beijing)),
        limit(tenant("d"), 0, &[3], pico(700), Period::week(beijing)),
        limit(group("team"), 0, &[0, 1], pico(1_500), day()),
        limit(
            group("org"),
            0,
            &[0, 1, 2],
            pico(4_000),
            Period::month(beijing),
        ),
        limit(
            group("org"),
            1,
            &[0, 1, 2],
            Amount::Tokens(2_000),
            Period::rolling(ROLLING),
        ),
        limit(
            group("all"),
            0,
            &[0, 1, 2, 3],
            Amount::Tokens(9_000),
            Period::total(),
        ),
    ]
}

/// `c` is named by a group and `d` by nothing: both have the default budget.
fn table(limits: &[ModelLimit]) -> BudgetTable {
    let budget = |owner: &BudgetOwner| {
        let own = limits.iter().filter(|limit| limit.owner == *owner);
        own.fold(Budget::unlimited(), |budget, limit| {
            budget.and(limit.amount, limit.period)
        })
    };
    BudgetTable::new()
        .default_budget(budget(&tenant("c")))
        .tenant("a", budget(&tenant("a")))
        .tenant("b", budget(&tenant("b")))
        .group(
            "team",
            Group::new(budget(&group("team"))).tenants(["a", "b"]),
        )
        .group(
            "org",
            Group::new(budget(&group("org")))
                .groups(["team"])
                .tenants(["c"]),
        )
        .group("all", Group::new(budget(&group("all"))).everyone())
}

fn rates() -> Rates {
    Rates::new()
        .with(Currency::CNY, Currency::USD, "0.1404", "2026-11-29")
        .expect("a rate")
}

fn count(need: &Need, unit: Unit) -> u128 {
    need.in_unit(unit, &rates())
        .expect("priced in a known currency")
}

impl ModelLimit {
    /// What is surely in the period, and what may be: amounts leave a rolling period late.
    fn used(&self, calls: &[Call], now: Nanos) -> (u128, u128) {
        let unit = self.amount.unit();
        let (mut sure, mut most) = (0, 0);
        for call in calls
            .iter()
            .filter(|call| self.tenants.contains(&call.tenant))
        {
            let amount = count(call.actual.as_ref().unwrap_or(&call.reserved), unit);
            let (is_sure, is_possible) = match self.period.span_at(crate::budget::sums::time(now)) {
                Some(span) => {
                    let is_in = crate::budget::sums::time(call.at) >= span.start;
                    (is_in, is_in)
                }
                None => {
                    let age = now - call.at;
                    let length = nanos(ROLLING);
                    (age < length, age <= length + 2 * WIDTH)
                }
            };
            sure += if is_sure { amount } else { 0 };
            most += if is_possible { amount } else { 0 };
        }
        (sure, most)
    }
}

fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let rates = rates();
    let mut limits = limits();
    let mut accounts = accounts(table(&limits), 10);
    let mut calls: Vec<Call> = Vec::new();
    let mut now = START;
    for step in steps {
        let running: Vec<usize> = (0..calls.len())
            .filter(|&call| calls[call].actual.is_none())
            .collect();
        let of = |call: usize| (!running.is_empty()).then(|| running[call % running.len()]);
        match step {
            Step::Reserve {
                tenant,
                tokens,
                pico,
                is_yuan,
            } => {
                let currency = if is_yuan {
                    Currency::CNY
                } else {
                    Currency::USD
                };
                let cost = Money::from_pico(pico, currency);
                let need = Need::of_request(tokens, 0, Some(cost));
                let fit = accounts.reserve(
                    TENANTS[tenant],
                    &need,
                    &rates,
                    Unpriced::Reject,
                    (now, false),
                );
                let of_tenant = limits
                    .iter()
                    .filter(|limit| limit.tenants.contains(&tenant));
                let mut fits = of_tenant.map(|limit| {
                    let needed = count(&need, limit.amount.unit());
                    let whole = limit.amount.count().expect("not negative");
                    let (sure, most) = limit.used(&calls, now);
                    (
                        sure + needed <= whole,
                        most + needed <= whole || needed == 0,
                    )
                });
                match fit {
                    // Nothing is admitted that does not fit into every limit.
                    Ok(fit) => {
                        prop_assert!(fits.all(|(may, _)| may) || tokens == 0 || pico == 0);
                        calls.push(Call {
                            tenant,
                            at: now,
                            reserved: need,
                            taken: fit.taken,
                            actual: None,
                        });
                        let running = (0..calls.len()).filter(|&call| calls[call].actual.is_none());
                        let running: Vec<usize> = running.collect();
                        for limit in limits
                            .iter_mut()
                            .filter(|limit| limit.tenants.contains(&tenant))
                        {
                            let whole = limit.amount.count().expect("not negative");
                            let (sure, _) = limit.used(&calls, now);
                            // A call that needs nothing goes where all is used up.
                            limit.admitted = (whole.max(sure), running.clone());
                        }
                    }
                    // Nothing is rejected that fits into every limit.
                    Err(_) => prop_assert!(fits.any(|(_, must)| !must)),
                }
            }
            Step::Settle { call, percent } => {
                if let Some(call) = of(call).map(|call| &mut calls[call]) {
                    let cost = call.reserved.cost.map(|cost| {
                        Money::from_pico(cost.pico() * i128::from(percent) / 100, cost.currency())
                    });
                    let tokens = call.reserved.tokens() * percent / 100;
                    let actual = Need::of_request(tokens, 0, cost);
                    accounts.settle(&call.taken, (&call.reserved, &actual), &rates, now);
                    call.actual = Some(actual);
                }
            }
            Step::GiveBack { call } => {
                if let Some(call) = of(call).map(|call| &mut calls[call]) {
                    let nothing = call.reserved.nothing();
                    accounts.settle(&call.taken, (&call.reserved, &nothing), &rates, now);
                    call.actual = Some(nothing);
                }
            }
            Step::Keep { call } => {
                if let Some(call) = of(call).map(|call| &mut calls[call]) {
                    accounts.settle(&call.taken, (&call.reserved, &call.reserved), &rates, now);
                    call.actual = Some(call.reserved);
                }
            }
            Step::Wait { seconds } => now += nanos(Duration::from_secs(seconds)),
            Step::Change { limit, percent } => {
                let limit = limit % limits.len();
                let whole = limits[limit].whole;
                let count = whole.count().expect("not negative") * u128::from(percent) / 100;
                limits[limit].amount = whole.unit().amount(count);
                // Both have the default budget.
                if [3, 4].contains(&limit) {
                    limits[7 - limit].amount = limits[limit].amount;
                }
                accounts.set_table(table(&limits), now);
            }
        }
        for limit in &limits {
            let (sure, most) = limit.used(&calls, now);
            let (spent, reserved) = sums(&mut accounts, &limit.owner, limit.place, now);
            prop_assert!(
                (sure..=most).contains(&(spent + reserved)),
                "{} {}",
                limit.owner,
                limit.period
            );
            // The law: the limit, and what the calls that ran at the last admission cost beyond their estimates.
            let (whole, running) = &limit.admitted;
            let unit = limit.amount.unit();
            let beyond = running
                .iter()
                .map(|&call| &calls[call])
                .filter(|call| limit.tenants.contains(&call.tenant));
            let beyond: u128 = beyond
                .map(|call| {
                    let actual = call.actual.as_ref().unwrap_or(&call.reserved);
                    count(actual, unit).saturating_sub(count(&call.reserved, unit))
                })
                .sum();
            prop_assert!(
                sure <= whole + beyond,
                "{} {}: {sure}",
                limit.owner,
                limit.period
            );
        }
    }
    for call in calls.iter().filter(|call| call.actual.is_none()) {
        accounts.settle(&call.taken, (&call.reserved, &call.reserved), &rates, now);
    }
    for limit in &limits {
        let (_, reserved) = sums(&mut accounts, &limit.owner, limit.place, now);
        prop_assert_eq!(reserved, 0, "{}", &limit.owner);
    }
    Ok(())
}

proptest! {
    // Each case is up to 60 steps over 9 limits: 10,000 take half a minute, and were run when it was written.
    #![proptest_config(ProptestConfig::with_cases(2_500))]

    #[test]
    fn no_budget_is_exceeded_by_more_than_the_error_of_its_estimates_and_nothing_leaks(steps in steps()) {
        run(steps)?;
    }
}
