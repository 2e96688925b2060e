use std::sync::Arc;

use serde::de::{IgnoredAny, MapAccess, SeqAccess};

use super::{
    Draft,
    place::{Member, Place, member},
};
use crate::{
    call::Ceiling,
    estimate::{Estimate, Tally},
    json_reader::{JsonNumber, JsonReader, Read, next_name},
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

impl<'de> JsonReader<'de> for Value<'_, '_> {
    type Output = ();

    fn other(self) {}

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
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
        while let Some(member) = next_name(&mut members, |name| {
            if place == Place::Json {
                draft.push(name);
                draft.add(JSON_STRING);
            }
            member(place, name)
        })? {
            let within = match member {
                Member::Within(place) => place,
                Member::Message => {
                    draft.add_message();
                    Place::Content
                }
                Member::Tools => {
                    let before = draft.prompt.tokens();
                    members.next_value_seed(Read(Value {
                        draft: &mut *draft,
                        place: Place::Json,
                    }))?;
                    draft.has_tools |= draft.prompt.tokens().saturating_sub(before) > JSON_SCALAR;
                    continue;
                }
                Member::Ignored => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                member => {
                    draft.set(member, members.next_value_seed(Read(Scalar))?);
                    continue;
                }
            };
            members.next_value_seed(Read(Value {
                draft: &mut *draft,
                place: within,
            }))?;
        }
        Ok(())
    }

    fn list<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let Self { draft, place } = self;
        if place == Place::Json {
            draft.add(JSON_COMPOUND);
        }
        while elements
            .next_element_seed(Read(Value {
                draft: &mut *draft,
                place,
            }))?
            .is_some()
        {}
        Ok(())
    }

    fn text(self, text: &str) {
        self.tally(text);
    }

    fn number(self, _: JsonNumber) {
        self.tally_number();
    }

    fn flag(self, _: bool) {
        self.tally_flag();
    }

    fn null(self) {
        self.tally_flag();
    }
}

impl JsonReader<'_> for Scalar {
    type Output = Simple;

    fn other(self) -> Simple {
        Simple::Compound
    }

    fn text(self, text: &str) -> Simple {
        Simple::Text(Arc::from(&text[..text.floor_char_boundary(MAX_NAME)]))
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn number(self, number: JsonNumber) -> Simple {
        match number {
            JsonNumber::Natural(number) => Simple::Number(number),
            JsonNumber::Decimal(number) if number >= 0.0 => Simple::Number(number as u64),
            JsonNumber::Negative(_) | JsonNumber::Decimal(_) => Simple::Nothing,
        }
    }

    fn flag(self, flag: bool) -> Simple {
        Simple::Flag(flag)
    }

    fn null(self) -> Simple {
        Simple::Nothing
    }
}
