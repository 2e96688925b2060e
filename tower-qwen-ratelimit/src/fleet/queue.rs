use std::collections::VecDeque;

use super::{CallId, Op};

/// Operations that wait for the driver, in their order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    ops: VecDeque<Op>,
    /// Bookings among them: one for each account at most.
    bookings: usize,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.ops.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ops.is_empty()
    }

    pub(super) fn has_urgent(&self) -> bool {
        self.ops.iter().any(Op::is_urgent)
    }

    pub(super) fn push(&mut self, op: Op) {
        self.bookings += usize::from(is_booking(&op));
        self.ops.push_back(op);
    }

    pub(super) fn put_back(&mut self, ops: Vec<Op>) {
        for op in ops.into_iter().rev() {
            self.bookings += usize::from(is_booking(&op));
            self.ops.push_front(op);
        }
    }

    /// Takes so many at most.
    pub(super) fn take(&mut self, most: usize) -> Vec<Op> {
        let taken: Vec<Op> = self.ops.drain(..self.ops.len().min(most)).collect();
        self.bookings -= taken.iter().filter(|op| is_booking(op)).count();
        taken
    }

    /// Takes the booking out that this operation gives back, if it is still here: neither is to be told.
    pub(super) fn withdraw(&mut self, op: &Op) -> Option<Op> {
        let given_back = given_back(op).filter(|_| self.bookings > 0)?;
        let is_it = |op: &Op| matches!(op, Op::Book { id, .. } if *id == given_back);
        let at = self.ops.iter().rposition(is_it)?;
        self.bookings -= 1;
        self.ops.remove(at)
    }

    /// Takes the questions out: nobody answers them now.
    pub(super) fn take_questions(&mut self) -> VecDeque<Op> {
        let (questions, ops) = std::mem::take(&mut self.ops)
            .into_iter()
            .partition(is_question);
        self.ops = ops;
        questions
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
