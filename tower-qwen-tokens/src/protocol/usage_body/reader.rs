use serde::de::{DeserializeSeed, MapAccess, SeqAccess};

use super::counts::{CountName, Group, UsageBody, sum, zip};
use crate::{
    CacheType, Usage,
    json_reader::{JsonNumber, JsonReader, Read, next_name},
};

impl UsageBody {
    /// Reads the value of a `usage` field; `None` where it is no JSON.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        // Checked once, and not string by string. JSON that is no UTF-8 outside of what is read passes all the same.
        let Ok(text) = std::str::from_utf8(value) else {
            return Self::read_from(serde_json::Deserializer::from_slice(value));
        };
        Self::read_from(serde_json::Deserializer::from_str(text))
    }

    fn read_from<'de, R: serde_json::de::Read<'de>>(
        mut json: serde_json::Deserializer<R>,
    ) -> Option<Self> {
        let mut body = Self::default();
        UsageReader::usage(&mut body).deserialize(&mut json).ok()?;
        json.end().ok()?;
        Some(body)
    }
}

/// Reads one object of counts; anything that is no object leaves things as they are.
pub(super) struct UsageReader<'a> {
    body: &'a mut UsageBody,
    group: Group,
}

/// Reads a list of usage objects and adds them up.
struct ListReader<'a>(&'a mut Usage);

/// Reads a whole number from zero up; `None` for anything else.
struct CountReader;

/// Reads the name of a cache.
struct CacheTypeReader;

impl<'a> UsageReader<'a> {
    pub(super) fn usage(body: &'a mut UsageBody) -> Read<Self> {
        Read(Self {
            body,
            group: Group::Usage,
        })
    }
}

impl<'de> JsonReader<'de> for UsageReader<'_> {
    type Output = ();

    fn other(self) {}

    fn object<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let Self { body, group } = self;
        while let Some(name) = next_name(&mut members, CountName::of)? {
            let details = match name {
                CountName::InputDetails => Some(Group::InputDetails),
                CountName::OutputDetails => Some(Group::OutputDetails),
                _ => None,
            };
            match (group, name, details) {
                (Group::Usage, _, Some(group)) => members.next_value_seed(Read(UsageReader {
                    body: &mut *body,
                    group,
                }))?,
                (Group::Usage, CountName::List, _) => {
                    members.next_value_seed(Read(ListReader(&mut body.listed)))?;
                }
                (_, CountName::CacheType, _) => {
                    let read = members.next_value_seed(Read(CacheTypeReader))?;
                    body.cache_type = read.or(body.cache_type);
                }
                _ => {
                    let read = members.next_value_seed(Read(CountReader))?;
                    if let Some(count) = body.count(group, name) {
                        // A later `null` of the same name does not take a count back.
                        *count = read.or(*count);
                    }
                }
            }
        }
        Ok(())
    }
}

impl<'de> JsonReader<'de> for ListReader<'_> {
    type Output = ();

    fn other(self) {}

    fn list<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        loop {
            let mut body = UsageBody::default();
            if elements
                .next_element_seed(UsageReader::usage(&mut body))?
                .is_none()
            {
                return Ok(());
            }
            *self.0 = zip(*self.0, body.into_usage(), sum);
        }
    }
}

impl JsonReader<'_> for CountReader {
    type Output = Option<u64>;

    fn other(self) -> Option<u64> {
        None
    }

    fn number(self, number: JsonNumber) -> Option<u64> {
        match number {
            JsonNumber::Natural(count) => Some(count),
            JsonNumber::Decimal(number) => whole(number),
            JsonNumber::Negative(_) => None,
        }
    }

    fn text(self, text: &str) -> Option<u64> {
        let text = text.trim();
        let as_whole = text.parse().ok();
        as_whole.or_else(|| whole(text.parse().ok()?))
    }
}

impl JsonReader<'_> for CacheTypeReader {
    type Output = Option<CacheType>;

    fn other(self) -> Option<CacheType> {
        None
    }

    fn text(self, name: &str) -> Option<CacheType> {
        (name == "ephemeral").then_some(CacheType::Explicit)
    }
}

/// A count that is written as a decimal, as languages without whole numbers do, rounded up.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> Option<u64> {
    // Up to here (2^53) a decimal holds every whole number; no usage comes near.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    // A fraction counts as a token, and what is beyond all counts as the largest, which nobody believes: without the figure
    // the rest of the usage would be taken as all of it.
    match number {
        0.0..=EXACT => Some(number.ceil() as u64),
        _ if number.is_finite() && number > EXACT => Some(u64::MAX),
        _ => None,
    }
}
