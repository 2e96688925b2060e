//! Calls made of prompts: a field of an object or of a table, or a line of text.

use std::{borrow::Cow, hash::Hasher};

use serde_json::value::{RawValue, to_raw_value};
use siphasher::sip::SipHasher13;

use super::{InputCall, Reason, csv::Row, object::Object, template::Template};
use crate::carried::Carried;

/// Where the calls of prompts go.
const PATH: &str = "/v1/chat/completions";
/// What the one field of a line of text is called.
pub(super) const LINE: &str = "prompt";
/// A field of this name is the id where no other is named.
const ID: &str = "custom_id";

/// How calls are made of prompts.
#[derive(Debug, Clone, Default)]
pub(super) struct Prompts {
    /// The field that holds the prompt.
    pub(super) field: Option<String>,
    /// The text in which the fields stand, in place of the prompt alone.
    pub(super) template: Option<Template>,
    /// The field that holds the id.
    pub(super) id_field: Option<String>,
    /// The message that goes first.
    pub(super) system: Option<String>,
}

/// What a prompt stands in.
pub(super) struct Fields<'a> {
    fields: Vec<(Cow<'a, str>, Value<'a>)>,
    /// The one field is the prompt.
    is_line: bool,
}

#[derive(Clone, Copy)]
enum Value<'a> {
    Text(&'a str),
    Json(&'a RawValue),
}

impl<'a> Fields<'a> {
    pub(super) fn of_object(object: Object<'a>) -> Self {
        let fields = object.0.into_iter();
        Self {
            fields: fields.map(|(name, raw)| (name, Value::Json(raw))).collect(),
            is_line: false,
        }
    }

    pub(super) fn of_row(row: Row<'a>) -> Self {
        let names = row.columns.iter().map(|name| Cow::Borrowed(name.as_str()));
        let values = row.fields.into_iter().map(Value::Text);
        Self {
            fields: names.zip(values).collect(),
            is_line: false,
        }
    }

    pub(super) fn of_line(line: &'a str) -> Self {
        Self {
            fields: vec![(Cow::Borrowed(LINE), Value::Text(line))],
            is_line: true,
        }
    }

    fn find(&self, name: &str) -> Option<Value<'a>> {
        // The last of two of one name, as in most JSON readers.
        let found = self.fields.iter().rfind(|(other, _)| other == name);
        found.map(|&(_, value)| value)
    }

    fn text(&self, name: &str) -> Result<Cow<'a, str>, Reason> {
        match self.find(name) {
            None => Err(Reason::NoField(name.to_owned())),
            Some(value) => value.text(name),
        }
    }
}

impl<'a> Value<'a> {
    fn text(self, name: &str) -> Result<Cow<'a, str>, Reason> {
        match self {
            Self::Text(text) => Ok(Cow::Borrowed(text)),
            Self::Json(raw) => match raw.get().as_bytes().first() {
                Some(b'n') | None => Err(Reason::NoField(name.to_owned())),
                Some(b'"') => serde_json::from_str::<String>(raw.get())
                    .map(Cow::Owned)
                    .map_err(|_| Reason::FieldNotA(name.to_owned(), "text")),
                // Numbers and the like stand as they are written.
                Some(_) => Ok(Cow::Borrowed(raw.get())),
            },
        }
    }
}

impl Prompts {
    /// The call of a prompt. `name` and `line` say where it stands: they are a part of its id where it has none.
    pub(super) fn call(
        &self,
        fields: &Fields<'_>,
        name: &str,
        line: u64,
    ) -> Result<InputCall, Reason> {
        let (asked, messages) = self.messages(fields)?;
        let custom_id = match self.id(fields)? {
            Some(id) => id,
            None => format!("{name}:{line}:{:08x}", fingerprint(&asked)),
        };
        let id_field = self.id_field.as_deref().unwrap_or(ID);
        let prompt_field = self.field.as_deref().or(fields.is_line.then_some(LINE));
        let mut carried = Carried::default();
        for (name, value) in &fields.fields {
            let is_used = name == id_field || prompt_field.is_some_and(|field| name == field);
            // A column without a name, such as that of a row's number, has no place in an object.
            if is_used || name.is_empty() {
                continue;
            }
            let value = match value {
                Value::Text(text) => json(text),
                Value::Json(raw) => (*raw).to_owned(),
            };
            carried.push(name, value);
        }
        Ok(InputCall {
            custom_id,
            url: PATH.to_owned(),
            body: json(&Body { messages }),
            carried,
        })
    }

