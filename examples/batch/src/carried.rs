//! What a call brings along that is not sent: its line of the output has it too.

use serde::{Serialize, Serializer, ser::SerializeMap};
use serde_json::value::RawValue;

/// Fields of an output line that are not for the caller to fill.
const RESERVED: [&str; 5] = ["id", "custom_id", "provider", "response", "error"];

/// Fields of an input line that the program has no use for, such as `metadata`, in their order.
#[derive(Debug, Clone, Default)]
pub struct Carried(Vec<(String, Box<RawValue>)>);

impl Carried {
    /// Adds a field. A later field of the same name takes the place of the earlier one, as in most JSON readers.
    ///
    /// A name that the output needs for itself gets `input_` in front: a column `id` comes out as `input_id`.
    pub fn push(&mut self, name: &str, value: Box<RawValue>) {
        let mut name = name.to_owned();
        while RESERVED.contains(&name.as_str()) {
            name.insert_str(0, "input_");
        }
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some((_, before)) => *before = value,
            None => self.0.push((name, value)),
        }
    }

    /// The fields in their order.
    pub(crate) fn into_fields(self) -> Vec<(String, Box<RawValue>)> {
        self.0
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for Carried {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_the_output_needs_are_prefixed_and_none_stands_twice()
    -> Result<(), serde_json::Error> {
        let mut carried = Carried::default();
        assert!(carried.is_empty());
        for (name, value) in [
            ("b", "1.50"),
            ("id", "7"),
            ("provider", "\"mine\""),
            ("metadata", r#"{"z":1,"a":[]}"#),
            ("b", "2"),
        ] {
            carried.push(name, RawValue::from_string(value.to_owned())?);
        }
        assert_eq!(
            serde_json::to_string(&carried)?,
            r#"{"b":2,"input_id":7,"input_provider":"mine","metadata":{"z":1,"a":[]}}"#
        );
        Ok(())
    }
}
