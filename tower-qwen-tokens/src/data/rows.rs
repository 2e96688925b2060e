use std::collections::HashMap;

use super::{Origin, Region, model_id::canonical};

/// Values by model, each for one region or for all. The later replaces the earlier.
#[derive(Debug, Clone)]
pub(super) struct Rows<V> {
    models: HashMap<String, Regional<V>>,
    /// Ids that were written with a `*` at the end, without it, the longest first.
    families: Vec<(String, Regional<V>)>,
}

/// A value and where it is from.
#[derive(Debug, Clone)]
pub(super) struct Sourced<V> {
    pub(super) value: V,
    pub(super) origin: Option<Origin>,
}

/// By what a row was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RowMatch {
    /// The model's own id.
    Id,
    /// The id of the mainline model, for `-latest` or a dated snapshot that has no row of its own.
    Mainline,
    /// The beginning of the id: a row that is written with a `*`.
    Family,
}

/// What is known of one model: at most one value for all regions, which comes first, and one for each.
type Regional<V> = Vec<(Option<Region>, Sourced<V>)>;

impl<V> Rows<V> {
    pub(super) fn new() -> Self {
        Self {
            models: HashMap::new(),
            families: Vec::new(),
        }
    }

    pub(super) fn insert(
        &mut self,
        model: String,
        region: Option<Region>,
        value: V,
        origin: Option<Origin>,
    ) {
        put(self.regional(model), region, Sourced { value, origin });
    }

    /// Takes all rows of another, as if they were inserted one by one.
    pub(super) fn merge(&mut self, other: Self) {
        let families = other
            .families
            .into_iter()
            .map(|(start, rows)| (start + "*", rows));
        for (model, rows) in other.models.into_iter().chain(families) {
            let own = self.regional(model);
            for (region, value) in rows {
                put(own, region, value);
            }
        }
    }

    pub(super) fn lists(&self, model: &str) -> bool {
        self.models.contains_key(model)
    }

    /// The row of a model: by its exact id, then by the mainline's, then by both as the provider writes them, then by its
    /// family.
    pub(super) fn find(
        &self,
        model: &str,
        region: Region,
        stable_id: fn(&str) -> Option<&str>,
    ) -> Option<(&Sourced<V>, RowMatch)> {
        let exact = |id: &str| of(self.models.get(id)?, region);
        let of_id = |id: &str| {
            let own = exact(id).map(|row| (row, RowMatch::Id));
            own.or_else(|| Some((stable_id(id).and_then(exact)?, RowMatch::Mainline)))
        };
        // From the most to the least specific: a family must not hide a row for the very model.
        of_id(model).or_else(|| {
            let id = canonical(model);
            let family = |id: &str| {
                let mut fitting = self
                    .families
                    .iter()
                    .filter(|(start, _)| id.starts_with(start));
                Some((
                    fitting.find_map(|(_, rows)| of(rows, region))?,
                    RowMatch::Family,
                ))
            };
            let written_otherwise = (id != model).then(|| of_id(&id)).flatten();
            written_otherwise
                .or_else(|| family(model))
                .or_else(|| family(&id))
        })
    }

    fn regional(&mut self, model: String) -> &mut Regional<V> {
        let Some(start) = model.strip_suffix('*') else {
            return self.models.entry(model).or_default();
        };
        let at = match self.families.iter().position(|(known, _)| known == start) {
            Some(at) => at,
            None => {
                let at = self
                    .families
                    // Sorted by length, longest first: the first family that fits is the closest.
                    .partition_point(|(known, _)| known.len() >= start.len());
                self.families.insert(at, (start.to_owned(), Vec::new()));
                at
            }
        };
        &mut self.families[at].1
    }
}

fn put<V>(rows: &mut Regional<V>, region: Option<Region>, value: Sourced<V>) {
    // A row for all regions is later than those of single ones, and holds for them too.
    rows.retain(|(known, _)| region.is_some() && *known != region);
    rows.push((region, value));
}

