//! The answers as a Parquet file, made of the lines of the output.
//!
//! Such a file cannot be added to: it is whole with its last bytes only. So the answers are written as lines while the run
//! goes on, which outlive its end at any moment, and the table is made of them at last.

use std::{
    borrow::Cow,
    fs::{self, File},
    io::{self, BufRead, BufReader},
    path::Path,
    sync::Arc,
};

use parquet::{
    basic::Compression,
    column::writer::ColumnWriter,
    data_type::ByteArray,
    errors::ParquetError,
    file::{properties::WriterProperties, writer::SerializedFileWriter},
    schema::parser::parse_message_type,
};
use serde_json::value::{RawValue, to_raw_value};

use crate::{carried::Carried, input::Object};

/// `content` is the text of the first answer, `fields` an object of what the call brought along.
const SCHEMA: &str = "message answers {
    REQUIRED BYTE_ARRAY custom_id (UTF8);
    OPTIONAL INT32 status_code;
    OPTIONAL BYTE_ARRAY request_id (UTF8);
    OPTIONAL BYTE_ARRAY content (UTF8);
    OPTIONAL BYTE_ARRAY body (JSON);
    OPTIONAL BYTE_ARRAY error_code (UTF8);
    OPTIONAL BYTE_ARRAY error_message (UTF8);
    OPTIONAL BYTE_ARRAY fields (JSON);
    OPTIONAL BYTE_ARRAY provider (UTF8);
}";

/// So much text goes into one group of rows: it is held until the group is written. Unit: bytes.
const GROUP: usize = 8 << 20;

/// Rows that are not written yet, column by column.
#[derive(Default)]
struct Rows {
    size: usize,
    count: usize,
    status: Vec<Option<i32>>,
    texts: [Vec<Option<ByteArray>>; 8],
}

/// The columns of text, in the order of the schema.
#[derive(Clone, Copy)]
enum Text {
    CustomId,
    RequestId,
    Content,
    Body,
    ErrorCode,
    ErrorMessage,
    Fields,
    Provider,
}

/// Writes the lines of an output file to a Parquet file, in place of what is there.
///
/// # Errors
///
/// As reading and writing do. What was there stays then.
pub fn write_parquet(lines: &Path, table: &Path) -> io::Result<()> {
    let mut name = table.file_name().unwrap_or_default().to_owned();
    name.push(".rewrite");
    let beside = table.with_file_name(name);
    let file = File::create(&beside)?;
    let schema = parse_message_type(SCHEMA).map_err(error)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .build();
    let mut writer =
        SerializedFileWriter::new(&file, Arc::new(schema), Arc::new(properties)).map_err(error)?;
    let mut lines = BufReader::new(File::open(lines)?);
    let mut rows = Rows::default();
    let mut line = Vec::new();
    loop {
        line.clear();
        let is_end = lines.read_until(b'\n', &mut line)? == 0;
        if !line.trim_ascii().is_empty() {
            rows.push(line.trim_ascii())?;
        }
        if rows.size >= GROUP || is_end && rows.count > 0 {
            rows.write(&mut writer).map_err(error)?;
            rows = Rows::default();
        }
        if is_end {
            break;
        }
    }
    writer.close().map_err(error)?;
    file.sync_all()?;
    fs::rename(&beside, table)
}

impl Rows {
    fn push(&mut self, line: &[u8]) -> io::Result<()> {
        let Object(fields) =
            Object::parse(line).map_err(|reason| io::Error::other(reason.to_string()))?;
        let mut texts: [Option<String>; 8] = Default::default();
        let mut status = None;
        let mut carried = Carried::default();
        for (name, value) in fields {
            match &*name {
                "id" => {}
                "custom_id" => texts[Text::CustomId as usize] = text(value),
                "provider" => texts[Text::Provider as usize] = text(value),
                "response" => {
                    for (name, value) in inside(value) {
                        match &*name {
                            "status_code" => status = serde_json::from_str(value.get()).ok(),
                            "request_id" => texts[Text::RequestId as usize] = text(value),
                            "body" => {
                                texts[Text::Content as usize] = content(value);
                                texts[Text::Body as usize] = Some(value.get().to_owned());
                            }
                            _ => {}
                        }
                    }
                }
                "error" => {
                    for (name, value) in inside(value) {
                        match &*name {
                            "code" => texts[Text::ErrorCode as usize] = text(value),
                            "message" => texts[Text::ErrorMessage as usize] = text(value),
                            _ => {}
                        }
                    }
                }
                name => carried.push(name, value.to_owned()),
            }
        }
        if !carried.is_empty() {
            let json = to_raw_value(&carried)?;
            texts[Text::Fields as usize] = Some(json.get().to_owned());
        }
        self.count += 1;
        self.status.push(status);
        for (column, text) in self.texts.iter_mut().zip(texts) {
            self.size += text.as_ref().map_or(0, String::len);
            column.push(text.map(|text| ByteArray::from(text.into_bytes())));
        }
        Ok(())
    }