    /// The names of all fields that have to be there.
    pub(super) fn needed(&self) -> impl Iterator<Item = &str> {
        let of_template = self.template.iter().flat_map(Template::fields);
        let named = self.field.as_deref().into_iter();
        named.chain(self.id_field.as_deref()).chain(of_template)
    }

    /// What is asked, and the messages that ask it.
    fn messages(&self, fields: &Fields<'_>) -> Result<(String, Vec<Box<RawValue>>), Reason> {
        let mut messages = Vec::new();
        if let Some(system) = &self.system {
            messages.push(message("system", system));
        }
        let field = self.field.as_deref().unwrap_or(LINE);
        if let (None, Some(Value::Json(raw))) = (&self.template, fields.find(field))
            && raw.get().starts_with(['[', '{'])
        {
            messages.extend(conversation(field, raw)?);
            return Ok((raw.get().to_owned(), messages));
        }
        let asked = match &self.template {
            Some(template) => template.render(|name| fields.text(name))?,
            None => fields.text(field)?.into_owned(),
        };
        // A template has words of its own: without the prompt they would be sent, and paid for, alone.
        let is_empty = match &self.field {
            Some(field) => fields.text(field)?.trim().is_empty(),
            None => asked.trim().is_empty(),
        };
        if is_empty {
            return Err(Reason::EmptyField(field.to_owned()));
        }
        messages.push(message("user", &asked));
        Ok((asked, messages))
    }

    fn id(&self, fields: &Fields<'_>) -> Result<Option<String>, Reason> {
        let name = self.id_field.as_deref().unwrap_or(ID);
        let id = match (fields.text(name), &self.id_field) {
            (Ok(id), _) => id,
            (Err(_), None) => return Ok(None),
            (Err(reason), Some(_)) => return Err(reason),
        };
        match (id.trim(), &self.id_field) {
            ("", None) => Ok(None),
            ("", Some(name)) => Err(Reason::EmptyField(name.clone())),
            (id, _) => Ok(Some(id.to_owned())),
        }
    }
}

#[derive(serde::Serialize)]
struct Body {
    messages: Vec<Box<RawValue>>,
}

#[derive(serde::Serialize)]
struct Message<'a> {
    role: &'static str,
    content: &'a str,
}

/// The messages of a field that holds a whole conversation.
fn conversation(field: &str, raw: &RawValue) -> Result<Vec<Box<RawValue>>, Reason> {
    let bad = || Reason::FieldNotA(field.to_owned(), "text or a list of messages");
    let messages: Vec<Box<RawValue>> = serde_json::from_str(raw.get()).map_err(|_| bad())?;
    let are_objects = messages
        .iter()
        .all(|message| message.get().starts_with('{'));
    match are_objects && !messages.is_empty() {
        true => Ok(messages),
        false => Err(bad()),
    }
}

fn message(role: &'static str, content: &str) -> Box<RawValue> {
    json(&Message { role, content })
}

/// Another prompt on the same line has another id: its answer is not that of the one before.
fn fingerprint(asked: &str) -> u32 {
    let mut hasher = SipHasher13::new();
    hasher.write(asked.as_bytes());
    (hasher.finish() >> 32) as u32
}

