use std::sync::{Arc, Mutex};

use metrics::Recorder;

use crate::{macros::opaque_debug, shared::lock};

/// Handles of metrics that every call updates: to register one takes ten times as long as to update it.
///
/// They live for one second. A recorder with an idle timeout forgets what was not updated for so long, and a handle from before
/// would update what nobody sees. Those of another recorder than the present one are not used either.
pub struct RecorderHandles<T> {
    current: Mutex<Option<Current<T>>>,
}

struct Current<T> {
    /// The address of their recorder.
    recorder: usize,
    second: u64,
    handles: Arc<T>,
}

impl<T: Default> RecorderHandles<T> {
    /// The handles for updates in this second of any clock, empty at its beginning.
    pub fn get(&self, second: u64, recorder: &dyn Recorder) -> Arc<T> {
        let recorder = std::ptr::from_ref(recorder).cast::<()>().addr();
        let mut current = lock(&self.current);
        if let Some(current) = &*current
            && (current.recorder, current.second) == (recorder, second)
        {
            return Arc::clone(&current.handles);
        }
        let handles = Arc::<T>::default();
        let renewed = Current {
            recorder,
            second,
            handles: Arc::clone(&handles),
        };
        let before = current.replace(renewed);
        // The recorder's code, which may take its time, runs without the lock.
        drop(current);
        drop(before);
        handles
    }
}

impl<T> Default for RecorderHandles<T> {
    fn default() -> Self {
        Self {
            current: Mutex::default(),
        }
    }
}

opaque_debug!(RecorderHandles, impl<T> std::fmt::Debug for RecorderHandles<T>);

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use metrics::NoopRecorder;

    use super::RecorderHandles;

    #[test]
    fn handles_live_for_a_second_and_for_one_recorder() {
        let handles: RecorderHandles<OnceLock<u8>> = RecorderHandles::default();
        // In boxes with a field beside them: recorders without fields may share an address.
        let recorders: [Box<(NoopRecorder, u8)>; 2] =
            std::array::from_fn(|_| Box::new((NoopRecorder, 0)));
        let [one, other] = &recorders;
        let first = handles.get(1, &one.0);
        assert!(Arc::ptr_eq(&first, &handles.get(1, &one.0)));
        let second = handles.get(2, &one.0);
        assert!(!Arc::ptr_eq(&first, &second));
        assert!(!Arc::ptr_eq(&second, &handles.get(2, &other.0)));
    }
}