fn of<V>(rows: &Regional<V>, region: Region) -> Option<&Sourced<V>> {
    let find = |wanted| rows.iter().find(|(known, _)| *known == wanted);
    find(Some(region))
        .or_else(|| find(None))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::without_latest_or_date;

    const HERE: Region = Region::International;
    const THERE: Region = Region::Beijing;

    fn rows(rows: &[(&str, Option<Region>, u32)]) -> Rows<u32> {
        let mut all = Rows::new();
        for &(model, region, value) in rows {
            all.insert(model.to_owned(), region, value, None);
        }
        all
    }

    fn find(rows: &Rows<u32>, model: &str, region: Region) -> Option<u32> {
        rows.find(model, region, without_latest_or_date)
            .map(|(row, _)| row.value)
    }

    #[test]
    fn how_a_row_was_found_is_marked() {
        let rows = rows(&[
            ("qwen-plus", None, 1),
            ("qwen3-*", None, 2),
            ("or/qwen-plus", None, 3),
        ]);
        for (model, expected) in [
            ("qwen-plus", Some((1, RowMatch::Id))),
            ("or/qwen-plus", Some((3, RowMatch::Id))),
            ("or/qwen-plus-latest", Some((3, RowMatch::Mainline))),
            ("Qwen/Qwen-Plus:thinking", Some((1, RowMatch::Id))),
            ("qwen-plus-2025-07-28", Some((1, RowMatch::Mainline))),
            ("qwen/qwen-plus-2025-07-28", Some((1, RowMatch::Mainline))),
            ("Qwen3-32B", Some((2, RowMatch::Family))),
            ("qwen-plus:free", None),
        ] {
            let found = rows.find(model, HERE, without_latest_or_date);
            assert_eq!(found.map(|(row, by)| (row.value, by)), expected, "{model}");
        }
    }

    #[test]
    fn a_row_of_the_region_goes_before_one_for_all() {
        let rows = rows(&[("m", None, 1), ("m", Some(THERE), 2)]);
        assert_eq!(find(&rows, "m", HERE), Some(1));
        assert_eq!(find(&rows, "m", THERE), Some(2));
        assert_eq!(find(&rows, "n", HERE), None);
    }

    #[test]
    fn the_later_replaces_the_earlier() {
        let earlier = rows(&[("m", Some(THERE), 1), ("m", None, 2)]);
        assert_eq!(find(&earlier, "m", THERE), Some(2));
        let mut merged = rows(&[("m", Some(HERE), 1), ("m", Some(THERE), 2), ("a*", None, 5)]);
        merged.merge(rows(&[("m", Some(THERE), 3), ("a*", None, 6)]));
        assert_eq!(find(&merged, "m", HERE), Some(1));
        assert_eq!(find(&merged, "m", THERE), Some(3));
        assert_eq!(find(&merged, "ab", HERE), Some(6));
        merged.merge(rows(&[("m", None, 4), ("m", Some(HERE), 7)]));
        assert_eq!(find(&merged, "m", THERE), Some(4));
        assert_eq!(find(&merged, "m", HERE), Some(7));
    }

    #[test]
    fn the_closest_family_counts_and_comes_last() {
        let rows = rows(&[
            ("q*", None, 1),
            ("qwen2-*", None, 2),
            ("qwen*", Some(THERE), 3),
            ("qwen2-7b", None, 4),
        ]);
        assert_eq!(find(&rows, "qwen2-7b", HERE), Some(4));
        assert_eq!(find(&rows, "qwen2-7b-0728", HERE), Some(4));
        assert_eq!(find(&rows, "qwen2-72b", HERE), Some(2));
        assert_eq!(find(&rows, "qwen3", THERE), Some(3));
        assert_eq!(find(&rows, "qwen3", HERE), Some(1));
        assert_eq!(find(&rows, "qwen2", HERE), Some(1));
        assert_eq!(find(&rows, "", HERE), None);
    }
}
