//! What the readers of JSON have in common: they take what they know out of a document and pass
//! over the rest, whatever kind of value is found where.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// Reads one value. A reader says what it makes of the kinds of values that it knows; the others
/// become [`other`](Self::other).
pub(crate) trait JsonReader<'de>: Sized {
    /// What is made of a value.
    type Output;

    /// A value of a kind that does not matter here.
    fn other(self) -> Self::Output;

    fn text(self, _: &str) -> Self::Output {
        self.other()
    }

    fn number(self, _: JsonNumber) -> Self::Output {
        self.other()
    }

    fn boolean(self, _: bool) -> Self::Output {
        self.other()
    }

    fn null(self) -> Self::Output {
        self.other()
    }

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Output, A::Error> {
        while members.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(self.other())
    }

    fn list<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Self::Output, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(self.other())
    }
}

/// A number as it is written: whole from zero up, whole below zero, or with a fraction or an
/// exponent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum JsonNumber {
    Natural(u64),
    Negative(i64),
    Decimal(
        // Read by those who need the figure, all of them behind features.
        #[cfg_attr(not(any(feature = "http", feature = "tokenizer")), allow(dead_code))] f64,
    ),
}

/// Makes a reader known to serde.
pub(crate) struct Read<R>(pub(crate) R);

/// Reads the name of a member by this function, without a copy of the name.
struct ReadName<F>(F);

/// The next member's name, as `read` understands it; `None` after the last member.
pub(crate) fn next_name<'de, A: MapAccess<'de>, T>(
    members: &mut A,
    read: impl FnOnce(&str) -> T,
) -> Result<Option<T>, A::Error> {
    members.next_key_seed(ReadName(read))
}

impl<'de, R: JsonReader<'de>> DeserializeSeed<'de> for Read<R> {
    type Value = R::Output;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<R::Output, D::Error> {
        value.deserialize_any(self)
    }
}

impl<'de, R: JsonReader<'de>> Visitor<'de> for Read<R> {
    type Value = R::Output;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, members: A) -> Result<R::Output, A::Error> {
        self.0.object(members)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, elements: A) -> Result<R::Output, A::Error> {
        self.0.list(elements)
    }

    fn visit_str<E>(self, text: &str) -> Result<R::Output, E> {
        Ok(self.0.text(text))
    }

    fn visit_u64<E>(self, number: u64) -> Result<R::Output, E> {
        Ok(self.0.number(JsonNumber::Natural(number)))
    }

    fn visit_i64<E>(self, number: i64) -> Result<R::Output, E> {
        Ok(self.0.number(JsonNumber::Negative(number)))
    }

    fn visit_f64<E>(self, number: f64) -> Result<R::Output, E> {
        Ok(self.0.number(JsonNumber::Decimal(number)))
    }

    fn visit_bool<E>(self, flag: bool) -> Result<R::Output, E> {
        Ok(self.0.boolean(flag))
    }

    fn visit_unit<E>(self) -> Result<R::Output, E> {
        Ok(self.0.null())
    }
}

impl<'de, F: FnOnce(&str) -> T, T> DeserializeSeed<'de> for ReadName<F> {
    type Value = T;

    fn deserialize<D: Deserializer<'de>>(self, name: D) -> Result<T, D::Error> {
        name.deserialize_identifier(self)
    }
}

impl<F: FnOnce(&str) -> T, T> Visitor<'_> for ReadName<F> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<T, E> {
        Ok((self.0)(name))
    }
}
