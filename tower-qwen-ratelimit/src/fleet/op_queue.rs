use std::collections::VecDeque;

use super::Op;

/// Operations that wait for the driver, in their order, and how many of all so far are not done.
///
/// Each belongs to an epoch. A flush ends the epoch, and waits until all operations of it and of
/// those before are done.
#[derive(Debug)]
pub(super) struct OpQueue {
    ops: VecDeque<(FlushEpoch, Op)>,
    /// Bookings among them: one for each account at most.
    bookings: usize,
    /// How many operations of each epoch are not done, from `first` to the present one.
    undone: VecDeque<usize>,
    first: FlushEpoch,
}

/// Counts flushes; increases.
pub(crate) type FlushEpoch = u64;

/// Operations of one epoch, for the driver.
#[derive(Debug, Default)]
pub(crate) struct OpBatch {
    pub(crate) epoch: FlushEpoch,
    pub(crate) ops: Vec<Op>,
}

impl Default for OpQueue {
    fn default() -> Self {
        Self {
            ops: VecDeque::new(),
            bookings: 0,
            undone: VecDeque::from([0]),
            first: 1,
        }
    }
}

impl OpQueue {
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
        let epoch = self.first + self.undone.len() as u64 - 1;
        if let Some(undone) = self.undone.back_mut() {
            *undone += 1;
        }
        self.bookings += usize::from(op.is_booking());
        self.ops.push_back((epoch, op));
    }

    /// Puts operations back in front that were taken and are not done.
    pub(super) fn return_batch(&mut self, taken: OpBatch) {
        for op in taken.ops.into_iter().rev() {
            self.bookings += usize::from(op.is_booking());
            self.ops.push_front((taken.epoch, op));
        }
    }

    /// Takes so many at most.
    pub(super) fn take(&mut self, most: usize) -> OpBatch {
        let epoch = self.ops.front().map_or(0, |(epoch, _)| *epoch);
        let of_era = self.ops.iter().take_while(|(of, _)| *of == epoch);
        let count = of_era.take(most).count();
        let ops: Vec<Op> = self.ops.drain(..count).map(|(_, op)| op).collect();
        self.bookings -= ops.iter().filter(|op| op.is_booking()).count();
        OpBatch { epoch, ops }
    }

    /// Takes the booking out that this operation gives back, if it still waits: neither has to be
    /// told.
    pub(super) fn withdraw(&mut self, op: &Op) -> Option<OpBatch> {
        // Bookings are few: a search for one that is not there is spared.
        let given_back = op.given_back().filter(|_| self.bookings > 0)?;
        let is_it =
            |(_, op): &(FlushEpoch, Op)| matches!(op, Op::Book { id, .. } if *id == given_back);
        let at = self.ops.iter().rposition(is_it)?;
        let (epoch, op) = self.ops.remove(at)?;
        self.bookings -= 1;
        Some(OpBatch {
            epoch,
            ops: vec![op],
        })
    }

    /// Takes the queries out, done: the store does not answer them now.
    pub(super) fn take_queries(&mut self) -> Vec<Op> {
        let (queries, ops) = std::mem::take(&mut self.ops)
            .into_iter()
            .partition(|(_, op)| op.is_query());
        self.ops = ops;
        let queries: VecDeque<(FlushEpoch, Op)> = queries;
        let done = queries.into_iter().map(|(epoch, op)| {
            self.done(epoch, 1);
            op
        });
        done.collect()
    }

    /// So many operations of an epoch are done.
    pub(super) fn done(&mut self, epoch: FlushEpoch, count: usize) {
        let at = usize::try_from(epoch.saturating_sub(self.first)).unwrap_or(usize::MAX);
        if let Some(undone) = self.undone.get_mut(at) {
            *undone = undone.saturating_sub(count);
        }
        while self.undone.len() > 1 && self.undone[0] == 0 {
            self.undone.pop_front();
            self.first += 1;
        }
    }

    /// Ends the present epoch, if it has operations. Returns the latest epoch that a flush has to
    /// wait for.
    pub(super) fn end_epoch(&mut self) -> FlushEpoch {
        if self.undone.back().is_some_and(|undone| *undone > 0) {
            self.undone.push_back(0);
        }
        self.first + self.undone.len() as u64 - 2
    }

    pub(super) fn is_done(&self, epoch: FlushEpoch) -> bool {
        self.first > epoch
    }
}
