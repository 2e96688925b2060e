use std::{
    collections::BTreeSet,
    hash::{BuildHasher, RandomState},
};

use hashbrown::HashTable;

use super::{
    Priority,
    counter::Counter,
    fifo::{Fifo, Gap},
    flow::{Flow, FlowKey, Served},
    slab::Slab,
};

/// How many flows without waiters are remembered for being ahead of the others.
// Bounds the memory of a stream of new tenants; the lowest counters, which matter least, are
// forgotten first.
const REMEMBERED: usize = 1_024;
/// How many flows a prediction looks at, so that a newcomer costs the same however many tenants
/// wait.
const SAMPLED_FLOWS: usize = 64;

/// Flows in the order of the tokens they were served, each for its weight: the virtual token
/// counter.
///
/// The head is the first waiter of the flow with the lowest counter. The counter of a flow that
/// begins to wait is lifted to a level among those that wait; that level rises with every admission
/// by what each unit of weight gets of it, so that a flow is passed by newcomers only until they
/// start where it is.
#[derive(Debug, Default)]
pub(super) struct Fair {
    flows: Slab<Flow>,
    keys: HashTable<usize>,
    hasher: RandomState,
    waiting: BTreeSet<Rank>,
    /// Flows without waiters and calls under way whose counter is above the level. All others are
    /// forgotten: when they come back they start at the level anyway.
    idle: BTreeSet<(Counter, usize)>,
    level: Counter,
    /// Weights of the flows that wait.
    weights: u64,
    joined: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    counter: Counter,
    since: u64,
    flow: usize,
}

/// Where the flow of a newcomer is, or would be, among the others.
#[derive(Debug, Clone, Copy)]
pub(super) struct FlowPosition {
    flow: Option<usize>,
    counter: Counter,
    /// `None` where no call of the flow waits yet.
    since: Option<u64>,
}

impl Fair {
    /// Where a call of this flow would join.
    pub(super) fn position(&self, key: &FlowKey) -> FlowPosition {
        let flow = self.keys.find(self.hasher.hash_one(key), |&at| {
            self.flows.at(at).key == *key
        });
        match flow.map(|&at| (at, self.flows.at(at))) {
            Some((at, flow)) => FlowPosition {
                flow: Some(at),
                counter: if flow.ranked {
                    flow.counter
                } else {
                    flow.counter.max(self.start())
                },
                since: flow.ranked.then_some(flow.since),
            },
            None => FlowPosition {
                flow: None,
                counter: self.start(),
                since: None,
            },
        }
    }

    /// Where a flow starts that begins to wait: at the level, but within the range of those that
    /// wait.
    fn start(&self) -> Counter {
        match (self.waiting.first(), self.waiting.last()) {
            (Some(least), Some(most)) => self.level.min(most.counter).max(least.counter),
            _ => self.level,
        }
    }

    /// Whether the first call of that flow would be the head.
    pub(super) fn is_first(&self, position: FlowPosition) -> bool {
        self.waiting
            .first()
            .is_none_or(|rank| Some(rank.flow) == position.flow)
    }

    /// The list of the flow that goes next.
    pub(super) fn next(&self) -> Option<&Fifo> {
        Some(&self.flows.at(self.waiting.first()?.flow).fifo)
    }

    pub(super) fn fifo(&self, position: FlowPosition) -> Option<&Fifo> {
        Some(&self.flows.at(position.flow?).fifo)
    }

    pub(super) fn fifo_mut(&mut self, flow: usize) -> &mut Fifo {
        &mut self.flows.at_mut(flow).fifo
    }

    /// The flow at this position, created where there is none.
    pub(super) fn open(&mut self, position: FlowPosition, key: &FlowKey) -> usize {
        let index = match position.flow {
            Some(index) => index,
            None => self.insert(key),
        };
        let flow = self.flows.at_mut(index);
        if !flow.ranked {
            self.idle.remove(&(flow.counter, index));
            flow.lift(position.counter);
        }
        index
    }

    /// Ranks the flow, in whose list a call waits now.
    pub(super) fn joined(&mut self, index: usize) {
        let flow = self.flows.at_mut(index);
        if !flow.ranked {
            (flow.ranked, flow.since) = (true, self.joined);
            self.joined += 1;
            self.weights += flow.weight();
            self.waiting.insert(rank(index, flow));
        }
    }

    /// Ranks the flow anew after a call has left its list.
    pub(super) fn left(&mut self, index: usize) {
        let flow = self.flows.at_mut(index);
        if flow.ranked && flow.fifo.is_empty() {
            flow.ranked = false;
            self.weights -= flow.weight();
            self.waiting.remove(&rank(index, flow));
        }
        self.retire(index);
    }

