use serde::de::{DeserializeSeed, MapAccess, SeqAccess};

use super::counts::{CountName, Group, UsageBody, sum, zip};
use crate::{
    CacheType, Usage,
    json_reader::{JsonNumber, JsonReader, Read, next_name},
};

impl UsageBody {
    /// Reads the value of a `usage` field; `None` where it is no JSON.
    pub(crate) fn read(value: &[u8]) -> Option<Self> {
        let mut body = Self::default();
        let mut json = serde_json::Deserializer::from_slice(value);
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

/// A count that is written as a decimal, as languages without whole numbers do.
#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
fn whole(number: f64) -> Option<u64> {
    // Up to here (2^53) a decimal holds every whole number; no usage comes near.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (number.fract() == 0.0 && (0.0..=EXACT).contains(&number)).then_some(number as u64)
}
