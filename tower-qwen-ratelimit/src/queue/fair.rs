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
/// begins to wait is lifted to a level among those that wait; that level rises with every call that
/// is settled by what each unit of weight gets of it, so that a flow is passed by newcomers only
/// until they start where it is.
///
/// A newcomer starts among what the others were really served. By what their calls under way may
/// cost it would start as far behind them as those are estimated too high, once they are settled:
/// hundreds of small calls, where a call is estimated at thousands of tokens.
#[derive(Debug, Default)]
pub(super) struct Fair {
    flows: Slab<Flow>,
    keys: HashTable<usize>,
    hasher: RandomState,
    waiting: BTreeSet<Rank>,
    /// The same flows by what they were served without calls under way.
    settled: BTreeSet<(Counter, usize)>,
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
        match (self.settled.first(), self.settled.last()) {
            (Some(least), Some(most)) => self.level.min(most.0).max(least.0),
            _ => self.level,
        }
    }

    /// Whether the first call of that flow would be the head.
    pub(super) fn is_first(&self, position: FlowPosition) -> bool {
        self.waiting.first().is_none_or(|rank| {
            let is_before = position.since.is_none() && position.counter < rank.counter;
            Some(rank.flow) == position.flow || is_before
        })
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
            self.insert_rank(index);
        }
    }

    /// Ranks the flow anew after a call has left its list.
    pub(super) fn left(&mut self, index: usize) {
        let flow = self.flows.at_mut(index);
        if flow.ranked && flow.fifo.is_empty() {
            flow.ranked = false;
            self.weights -= flow.weight();
            self.remove_rank(index);
        }
        self.retire(index);
    }

    /// Charges a call of the flow, which has left the list if it waited there.
    pub(super) fn serve(&mut self, index: usize, cost: u64) -> Served {
        let is_ranked = self.flows.at(index).ranked;
        // The sets are ordered by the counters, so those must not change inside.
        if is_ranked {
            self.remove_rank(index);
        }
        let flow = self.flows.at_mut(index);
        let served = Served {
            flow: u32::try_from(index).ok(),
            priority: Priority::default(),
            cost,
            lifts: flow.lifts,
        };
        flow.charge(cost);
        let is_high = flow.counter.is_high();
        if is_ranked && flow.fifo.is_empty() {
            flow.ranked = false;
            self.weights -= flow.weight();
        } else if is_ranked {
            self.insert_rank(index);
        }
        if is_high {
            self.rebase();
        }
        served
    }

    /// Corrects what a call was charged.
    pub(super) fn settle(&mut self, served: Served, actual: u64) {
        let Some(index) = served.index() else {
            return;
        };
        let is_ranked = self.flows.at(index).ranked;
        if is_ranked {
            self.remove_rank(index);
        }
        let flow = self.flows.at_mut(index);
        flow.correct(served, actual);
        let (settled, is_high) = (flow.settled(), flow.counter.is_high());
        // A flow that does not wait is not among `weights`, but takes part in what was served.
        let weights = if is_ranked {
            self.weights
        } else {
            self.weights.saturating_add(flow.weight())
        };
        if is_ranked {
            self.insert_rank(index);
        }
        // What was estimated too low is paid by its own flow alone.
        let level = self
            .level
            .plus(Counter::of(actual.min(served.cost), weights));
        self.level = match (self.settled.first(), self.settled.last()) {
            (Some(least), Some(most)) => level.min(most.0.max(settled)).max(least.0),
            // Never lower: a call that was under way for long says nothing of where the others are.
            _ => level.min(settled).max(self.level),
        };
        self.retire(index);
        self.forget();
        if is_high {
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

    fn insert_rank(&mut self, index: usize) {
        let flow = self.flows.at(index);
        self.waiting.insert(rank(index, flow));
        self.settled.insert((flow.settled(), index));
    }

    fn remove_rank(&mut self, index: usize) {
        let flow = self.flows.at(index);
        self.waiting.remove(&rank(index, flow));
        self.settled.remove(&(flow.settled(), index));
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
        let least = self.settled.first().map_or(self.level, |&(least, _)| least);
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
        let flows = &self.flows;
        self.settled = self
            .settled
            .iter()
            .map(|&(_, index)| (flows.at(index).settled(), index))
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
mod tests;