    fn write(&self, writer: &mut SerializedFileWriter<&File>) -> Result<(), ParquetError> {
        let mut group = writer.next_row_group()?;
        let mut texts = self.texts.iter();
        let mut is_first = true;
        while let Some(mut column) = group.next_column()? {
            match column.untyped() {
                ColumnWriter::Int32ColumnWriter(typed) => {
                    let (values, levels) = levels(&self.status);
                    typed.write_batch(&values, Some(&levels), None)?;
                }
                ColumnWriter::ByteArrayColumnWriter(typed) => {
                    let (values, levels) = levels(texts.next().map_or(&[], Vec::as_slice));
                    // The id is never missing, so its column has no levels.
                    let levels = (!std::mem::take(&mut is_first)).then_some(&levels[..]);
                    typed.write_batch(&values, levels, None)?;
                }
                _ => {}
            }
            column.close()?;
        }
        group.close()?;
        Ok(())
    }
}

/// The values that are there, and for each row whether one is.
fn levels<T: Clone>(column: &[Option<T>]) -> (Vec<T>, Vec<i16>) {
    let levels = column.iter().map(|value| i16::from(value.is_some()));
    (column.iter().flatten().cloned().collect(), levels.collect())
}

fn text(raw: &RawValue) -> Option<String> {
    serde_json::from_str(raw.get()).ok()
}

fn inside(raw: &RawValue) -> Vec<(Cow<'_, str>, &RawValue)> {
    Object::parse(raw.get().as_bytes()).map_or_else(|_| Vec::new(), |object| object.0)
}

/// The text of the first choice of an answer, in either dialect.
fn content(body: &RawValue) -> Option<String> {
    let body: serde_json::Value = serde_json::from_str(body.get()).ok()?;
    let places = [
        "/choices/0/message/content",
        "/choices/0/text",
        "/output/choices/0/message/content",
        "/output/text",
    ];
    let found = places
        .iter()
        .find_map(|place| body.pointer(place)?.as_str());
    found.map(str::to_owned)
}

fn error(error: ParquetError) -> io::Error {
    io::Error::other(error)
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use parquet::{
        file::reader::{FileReader, SerializedFileReader},
        record::{Row, RowAccessor},
    };

    use super::*;

    fn read(path: &Path) -> Result<Vec<Row>, Box<dyn Error>> {
        let reader = SerializedFileReader::new(File::open(path)?)?;
        Ok(reader.get_row_iter(None)?.collect::<Result<_, _>>()?)
    }

    #[test]
    fn lines_become_rows_and_what_is_missing_stays_so() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let (lines, table) = (
            folder.path().join("a.jsonl"),
            folder.path().join("a.parquet"),
        );
        fs::write(
            &lines,
            concat!(
                r#"{"id":"i","custom_id":"a","response":{"status_code":200,"request_id":"r","body":{"choices":[{"message":{"content":"\u5b57"}}]}},"error":null,"lang":"en","n":1.50}"#,
                "\n",
                r#"{"id":"i","custom_id":"b","provider":"p","response":null,"error":{"code":"c","message":"m"}}"#,
                "\n",
            ),
        )?;
        write_parquet(&lines, &table)?;
        let rows = read(&table)?;
        assert_eq!(rows.len(), 2);
        assert_eq!(rows[0].get_string(0)?, "a");
        assert_eq!(rows[0].get_int(1)?, 200);
        assert_eq!(rows[0].get_string(2)?, "r");
        assert_eq!(rows[0].get_string(3)?, "字");
        assert_eq!(rows[0].get_string(7)?, r#"{"lang":"en","n":1.50}"#);
        assert!(rows[0].get_string(5).is_err());
        assert_eq!(
            (
                rows[1].get_string(0)?.as_str(),
                rows[1].get_string(5)?.as_str()
            ),
            ("b", "c")
        );
        assert_eq!(rows[1].get_string(8)?, "p");
        assert!(rows[0].get_string(8).is_err());
        assert!(rows[1].get_int(1).is_err() && rows[1].get_string(4).is_err());
        // No line, no row; and what was there before is gone.
        fs::write(&lines, "")?;
        write_parquet(&lines, &table)?;
        assert!(read(&table)?.is_empty());
        assert_eq!(fs::read_dir(folder.path())?.count(), 2);
        Ok(())
    }

    #[test]
    fn groups_of_rows_are_written_one_after_the_other() -> Result<(), Box<dyn Error>> {
        let folder = tempfile::tempdir()?;
        let (lines, table) = (
            folder.path().join("a.jsonl"),
            folder.path().join("a.parquet"),
        );
        let text = "x".repeat(GROUP / 3);
        let many: String = (0..8)
            .map(|id| format!("{{\"id\":\"i\",\"custom_id\":\"{id}\",\"response\":null,\"error\":{{\"code\":\"c\",\"message\":\"{text}\"}}}}\n"))
            .collect();
        fs::write(&lines, many)?;
        write_parquet(&lines, &table)?;
        let ids: Vec<String> = read(&table)?
            .iter()
            .map(|row| row.get_string(0).cloned())
            .collect::<Result<_, _>>()?;
        assert_eq!(ids, ["0", "1", "2", "3", "4", "5", "6", "7"]);
        let reader = SerializedFileReader::new(File::open(&table)?)?;
        assert_eq!(reader.metadata().num_row_groups(), 3);
        Ok(())
    }
}
