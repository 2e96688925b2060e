use serde::Deserialize;
use serde_json::{Map, Value};

use super::{InvalidData, Origin, Region, origin::check_date, section::BoxError};

/// The sections that a document may have; each book reads its own.
const SECTIONS: [&str; 4] = ["price", "window", "quota", "retirement"];
/// The members that every row has, whatever it is of.
const COMMON: [&str; 5] = ["model", "region", "source", "date", "note"];

/// One row, its own members apart from what every row has.
pub(super) struct Row {
    pub(super) model: String,
    pub(super) region: Option<Region>,
    pub(super) origin: Origin,
    pub(super) own: Value,
}

#[derive(Deserialize)]
struct RowKey {
    model: String,
    region: Option<Region>,
}

/// The document that a JSON text holds.
pub(super) fn json(section: &'static str, text: &str) -> Result<Value, InvalidData> {
    serde_json::from_str(text).map_err(|error| InvalidData::syntax(section, error))
}

/// The document that a TOML text holds. Its dates become texts.
#[cfg(feature = "toml")]
pub(super) fn toml(section: &'static str, text: &str) -> Result<Value, InvalidData> {
    let table: toml::Table =
        toml::from_str(text).map_err(|error| InvalidData::syntax(section, error))?;
    Ok(plain(toml::Value::Table(table)))
}

#[cfg(feature = "toml")]
fn plain(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(flag) => flag.into(),
        // JSON has no dates; rows write them as texts.
        toml::Value::Datetime(date) => date.to_string().into(),
        toml::Value::Array(list) => list.into_iter().map(plain).collect(),
        toml::Value::Table(table) => table
            .into_iter()
            .map(|(key, value)| (key, plain(value)))
            .collect(),
    }
}

/// Hands the rows of a section on, one by one.
pub(super) fn read(
    section: &'static str,
    document: Value,
    mut each: impl FnMut(Row) -> Result<(), BoxError>,
) -> Result<(), InvalidData> {
    for (number, value) in (1..).zip(rows(section, document)?) {
        let model = value.get("model").and_then(Value::as_str);
        let model = model.map(str::to_owned);
        row(value)
            .and_then(&mut each)
            .map_err(|error| InvalidData::row_of(section, number, model, error))?;
    }
    Ok(())
}

fn rows(section: &'static str, document: Value) -> Result<Vec<Value>, InvalidData> {
    match document {
        Value::Array(rows) => Ok(rows),
        Value::Object(mut sections)
            // A misspelled section must not be passed over in silence.
            if sections
                .keys()
                .all(|name| SECTIONS.contains(&name.as_str())) =>
        {
            match sections.remove(section) {
                Some(Value::Array(rows)) => Ok(rows),
                None => Ok(Vec::new()),
                Some(_) => Err(InvalidData::layout(section)),
            }
        }
        _ => Err(InvalidData::layout(section)),
    }
}

fn row(value: Value) -> Result<Row, BoxError> {
    let mut own: Map<String, Value> = Map::deserialize(value)?;
    // Taken out first, so that a row may reject every member that it does not know.
    let common: Map<String, Value> = COMMON
        .iter()
        .filter_map(|&name| own.remove_entry(name))
        .collect();
    let common = Value::Object(common);
    let RowKey { model, region } = RowKey::deserialize(&common)?;
    let origin = Origin::deserialize(&common)?;
    origin.date.as_deref().map_or(Ok(()), check_date)?;
    Ok(Row {
        model,
        region,
        origin,
        own: Value::Object(own),
    })
}
