use tower_qwen_tokens::ledger::Tenant;

use super::{Priority, Weight, counter::Counter, fifo::Fifo};

/// Which calls share one list and one counter.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct FlowKey {
    pub(crate) tenant: Option<Tenant>,
    pub(crate) weight: Weight,
}

/// What an admitted call was charged in its flow, to be corrected when its true cost is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// `None` where nothing is counted. Short, as it is in every charge.
    pub(super) flow: Option<u32>,
    pub(super) priority: Priority,
    pub(super) cost: u64,
    pub(super) lifts: u64,
}

impl Served {
    /// The flow's index in its class.
    pub(super) fn index(self) -> Option<usize> {
        usize::try_from(self.flow?).ok()
    }
}

/// The calls of one tenant at one weight.
#[derive(Debug, Default)]
pub(super) struct Flow {
    pub(super) key: FlowKey,
    pub(super) fifo: Fifo,
    /// What it was served, calls under way by what they may cost.
    pub(super) counter: Counter,
    /// The part of the counter that is not settled.
    pub(super) unsettled: Counter,
    /// Orders flows of equal counters: the one that has waited for longer goes first.
    pub(super) since: u64,
    /// Whether it has a rank among those that wait.
    pub(super) ranked: bool,
    pub(super) in_flight: u64,
    /// How often its counter was lifted to where newcomers start.
    pub(super) lifts: u64,
}

impl Flow {
    pub(super) fn weight(&self) -> u64 {
        u64::from(self.key.weight.get().get())
    }

    /// The counter without calls under way.
    pub(super) fn settled(&self) -> Counter {
        self.counter.minus(self.unsettled)
    }

    /// Lifts the counter, unless it is higher: time without waiting calls is not banked.
    pub(super) fn lift(&mut self, to: Counter) {
        if self.counter < to {
            self.counter = to;
            self.unsettled = Counter::default();
            self.lifts += 1;
        }
    }

    pub(super) fn charge(&mut self, cost: u64) {
        let charged = Counter::of(cost, self.weight());
        self.counter = self.counter.plus(charged);
        self.unsettled = self.unsettled.plus(charged);
        self.in_flight += 1;
    }

    /// What was charged turned out to be `actual`.
    ///
    /// A lift since then has made the charge irrelevant, so nothing of it is given back.
    pub(super) fn correct(&mut self, served: Served, actual: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        let charged = Counter::of(served.cost, self.weight());
        let actual = Counter::of(actual, self.weight());
        let is_covered = served.lifts != self.lifts;
        if !is_covered {
            self.unsettled = self.unsettled.minus(charged);
        }
        // Too little always counts; too much only if no lift has covered it since.
        if actual > charged {
            self.counter = self.counter.plus(actual.minus(charged));
        } else if !is_covered {
            self.counter = self.counter.minus(charged.minus(actual));
        }
    }

    /// Calls and tokens that go before a call of another flow whose due comes at `due`, its calls
    /// taken to be of the same size each. `since` says how long that flow has waited, nothing if it
    /// is new.
    pub(super) fn before(&self, due: Counter, since: Option<u64>) -> (u64, u128) {
        let (len, tokens) = (self.fifo.len(), self.fifo.tokens());
        if len == 0 || self.counter > due {
            return (0, 0);
        }
        let goes_first = since.is_none_or(|since| self.since < since);
        let size = u64::try_from(tokens / u128::from(len))
            .unwrap_or(u64::MAX)
            .max(1);
        let (room, part) = due.minus(self.counter).tokens(self.weight());
        let begun = goes_first || part || !room.is_multiple_of(size);
        let calls = (room / size).saturating_add(u64::from(begun));
        if calls < len {
            (calls, u128::from(calls) * u128::from(size))
        } else {
            (len, tokens)
        }
    }
}
