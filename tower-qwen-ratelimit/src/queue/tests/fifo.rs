use super::*;

fn nobody() -> FlowKey {
    FlowKey::default()
}

#[test]
fn a_retried_call_takes_its_first_place() {
    let mut queue = WaitQueue::default();
    let tenth = join(&mut queue, &nobody(), 10, 1);
    let thirtieth = join(&mut queue, &nobody(), 30, 2);
    let twentieth = join(&mut queue, &nobody(), 20, 4);
    let fifth = join(&mut queue, &nobody(), 5, 8);
    for ticket in [fifth, tenth, twentieth, thirtieth] {
        serve(&mut queue, ticket, 1);
    }
}

#[test]
fn equal_arrivals_stand_in_the_order_of_joining() {
    let mut queue = WaitQueue::default();
    let first = join(&mut queue, &nobody(), 10, 1);
    let second = join(&mut queue, &nobody(), 10, 1);
    assert!(queue.is_head(first) && !queue.is_head(second));
    assert!(queue.leave(first).head.is_some());
    assert!(queue.is_head(second));
}

#[test]
fn only_the_head_leaving_wakes_anybody() {
    let mut queue = WaitQueue::default();
    let first = join(&mut queue, &nobody(), 1, 1);
    let second = join(&mut queue, &nobody(), 2, 1);
    let _third = join(&mut queue, &nobody(), 3, 1);
    assert!(queue.leave(second).head.is_none());
    assert!(queue.leave(first).head.is_some());
    assert!(queue.wake_head().head.is_none(), "woken already");
}

#[test]
fn tenants_and_weights_change_nothing() {
    let mut queue = WaitQueue::default();
    let hog: Vec<_> = (0..3)
        .map(|at| join(&mut queue, &flow(1, 1), at, 100))
        .collect();
    let other = join(&mut queue, &flow(2, 9), 9, 1);
    for ticket in hog.into_iter().chain([other]) {
        serve(&mut queue, ticket, 1);
    }
}

#[test]
fn costs_of_any_size_are_summed_up() {
    let mut queue = WaitQueue::default();
    let tickets = [1, 2, 3].map(|at| join(&mut queue, &nobody(), at, u64::MAX));
    assert_eq!(queue.total().tokens, u64::MAX);
    queue.leave(tickets[0]).wake();
    queue.leave(tickets[1]).wake();
    assert_eq!(queue.total().tokens, u64::MAX);
    queue.leave(tickets[2]).wake();
    assert_eq!(
        queue.total(),
        Ahead {
            requests: 0,
            tokens: 0
        }
    );
}
