use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks what stays sound whatever happens.
// A panic elsewhere leaves sums and lists one change short at most; to stop working would be worse.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
