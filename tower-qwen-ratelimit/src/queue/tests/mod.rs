//! The queue against models of it: first-come, fair, and what holds under both.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Wake, Waker},
};

use proptest::prelude::*;
use tower_qwen_tokens::ledger::Tenant;

use super::*;
use crate::units::Nanos;

mod fair;
mod fifo;
mod priority;

const DISCIPLINES: [Discipline; 2] = [Discipline::Fifo, Discipline::Fair];

#[derive(Debug, Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn of(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn flow(tenant: u32, weight: u32) -> FlowKey {
    FlowKey {
        tenant: Some(Tenant::new(tenant.to_string())),
        weight: Weight::new(weight.try_into().unwrap()),
    }
}

fn join(queue: &mut WaitQueue, flow: &FlowKey, arrived: Nanos, tokens: u64) -> Ticket {
    let position = queue.position(arrived, Priority::Normal, flow);
    let (ticket, wakes) = queue.join(position, flow, tokens, Waker::noop().clone());
    wakes.wake();
    ticket
}

/// Serves the head at its cost, settled at once.
fn serve(queue: &mut WaitQueue, ticket: Ticket, cost: u64) {
    assert!(queue.is_head(ticket));
    let (served, wakes) = queue.admit(ticket, cost);
    wakes.wake();
    queue.settle(served, cost).wake();
}

/// A waiter as the model knows it.
#[derive(Debug, Clone, Copy)]
struct Known {
    flow: u32,
    arrived: Nanos,
    tokens: u64,
    ticket: Ticket,
}

fn head(queue: &WaitQueue, waiting: &[Known]) -> Option<usize> {
    let mut heads = (0..waiting.len()).filter(|&at| queue.is_head(waiting[at].ticket));
    let head = heads.next();
    assert_eq!(heads.next(), None, "one head");
    head
}

#[test]
fn who_is_displaced_learns_it() {
    for discipline in DISCIPLINES {
        let mut queue = WaitQueue::new(discipline, DEFAULT_AGEING);
        let key = FlowKey::default();
        let woken = Arc::new(Count::default());
        let position = queue.position(10, Priority::Normal, &key);
        let (first, wakes) = queue.join(position, &key, 1, woken.clone().into());
        wakes.wake();
        assert_eq!(woken.of(), 0, "a newcomer that is the head decides anyway");
        let earlier = join(&mut queue, &key, 5, 1);
        assert!(queue.is_head(earlier) && !queue.is_head(first));
        assert_eq!(woken.of(), 1);
        assert!(queue.set_waker(first, &woken.clone().into()).is_none());
        queue.leave(earlier).wake();
        assert!(queue.is_head(first));
        assert_eq!(woken.of(), 2);
        queue.wake_head().wake();
        assert_eq!(woken.of(), 2, "woken once until it waits again");
    }
}

#[test]
fn a_waker_is_stored_once() {
    let mut queue = WaitQueue::default();
    let (one, other) = (Arc::new(Count::default()), Arc::new(Count::default()));
    let ticket = join(&mut queue, &FlowKey::default(), 1, 1);
    assert!(queue.set_waker(ticket, &one.clone().into()).is_some());
    assert!(queue.set_waker(ticket, &one.clone().into()).is_none());
    let replaced = queue.set_waker(ticket, &other.clone().into());
    assert!(replaced.is_some_and(|waker| waker.will_wake(&one.into())));
    queue.wake_head().wake();
    assert_eq!(other.of(), 1);
}

proptest! {
    /// Whatever comes and goes, there is one head as long as anybody waits; it is the first of its
    /// flow; and its flow's order is that of the arrivals.
    #[test]
    fn somebody_is_next_and_flows_keep_their_order(
        fair: bool,
        steps in prop::collection::vec((0..6u32, 0..40u64, 0..2_000u64, 0..5usize, any::<usize>()), 1..200),
    ) {
        let discipline = if fair { Discipline::Fair } else { Discipline::Fifo };
        let mut queue = WaitQueue::new(discipline, DEFAULT_AGEING);
        let mut waiting: Vec<Known> = Vec::new();
        let mut under_way = Vec::new();
        for (of, arrived, tokens, action, which) in steps {
            match action {
                0 if !waiting.is_empty() => {
                    let gone = waiting.remove(which % waiting.len());
                    queue.leave(gone.ticket).wake();
                }
                1 | 2 if !waiting.is_empty() => {
                    let gone = waiting.remove(head(&queue, &waiting).unwrap());
                    let (served, wakes) = queue.admit(gone.ticket, gone.tokens);
                    wakes.wake();
                    under_way.push(served);
                }
                3 if !under_way.is_empty() => {
                    let served = under_way.swap_remove(which % under_way.len());
                    queue.settle(served, tokens).wake();
                }
                _ => {
                    let key = flow(of, of % 3 + 1);
                    let position = queue.position(arrived, Priority::Normal, &key);
                    let goes_before = waiting.iter().filter(|other| {
                        other.arrived <= arrived && (!fair || other.flow == of)
                    });
                    let (requests, sum) = goes_before.fold((0, 0), |(n, sum), other| (n + 1, sum + other.tokens));
                    let ahead = queue.ahead(position, &key);
                    prop_assert!(ahead.requests >= requests && ahead.tokens >= sum);
                    prop_assert!(fair || (ahead.requests, ahead.tokens) == (requests, sum));
                    let (ticket, wakes) = queue.join(position, &key, tokens, Waker::noop().clone());
                    wakes.wake();
                    prop_assert_eq!(queue.is_head(ticket), position.is_first());
                    let at = waiting.partition_point(|other| other.arrived <= arrived);
                    waiting.insert(at, Known { flow: of, arrived, tokens, ticket });
                }
            }
            prop_assert_eq!(queue.len(), waiting.len());
            prop_assert_eq!(queue.total().tokens, waiting.iter().map(|known| known.tokens).sum::<u64>());
            let head = head(&queue, &waiting);
            prop_assert_eq!(head.is_some(), !waiting.is_empty());
            if let Some(head) = head {
                let of = waiting[head].flow;
                let first = waiting.iter().position(|known| !fair || known.flow == of);
                prop_assert_eq!(Some(head), first);
            }
        }
    }
}
