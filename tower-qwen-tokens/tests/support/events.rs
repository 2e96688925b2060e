//! A subscriber of `tracing` that remembers every event.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Fields by name, as they are shown.
pub(crate) type Fields = BTreeMap<&'static str, String>;

/// Level and target, and the fields, of every event.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<(String, Fields)>>>);

struct Gather(Fields);

impl Visit for Gather {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Events {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut fields = Gather(Fields::new());
        event.record(&mut fields);
        let metadata = event.metadata();
        let head = format!("{} {}", metadata.level(), metadata.target());
        self.0.lock().expect("lock").push((head, fields.0));
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

impl Events {
    pub(crate) fn take(&self) -> Vec<(String, Fields)> {
        std::mem::take(&mut *self.0.lock().expect("lock"))
    }
}
