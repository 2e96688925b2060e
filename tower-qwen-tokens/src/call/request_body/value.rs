use std::{borrow::Cow, fmt, sync::Arc};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    Draft,
    place::{Member, Place, member},
};
use crate::{
    call::Ceiling,
    estimate::{Estimate, Tally},
};

/// The quotes, the colon or the comma of a string in JSON. Unit: tokens.
const JSON_STRING: u64 = 1;
/// A number, a flag or a null in JSON with its comma. Unit: tokens.
const JSON_SCALAR: u64 = 3;
/// The brackets of an object or a list in JSON. Unit: tokens.
const JSON_COMPOUND: u64 = 1;
/// No model's name is longer; the rest of a longer one is not kept. Unit: bytes.
const MAX_NAME: usize = 256;

/// Reads a value at a place into the draft.
pub(super) struct Value<'a, 'e> {
    pub(super) draft: &'a mut Draft<'e>,
    pub(super) place: Place,
}

/// A value of which only the simple kinds matter.
enum Simple {
    Text(Arc<str>),
    Number(u64),
    Flag(bool),
    Nothing,
    Compound,
}

/// Reads a [`Simple`] value.
struct Scalar;

impl Draft<'_> {
    fn push(&mut self, text: &str) {
        push(&mut self.prompt, self.counter, text);
    }

    fn push_thought(&mut self, text: &str) {
        push(&mut self.thoughts, self.counter, text);
    }

    fn add(&mut self, tokens: u64) {
        self.prompt.add(tokens);
    }

    fn add_message(&mut self) {
        self.messages = self.messages.saturating_add(1);
    }

    fn set(&mut self, member: Member, value: Simple) {
        match (member, value) {
            (Member::Model, Simple::Text(model)) => self.model = Some(model),
            (Member::Stream, Simple::Flag(on)) => self.stream = on,
            (Member::IncludeUsage, Simple::Flag(on)) => self.include_usage = on,
            (Member::N, Simple::Number(n)) => self.n = Some(n),
            (Member::Ceiling(Ceiling::Answer), Simple::Number(most)) => {
                self.max_tokens = Some(most);
            }
            (Member::Ceiling(Ceiling::Whole), Simple::Number(most)) => {
                self.max_completion_tokens = Some(most);
            }
            (Member::EnableThinking, Simple::Flag(on)) => self.thinking = Some(on),
            (Member::PreserveThinking, Simple::Flag(on)) => self.preserve_thinking = Some(on),
            (Member::ThinkingBudget, Simple::Number(most)) => self.thinking_budget = Some(most),
            (Member::Effort, Simple::Text(effort)) => self.thinking = Some(&*effort != "none"),
            (Member::ThinkingType, Simple::Text(kind)) => {
                self.thinking = Some(&*kind != "disabled")
            }
            (Member::Flat(_), Simple::Nothing) => {}
            (Member::Flat(tokens), _) => self.prompt.add_media(tokens),
            _ => {}
        }
    }
}

fn push(tally: &mut Tally, counter: Option<&dyn Estimate>, text: &str) {
    match counter {
        Some(counter) => tally.push_counted(text, counter.estimate(text)),
        None => {
            tally.push(text);
        }
    }
}

impl Value<'_, '_> {
    fn tally(self, text: &str) {
        let Self { draft, place } = self;
        match place {
            Place::Content => draft.push(text),
            Place::Messages => {
                draft.add_message();
                draft.push(text);
            }
            Place::Thoughts => draft.push_thought(text),
            Place::Json => {
                draft.push(text);
                draft.add(JSON_STRING);
            }
            _ => {}
        }
    }

    /// A number in a prompt is the id of a token.
    fn tally_number(self) {
        match self.place {
            Place::Content | Place::Messages => self.draft.add(1),
            _ => self.tally_flag(),
        }
    }

    fn tally_flag(self) {
        if self.place == Place::Json {
            self.draft.add(JSON_SCALAR);
        }
    }
}

impl<'de> DeserializeSeed<'de> for Value<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a request body")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { draft, place } = self;
        match place {
            Place::Messages => draft.add_message(),
            Place::Json => draft.add(JSON_COMPOUND),
            _ => {}
        }
        // What stands within a message belongs to it.
        let place = if place == Place::Messages {
            Place::Message
        } else {
            place
        };
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            if place == Place::Json {
                draft.push(&key);
                draft.add(JSON_STRING);
            }
            let within = match member(place, &key) {
                Member::Within(place) => place,
                Member::Message => {
                    draft.add_message();
                    Place::Content
                }
                Member::Tools => {
                    let before = draft.prompt.tokens();
                    map.next_value_seed(Value {
                        draft: &mut *draft,
                        place: Place::Json,
                    })?;
                    draft.has_tools |= draft.prompt.tokens().saturating_sub(before) > JSON_SCALAR;
                    continue;
                }
                Member::Ignored => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                member => {
                    draft.set(member, map.next_value_seed(Scalar)?);
                    continue;
                }
            };
            map.next_value_seed(Value {
                draft: &mut *draft,
                place: within,
            })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Self { draft, place } = self;
        if place == Place::Json {
            draft.add(JSON_COMPOUND);
        }
        while seq
            .next_element_seed(Value {
                draft: &mut *draft,
                place,
            })?
            .is_some()
        {}
        Ok(())
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.tally(text);
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        self.tally_number();
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        self.tally_number();
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        self.tally_number();
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        self.tally_flag();
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        self.tally_flag();
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Scalar {
    type Value = Simple;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Simple, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Scalar {
    type Value = Simple;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a simple value")
    }

    fn visit_str<E>(self, text: &str) -> Result<Simple, E> {
        let kept = text.floor_char_boundary(MAX_NAME);
        Ok(Simple::Text(Arc::from(&text[..kept])))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Simple, E> {
        Ok(Simple::Number(number))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Simple, E> {
        Ok(Simple::Nothing)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn visit_f64<E>(self, number: f64) -> Result<Simple, E> {
        Ok(if number >= 0.0 {
            Simple::Number(number as u64)
        } else {
            Simple::Nothing
        })
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Simple, E> {
        Ok(Simple::Flag(flag))
    }

    fn visit_unit<E>(self) -> Result<Simple, E> {
        Ok(Simple::Nothing)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Simple, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Simple::Compound)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Simple, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Simple::Compound)
    }
}
