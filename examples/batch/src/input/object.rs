//! A JSON object of which the values stay as they are written.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::{error::Category, value::RawValue};

use super::Reason;

/// The fields of an object, in their order.
pub(crate) struct Object<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'a> Object<'a> {
    pub(crate) fn parse(line: &'a [u8]) -> Result<Self, Reason> {
        if line.first() != Some(&b'{') {
            return Err(match serde_json::from_slice::<IgnoredAny>(line) {
                Ok(_) => Reason::NotAnObject,
                Err(error) => Reason::NotJson(error.column()),
            });
        }
        serde_json::from_slice(line).map_err(|error| match error.classify() {
            Category::Data => Reason::NotAnObject,
            _ => Reason::NotJson(error.column()),
        })
    }
}

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = Object<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object<'de>, A::Error> {
                let mut fields = Vec::with_capacity(8);
                while let Some((Name(name), value)) = map.next_entry()? {
                    fields.push((name, value));
                }
                Ok(Object(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}
