/// The capacity that an empty slab retains: a burst of this size allocates once, a flood does not
/// hold memory for ever.
const RETAINED: usize = 1_024;

/// Values by their index. The slot of one that leaves is used again.
#[derive(Debug, Default)]
pub(super) struct Slab<T> {
    /// With the slots that are free.
    pub(super) slots: Vec<T>,
    free: Vec<usize>,
}

impl<T> Slab<T> {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(super) fn insert(&mut self, value: T) -> usize {
        match self.free.pop() {
            Some(index) => {
                self.slots[index] = value;
                index
            }
            None => {
                self.slots.push(value);
                self.slots.len() - 1
            }
        }
    }

    /// Frees a slot, whose value is dropped when the slot is used again.
    pub(super) fn free(&mut self, index: usize) {
        self.free.push(index);
        // Only when empty: the index of a value must not change.
        if self.len() == 0 {
            self.slots.clear();
            self.slots.shrink_to(RETAINED);
            self.free.clear();
            self.free.shrink_to(RETAINED);
        }
    }

    pub(super) fn at(&self, index: usize) -> &T {
        &self.slots[index]
    }

    pub(super) fn at_mut(&mut self, index: usize) -> &mut T {
        &mut self.slots[index]
    }
}