    /// Charges a call of the flow, which has left the list if it waited there.
    pub(super) fn serve(&mut self, index: usize, cost: u64) -> Served {
        let flow = self.flows.at_mut(index);
        let weight = flow.weight();
        let was_ranked = flow.ranked;
        if was_ranked {
            self.waiting.remove(&rank(index, flow));
        }
        // A flow that does not wait is not among `weights`, but takes part in this admission.
        let weights = if was_ranked {
            self.weights
        } else {
            self.weights.saturating_add(weight)
        };
        let served = Served {
            flow: u32::try_from(index).ok(),
            priority: Priority::default(),
            cost,
            lifts: flow.lifts,
        };
        flow.charge(cost);
        let counter = flow.counter;
        if was_ranked {
            if flow.fifo.is_empty() {
                flow.ranked = false;
                self.weights -= weight;
            } else {
                self.waiting.insert(rank(index, flow));
            }
        }
        let (mut least, mut most) = (counter, counter);
        if let (Some(first), Some(last)) = (self.waiting.first(), self.waiting.last()) {
            (least, most) = (least.min(first.counter), most.max(last.counter));
        }
        self.level = self
            .level
            .plus(Counter::of(cost, weights))
            .min(most)
            .max(least);
        self.forget();
        if counter.is_high() {
            self.rebase();
        }
        served
    }

    /// Corrects what a call was charged.
    pub(super) fn settle(&mut self, served: Served, actual: u64) {
        let Some(index) = served.index() else {
            return;
        };
        let flow = self.flows.at_mut(index);
        // The set is ordered by the counter, so it must not change inside.
        if flow.ranked {
            self.waiting.remove(&rank(index, flow));
        }
        flow.correct(served, actual);
        let counter = flow.counter;
        if flow.ranked {
            self.waiting.insert(rank(index, flow));
        }
        self.retire(index);
        if counter.is_high() {
            self.rebase();
        }
    }

    /// Calls and tokens of other flows that go before a call with `own` ahead of it in its flow,
    /// nobody coming or leaving.
    ///
    /// Exact for up to [`SAMPLED_FLOWS`] flows whose calls are of one size each, else within one
    /// call per flow; more flows are classified by that many of them.
    pub(super) fn others_ahead(
        &self,
        position: FlowPosition,
        key: &FlowKey,
        own: &Gap,
    ) -> (u64, u128) {
        let tokens = u64::try_from(own.tokens).unwrap_or(u64::MAX);
        let weight = u64::from(key.weight.get().get());
        let due = position.counter.plus(Counter::of(tokens, weight));
        let step = self.flows.slots.len().div_ceil(SAMPLED_FLOWS).max(1);
        let (mut sampled, mut requests, mut tokens) = (0u128, 0u128, 0u128);
        for (index, flow) in self.flows.slots.iter().enumerate().step_by(step) {
            sampled += 1;
            if Some(index) != position.flow {
                let before = flow.before(due, position.since);
                requests += u128::from(before.0);
                tokens += before.1;
            }
        }
        let flows = self.flows.slots.len() as u128;
        let of_all = |seen: u128| seen.saturating_mul(flows) / sampled.max(1);
        let requests = u64::try_from(of_all(requests)).unwrap_or(u64::MAX);
        (requests, of_all(tokens))
    }

    fn insert(&mut self, key: &FlowKey) -> usize {
        let flow = Flow {
            key: key.clone(),
            ..Flow::default()
        };
        let index = self.flows.insert(flow);
        let (flows, hasher) = (&self.flows, &self.hasher);
        self.keys.insert_unique(hasher.hash_one(key), index, |&at| {
            hasher.hash_one(&flows.at(at).key)
        });
        index
    }

    fn remove(&mut self, index: usize) {
        let flow = std::mem::take(self.flows.at_mut(index));
        let hash = self.hasher.hash_one(&flow.key);
        if let Ok(entry) = self.keys.find_entry(hash, |&at| at == index) {
            entry.remove();
        }
        self.flows.free(index);
    }

    /// Remembers or forgets a flow that has neither waiters nor calls under way.
    fn retire(&mut self, index: usize) {
        let flow = self.flows.at(index);
        if !flow.ranked && flow.in_flight == 0 {
            self.idle.insert((flow.counter, index));
            self.forget();
        }
    }

    fn forget(&mut self) {
        // From the lowest counter on: those at or below the level say nothing that the level does
        // not.
        while let Some(&(counter, index)) = self.idle.first() {
            if counter > self.level && self.idle.len() <= REMEMBERED {
                break;
            }
            self.idle.pop_first();
            self.remove(index);
        }
    }

    /// Lowers all counters alike, so that none of them overflows.
    fn rebase(&mut self) {
        let least = self.waiting.first().map_or(self.level, |rank| rank.counter);
        let least = least.min(self.level);
        for &index in &self.keys {
            let flow = self.flows.at_mut(index);
            flow.counter = flow.counter.minus(least);
        }
        self.level = self.level.minus(least);
        let lower = |counter: Counter| counter.minus(least);
        self.waiting = self
            .waiting
            .iter()
            .map(|&rank| Rank {
                counter: lower(rank.counter),
                ..rank
            })
            .collect();
        self.idle = self
            .idle
            .iter()
            .map(|&(counter, index)| (lower(counter), index))
            .collect();
    }
}

fn rank(index: usize, flow: &Flow) -> Rank {
    Rank {
        counter: flow.counter,
        since: flow.since,
        flow: index,
    }
}

#[cfg(test)]
mod tests {
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
        assert_eq!(counter, level);
        fair.settle(late, 400);
        assert!(fair.keys.is_empty() || fair.position(&key(1)).counter <= level);
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
}
