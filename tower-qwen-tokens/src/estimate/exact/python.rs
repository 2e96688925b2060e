//! JSON as Python's `json.dumps(.., ensure_ascii=False)` prints it, which is how the templates print tools.

use std::fmt::{self, Write};

use serde::de::{Deserialize, DeserializeSeed, Deserializer, MapAccess, SeqAccess};
use serde_json::Value;

use crate::json_reader::{JsonNumber, JsonReader, Read, next_name};

/// A value, printed.
pub(super) struct Printed(pub(super) String);

/// Prints a value to the end of a text.
struct Print<'a>(&'a mut String);

/// JSON in Python's spelling; what is no JSON stays as it is.
pub(super) fn render(json: &str) -> String {
    serde_json::from_str::<Printed>(json).map_or_else(|_| json.to_owned(), |printed| printed.0)
}

/// Prints an object.
pub(super) fn print_map<'de, A: MapAccess<'de>>(map: A) -> Result<String, A::Error> {
    let mut text = String::new();
    Print(&mut text).object(map)?;
    Ok(text)
}

impl<'de> Deserialize<'de> for Printed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut text = String::new();
        Read(Print(&mut text)).deserialize(deserializer)?;
        Ok(Self(text))
    }
}

impl Print<'_> {
    fn quoted(&mut self, text: &str) {
        // Python escapes what serde_json does, and nothing else.
        self.display(Value::from(text));
    }

    fn display(&mut self, value: impl fmt::Display) {
        write!(self.0, "{value}").expect("a string takes every write");
    }

    fn float(&mut self, number: f64) {
        let shortest = format!("{number:e}");
        let (digits, exponent) = shortest.split_once('e').unwrap_or((&shortest, "0"));
        let exponent: i32 = exponent.parse().unwrap_or(0);
        // The bounds of Python's `repr`.
        if (-4..16).contains(&exponent) {
            self.display(format_args!("{number:?}"));
        } else {
            let sign = if exponent < 0 { '-' } else { '+' };
            self.display(format_args!(
                "{digits}e{sign}{:02}",
                exponent.unsigned_abs()
            ));
        }
    }
}

impl<'de> JsonReader<'de> for Print<'_> {
    type Output = ();

    fn other(self) {}

    fn object<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
        self.0.push('{');
        let mut separator = "";
        while next_name(&mut members, |name| {
            self.0.push_str(separator);
            self.quoted(name);
            self.0.push_str(": ");
        })?
        .is_some()
        {
            members.next_value_seed(Read(Print(self.0)))?;
            separator = ", ";
        }
        self.0.push('}');
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        self.0.push('[');
        let mut separator = "";
        loop {
            let before = self.0.len();
            self.0.push_str(separator);
            if elements.next_element_seed(Read(Print(self.0)))?.is_none() {
                self.0.truncate(before);
                break;
            }
            separator = ", ";
        }
        self.0.push(']');
        Ok(())
    }

    fn text(mut self, text: &str) {
        self.quoted(text);
    }

    fn number(mut self, number: JsonNumber) {
        match number {
            JsonNumber::Natural(number) => self.display(number),
            JsonNumber::Negative(number) => self.display(number),
            JsonNumber::Decimal(number) => self.float(number),
        }
    }

    fn boolean(self, flag: bool) {
        self.0.push_str(if flag { "true" } else { "false" });
    }

    fn null(self) {
        self.0.push_str("null");
    }
}

#[cfg(test)]
mod tests {
    use super::render;

    /// Left as written, right as Python 3 prints it.
    const PAIRS: &[(&str, &str)] = &[
        ("{}", "{}"),
        ("[]", "[]"),
        (
            r#"{"b":1,"a":[true,false,null,"x"]}"#,
            r#"{"b": 1, "a": [true, false, null, "x"]}"#,
        ),
        (r#"[[],[[1],{}],"["]"#, r#"[[], [[1], {}], "["]"#),
        (r#""\u4e2d\u00e9\/""#, "\"中é/\""),
        (r#""\u0001\b\f\n\r\t\"\\""#, r#""\u0001\b\f\n\r\t\"\\""#),
        ("[-1,18446744073709551615]", "[-1, 18446744073709551615]"),
        (
            "[1.0,0.1,1e5,1e15,1e16,1.5e-7,0.0001,0.00001,-0.0,1e300]",
            "[1.0, 0.1, 100000.0, 1000000000000000.0, 1e+16, 1.5e-07, 0.0001, 1e-05, -0.0, 1e+300]",
        ),
    ];

    #[test]
    fn printed_as_python_prints() {
        for (json, printed) in PAIRS {
            assert_eq!(render(json), *printed);
        }
    }

    #[test]
    fn no_json_stays() {
        for text in ["", "{", "nope", "{\"a\": 1} x"] {
            assert_eq!(render(text), text);
        }
    }
}