fn json<T: serde::Serialize + ?Sized>(value: &T) -> Box<RawValue> {
    to_raw_value(value).unwrap_or_else(|_| RawValue::NULL.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    type Made = Result<(String, String, String), Reason>;

    fn made(prompts: &Prompts, object: &str) -> Made {
        let fields = Fields::of_object(Object::parse(object.as_bytes())?);
        let call = prompts.call(&fields, "p.jsonl", 7)?;
        let carried = serde_json::to_string(&call.carried).unwrap_or_default();
        Ok((call.custom_id, call.body.get().to_owned(), carried))
    }

    fn of_field(field: &str) -> Prompts {
        Prompts {
            field: Some(field.to_owned()),
            ..Prompts::default()
        }
    }

    #[test]
    fn the_field_is_the_prompt_and_the_rest_is_carried() -> Result<(), Reason> {
        let (id, body, carried) = made(
            &of_field("text"),
            r#"{"id":3,"text":"Hi\n","metadata":{"a":1.50}}"#,
        )?;
        assert!(
            id.starts_with("p.jsonl:7:") && id.len() == "p.jsonl:7:".len() + 8,
            "{id}"
        );
        assert_eq!(body, r#"{"messages":[{"role":"user","content":"Hi\n"}]}"#);
        assert_eq!(carried, r#"{"input_id":3,"metadata":{"a":1.50}}"#);
        Ok(())
    }

    #[test]
    fn ids_stay_with_the_prompt_and_change_with_it() -> Result<(), Reason> {
        let one = made(&of_field("text"), r#"{"text":"Hi","n":1}"#)?.0;
        assert_eq!(
            one,
            made(&of_field("text"), r#"{"n":2,"text":"\u0048i"}"#)?.0
        );
        assert_ne!(one, made(&of_field("text"), r#"{"text":"Ho"}"#)?.0);
        assert_eq!(
            made(&of_field("text"), r#"{"text":"Hi","custom_id":"c"}"#)?.0,
            "c"
        );
        let by_id = Prompts {
            id_field: Some("n".to_owned()),
            ..of_field("text")
        };
        let (id, _, carried) = made(&by_id, r#"{"text":"Hi","n":17}"#)?;
        assert_eq!((id.as_str(), carried.as_str()), ("17", "{}"));
        assert_eq!(
            made(&by_id, r#"{"text":"Hi"}"#),
            Err(Reason::NoField("n".to_owned()))
        );
        assert_eq!(
            made(&by_id, r#"{"text":"Hi","n":" "}"#),
            Err(Reason::EmptyField("n".to_owned()))
        );
        Ok(())
    }

    #[test]
    fn a_template_takes_fields_and_a_system_message_goes_first() -> Result<(), Reason> {
        let prompts = Prompts {
            template: Template::parse("{a} to {b}").ok(),
            system: Some("Be brief.".to_owned()),
            ..Prompts::default()
        };
        let (_, body, carried) = made(&prompts, r#"{"a":"x","b":2,"prompt":""}"#)?;
        assert_eq!(
            body,
            r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"x to 2"}]}"#
        );
        assert_eq!(carried, r#"{"a":"x","b":2,"prompt":""}"#);
        assert_eq!(
            made(&prompts, r#"{"a":"x"}"#),
            Err(Reason::NoField("b".to_owned()))
        );
        assert_eq!(prompts.needed().collect::<Vec<_>>(), ["a", "b"]);
        let with_field = Prompts {
            field: Some("a".to_owned()),
            ..prompts
        };
        let (_, body, carried) = made(&with_field, r#"{"a":"x","b":""}"#)?;
        assert!(
            body.contains("x to ") && carried == r#"{"b":""}"#,
            "{body} {carried}"
        );
        let empty = made(&with_field, r#"{"a":"","b":"y"}"#);
        assert_eq!(empty, Err(Reason::EmptyField("a".to_owned())));
        Ok(())
    }

    #[test]
    fn a_conversation_is_sent_as_it_is() -> Result<(), Reason> {
        let messages = r#"[{"role":"user","content":"1"},{"role":"assistant","content":"2"}]"#;
        let (_, body, _) = made(&of_field("m"), &format!(r#"{{"m":{messages}}}"#))?;
        assert_eq!(body, format!(r#"{{"messages":{messages}}}"#));
        for other in ["[]", "[1]", "{}"] {
            let found = made(&of_field("m"), &format!(r#"{{"m":{other}}}"#));
            assert!(matches!(found, Err(Reason::FieldNotA(..))), "{other}");
        }
        Ok(())
    }

    #[test]
    fn what_is_no_prompt_is_named() {
        for (object, reason) in [
            ("{}", Reason::NoField("t".to_owned())),
            (r#"{"t":null}"#, Reason::NoField("t".to_owned())),
            (r#"{"t":" \n"}"#, Reason::EmptyField("t".to_owned())),
        ] {
            assert_eq!(made(&of_field("t"), object), Err(reason));
        }
    }
}
