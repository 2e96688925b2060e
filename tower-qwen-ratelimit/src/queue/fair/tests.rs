use tower_qwen_tokens::ledger::Tenant;

use super::*;

fn key(tenant: usize) -> FlowKey {
    FlowKey {
        tenant: Some(Tenant::new(tenant.to_string())),
        ..FlowKey::default()
    }
}

fn pass(fair: &mut Fair, tenant: usize, cost: u64) -> Served {
    let position = fair.position(&key(tenant));
    let flow = fair.open(position, &key(tenant));
    fair.serve(flow, cost)
}

#[test]
fn who_is_not_ahead_of_the_others_is_forgotten() {
    let mut fair = Fair::default();
    for tenant in 0..10_000 {
        let served = pass(&mut fair, tenant, 1_000);
        fair.settle(served, 900);
    }
    assert!(fair.keys.len() <= 1, "{}", fair.keys.len());
    assert!(fair.flows.slots.len() <= 2, "{}", fair.flows.slots.len());
}

#[test]
fn no_more_are_remembered_than_there_is_room_for() {
    let mut fair = Fair::default();
    let under_way: Vec<_> = (0..10 * REMEMBERED)
        .map(|tenant| pass(&mut fair, tenant, 10))
        .collect();
    assert_eq!(fair.keys.len(), 10 * REMEMBERED, "calls are under way");
    for served in under_way {
        fair.settle(served, 1_000_000);
    }
    assert_eq!(fair.keys.len(), REMEMBERED);
    assert_eq!(fair.idle.len(), REMEMBERED);
    assert!(fair.idle.iter().all(|&(counter, _)| counter > fair.level));
}

#[test]
fn a_charge_that_was_forgiven_does_not_come_back() {
    let mut fair = Fair::default();
    let early = pass(&mut fair, 1, 1_000);
    for _ in 0..100 {
        let served = pass(&mut fair, 2, 1_000);
        fair.settle(served, 1_000);
    }
    let late = pass(&mut fair, 1, 1_000);
    let level = fair.level;
    fair.settle(early, 0);
    let counter = fair.flows.at(late.index().unwrap()).counter;
    assert_eq!(counter, level.plus(Counter::of(1_000, 1)));
    fair.settle(late, 400);
    assert!(
        fair.keys.is_empty() || fair.position(&key(1)).counter <= level.plus(Counter::of(400, 1))
    );
}

#[test]
fn counters_begin_anew_before_they_end() {
    let mut fair = Fair::default();
    let high = Counter::MAX.minus(Counter::of(3, 1));
    fair.level = high;
    let under_way = pass(&mut fair, 1, 1);
    assert!(fair.level < Counter::of(10, 1), "{:?}", fair.level);
    assert!(!fair.flows.at(under_way.index().unwrap()).counter.is_high());
    for _ in 0..100 {
        let served = pass(&mut fair, 2, u64::MAX);
        fair.settle(served, u64::MAX);
    }
    fair.settle(under_way, 1);
    let one = fair.position(&key(1)).counter;
    assert!(one <= fair.position(&key(2)).counter);
}

#[test]
fn a_call_that_was_under_way_for_long_lowers_no_level() {
    let mut fair = Fair::default();
    let long = pass(&mut fair, 1, 10);
    for _ in 0..100 {
        let served = pass(&mut fair, 2, 1_000);
        fair.settle(served, 1_000);
    }
    assert_eq!(fair.level, Counter::of(100_000, 1));
    fair.settle(long, 10);
    assert_eq!(fair.level, Counter::of(100_000, 1));
}
