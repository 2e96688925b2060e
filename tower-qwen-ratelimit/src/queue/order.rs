use super::{
    Ahead, Discipline, FlowKey, Priority, Served,
    fair::{Fair, FlowPosition},
    fifo::{AGE, Fifo, Gap, Waiters},
};

/// The waiters of each class in the order of the discipline.
#[derive(Debug)]
pub(super) enum Order {
    Fifo([Fifo; Priority::CLASSES]),
    Fair(Box<[FairClass; Priority::CLASSES]>),
}

/// A class whose flows are served fairly.
#[derive(Debug, Default)]
pub(super) struct FairClass {
    fair: Fair,
    /// All its waiters by arrival, since the flow that is next need not have waited for longest.
    by_age: Fifo<AGE>,
}

impl Order {
    pub(super) fn new(discipline: Discipline) -> Self {
        match discipline {
            Discipline::Fifo => Self::Fifo(Default::default()),
            Discipline::Fair => Self::Fair(Box::default()),
        }
    }

    /// All that waits of a class.
    pub(super) fn total(&self, class: Priority) -> Ahead {
        let (len, tokens) = match self {
            Self::Fifo(classes) => {
                let fifo = &classes[class.index()];
                (fifo.len(), fifo.tokens())
            }
            Self::Fair(classes) => {
                let by_age = &classes[class.index()].by_age;
                (by_age.len(), by_age.tokens())
            }
        };
        Ahead::of(len, tokens)
    }

    /// The waiter of a class that arrived first.
    pub(super) fn oldest(&self, class: Priority) -> Option<usize> {
        match self {
            Self::Fifo(classes) => classes[class.index()].first(),
            Self::Fair(classes) => classes[class.index()].by_age.first(),
        }
    }

    /// The waiter of a class that goes next of it.
    pub(super) fn next(&self, class: Priority) -> Option<usize> {
        match self {
            Self::Fifo(classes) => classes[class.index()].first(),
            Self::Fair(classes) => classes[class.index()].fair.next()?.first(),
        }
    }

    /// Where the flow of a call is in its class; `None` where there are no flows.
    #[inline(always)]
    pub(super) fn flow_position(&self, class: Priority, key: &FlowKey) -> Option<FlowPosition> {
        match self {
            Self::Fifo(_) => None,
            Self::Fair(classes) => Some(classes[class.index()].fair.position(key)),
        }
    }

    /// Where in its list a call would join that arrived at `arrived`, and whether that list is the
    /// next one of its class.
    pub(super) fn gap(
        &self,
        waiters: &Waiters,
        arrived: u64,
        class: Priority,
        position: Option<FlowPosition>,
    ) -> (Gap, bool) {
        match (self, position) {
            (Self::Fair(classes), Some(position)) => {
                let fair = &classes[class.index()].fair;
                let gap = fair
                    .fifo(position)
                    .map_or(Gap::default(), |fifo| fifo.gap(waiters, arrived));
                (gap, fair.is_first(position))
            }
            (Self::Fifo(classes), _) => (classes[class.index()].gap(waiters, arrived), true),
            (Self::Fair(_), None) => (Gap::default(), false),
        }
    }

    /// Requests and tokens of other flows of its class that go before a call with `own` ahead of it in
    /// its flow.
    pub(super) fn others_ahead(
        &self,
        class: Priority,
        position: Option<FlowPosition>,
        key: &FlowKey,
        own: &Gap,
    ) -> (u64, u128) {
        match (self, position) {
            (Self::Fair(classes), Some(position)) => {
                classes[class.index()].fair.others_ahead(position, key, own)
            }
            _ => (0, 0),
        }
    }

    /// The flow at this position, created where there is none; 0 where there are no flows.
    pub(super) fn open(
        &mut self,
        class: Priority,
        position: Option<FlowPosition>,
        key: &FlowKey,
    ) -> usize {
        match (self, position) {
            (Self::Fair(classes), Some(position)) => {
                classes[class.index()].fair.open(position, key)
            }
            _ => 0,
        }
    }

    /// Inserts a waiter where [`Order::gap`] said.
    pub(super) fn insert(&mut self, waiters: &mut Waiters, gap: Gap, index: usize) {
        let waiter = waiters.at(index);
        let (arrived, flow, class) = (waiter.arrived, waiter.flow, waiter.priority.index());
        match self {
            Self::Fifo(classes) => classes[class].insert(waiters, gap, index),
            Self::Fair(classes) => {
                let FairClass { fair, by_age } = &mut classes[class];
                let age = by_age.gap(waiters, arrived);
                by_age.insert(waiters, age, index);
                fair.fifo_mut(flow).insert(waiters, gap, index);
                fair.joined(flow);
            }
        }
    }

    pub(super) fn remove(&mut self, waiters: &mut Waiters, index: usize) {
        let waiter = waiters.at(index);
        let (flow, class) = (waiter.flow, waiter.priority.index());
        match self {
            Self::Fifo(classes) => classes[class].remove(waiters, index),
            Self::Fair(classes) => {
                let FairClass { fair, by_age } = &mut classes[class];
                by_age.remove(waiters, index);
                fair.fifo_mut(flow).remove(waiters, index);
            }
        }
    }

    /// A waiter of this flow has left without having been admitted.
    pub(super) fn left(&mut self, class: Priority, flow: usize) {
        if let Self::Fair(classes) = self {
            classes[class.index()].fair.left(flow);
        }
    }

    /// Charges a call of the flow, which has left the list if it waited there.
    pub(super) fn serve(&mut self, class: Priority, flow: usize, cost: u64) -> Served {
        match self {
            Self::Fifo(_) => Served::default(),
            Self::Fair(classes) => Served {
                priority: class,
                ..classes[class.index()].fair.serve(flow, cost)
            },
        }
    }

    /// Corrects what a call was charged.
    pub(super) fn settle(&mut self, served: Served, actual: u64) {
        if let Self::Fair(classes) = self {
            classes[served.priority.index()].fair.settle(served, actual);
        }
    }
}
