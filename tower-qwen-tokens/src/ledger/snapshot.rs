use std::collections::BTreeMap;

use serde::Serialize;

use crate::{price::Money, shared::OTHER};

use super::{Entry, Totals};

/// Names that get a line of their own. On a server they come from outside, so they must not grow the memory.
// More names than anybody reads, few enough to be cloned in every snapshot.
pub(super) const MAX_NAMES: usize = 1_024;
/// Keys of labels, which the program chooses.
const MAX_KEYS: usize = 64;

/// The sums of a [`Ledger`](super::Ledger) at one moment.
///
/// Every map has at most 1,024 lines (labels: 64 keys, and 1,024 values of each); the rest is summed up under `(other)`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Snapshot {
    /// By model.
    pub models: BTreeMap<String, Totals>,
    /// By tenant; attempts without one are missing here.
    pub tenants: BTreeMap<String, Totals>,
    /// By label: key, then value.
    pub labels: BTreeMap<String, BTreeMap<String, Totals>>,
    /// Over all attempts.
    pub total: Totals,
}

impl Snapshot {
    /// Adds the sums of another snapshot, such as the one taken after this.
    pub fn merge(&mut self, other: &Self) {
        self.total.merge(&other.total);
        merge_lines(&mut self.models, &other.models);
        merge_lines(&mut self.tenants, &other.tenants);
        for (key, values) in &other.labels {
            merge_lines(line(&mut self.labels, key, MAX_KEYS), values);
        }
    }

    /// Adds an attempt, in the line of its model or in that of all others; true where it is the first of a line.
    pub(super) fn add(&mut self, entry: &Entry, cost: Option<Money>, has_line: bool) -> bool {
        self.total.add(entry, cost);
        let models = self.models.len();
        let model = if has_line { &*entry.model } else { OTHER };
        line(&mut self.models, model, MAX_NAMES).add(entry, cost);
        let is_first = self.models.len() > models;
        if let Some(tenant) = &entry.tenant {
            line(&mut self.tenants, tenant.as_str(), MAX_NAMES).add(entry, cost);
        }
        for (key, value) in entry.labels.iter() {
            let values = line(&mut self.labels, key, MAX_KEYS);
            line(values, value, MAX_NAMES).add(entry, cost);
        }
        is_first
    }
}

fn merge_lines(lines: &mut BTreeMap<String, Totals>, other: &BTreeMap<String, Totals>) {
    for (name, totals) in other {
        line(lines, name, MAX_NAMES).merge(totals);
    }
}

/// The line of a name, or the one of all others where there are too many.
fn line<'a, V: Default>(lines: &'a mut BTreeMap<String, V>, name: &str, most: usize) -> &'a mut V {
    let has_room = lines.len() < most || lines.contains_key(name);
    let name = if has_room { name } else { OTHER };
    if !lines.contains_key(name) {
        lines.insert(name.to_owned(), V::default());
    }
    lines.get_mut(name).expect("inserted where it was missing")
}
