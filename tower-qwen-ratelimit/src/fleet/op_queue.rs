use std::collections::VecDeque;

use super::{CallId, Op};

/// Operations that wait for the driver, in their order, and how far those are done with that ever came.
///
/// Each belongs to an era, which ends when somebody wants to know that everything so far is done with.
#[derive(Debug)]
pub(super) struct Queue {
    ops: VecDeque<(Era, Op)>,
    /// Bookings among them: one for each account at most.
    bookings: usize,
    /// How many operations of each era are not done with, from `first` to the present one.
    undone: VecDeque<usize>,
    first: Era,
}

/// A number of its kind; later ones are larger.
pub(crate) type Era = u64;

/// Operations of one era, for the driver.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) era: Era,
    pub(crate) ops: Vec<Op>,
}

impl Default for Queue {
    fn default() -> Self {
        Self {
            ops: VecDeque::new(),
            bookings: 0,
            undone: VecDeque::from([0]),
            first: 1,
        }
    }
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.ops.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    pub(super) fn has_urgent(&self) -> bool {
        self.ops.iter().any(|(_, op)| op.is_urgent())
    }

    pub(super) fn push(&mut self, op: Op) {
        let era = self.first + self.undone.len() as u64 - 1;
        if let Some(undone) = self.undone.back_mut() {
            *undone += 1;
        }
        self.bookings += usize::from(is_booking(&op));
        self.ops.push_back((era, op));
    }

    /// These were taken and are not done with.
    pub(super) fn put_back(&mut self, taken: Taken) {
        for op in taken.ops.into_iter().rev() {
            self.bookings += usize::from(is_booking(&op));
            self.ops.push_front((taken.era, op));
        }
    }

    /// Takes so many at most.
    pub(super) fn take(&mut self, most: usize) -> Taken {
        let era = self.ops.front().map_or(0, |(era, _)| *era);
        let of_era = self.ops.iter().take_while(|(of, _)| *of == era);
        let count = of_era.take(most).count();
        let ops: Vec<Op> = self.ops.drain(..count).map(|(_, op)| op).collect();
        self.bookings -= ops.iter().filter(|op| is_booking(op)).count();
        Taken { era, ops }
    }

    /// Takes the booking out that this operation gives back, if it is still here: neither is to be told.
    pub(super) fn withdraw(&mut self, op: &Op) -> Option<Taken> {
        let given_back = given_back(op).filter(|_| self.bookings > 0)?;
        let is_it = |(_, op): &(Era, Op)| matches!(op, Op::Book { id, .. } if *id == given_back);
        let at = self.ops.iter().rposition(is_it)?;
        let (era, op) = self.ops.remove(at)?;
        self.bookings -= 1;
        Some(Taken { era, ops: vec![op] })
    }

    /// Takes the questions out and is done with them: nobody answers them now.
    pub(super) fn take_questions(&mut self) -> Vec<Op> {
        let (questions, ops) = std::mem::take(&mut self.ops)
            .into_iter()
            .partition(|(_, op)| is_question(op));
        self.ops = ops;
        let questions: VecDeque<(Era, Op)> = questions;
        let done = questions.into_iter().map(|(era, op)| {
            self.done(era, 1);
            op
        });
        done.collect()
    }

    /// So many of an era are done with.
    pub(super) fn done(&mut self, era: Era, count: usize) {
        let at = usize::try_from(era.saturating_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(undone) = self.undone.get_mut(at) {
            *undone = undone.saturating_sub(count);
        }
        while self.undone.len() > 1 && self.undone[0] == 0 {
            self.undone.pop_front();
            self.first += 1;
        }
    }

    /// Ends the present era, if anything is of it; says which one has to be done with, and all before it.
    pub(super) fn end_era(&mut self) -> Era {
        if self.undone.back().is_some_and(|undone| *undone > 0) {
            self.undone.push_back(0);
        }
        self.first + self.undone.len() as u64 - 2
    }

    pub(super) fn is_done(&self, era: Era) -> bool {
        self.first > era
    }
}

impl IntoIterator for Taken {
    type Item = Op;
    type IntoIter = std::vec::IntoIter<Op>;

    fn into_iter(self) -> Self::IntoIter {
        self.ops.into_iter()
    }
}

fn is_booking(op: &Op) -> bool {
    matches!(op, Op::Book { .. })
}

pub(super) fn is_question(op: &Op) -> bool {
    matches!(op, Op::ReadUsage { .. })
}

fn given_back(op: &Op) -> Option<CallId> {
    match op {
        Op::Settle {
            id, counts: false, ..
        } => Some(*id),
        _ => None,
    }
}
