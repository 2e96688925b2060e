use super::{
    Labels, Record,
    record::Value::{self, At, Cost, Number, Text, True},
};

/// Appends a record as JSON: the bytes that `serde_json` writes of it, in a quarter of its steps, since each attempt has a line.
pub(super) fn write(record: &Record<'_>, line: &mut String) -> serde_json::Result<()> {
    let mut before = '{';
    record.members(|name, value| {
        line.push(before);
        before = ',';
        line.push('"');
        line.push_str(name);
        line.push_str("\":");
        write_value(value, line)
    })?;
    line.push('}');
    Ok(())
}

fn write_value(value: Value<'_>, line: &mut String) -> serde_json::Result<()> {
    match value {
        Text(text) => write_text(text, line)?,
        Number(number) => line.push_str(itoa::Buffer::new().format(number)),
        True => line.push_str("true"),
        At(at) => {
            line.push('"');
            at.write(line);
            line.push('"');
        }
        Cost(cost) => {
            line.push_str("{\"amount\":\"");
            cost.write_amount(line);
            line.push_str("\",\"currency\":\"");
            line.push_str(cost.currency().as_str());
            line.push_str("\"}");
        }
        Value::Labels(labels) => write_labels(labels, line)?,
    }
    Ok(())
}

fn write_labels(labels: &Labels, line: &mut String) -> serde_json::Result<()> {
    let mut before = '{';
    for (key, value) in labels.iter() {
        line.push(before);
        before = ',';
        write_text(key, line)?;
        line.push(':');
        write_text(value, line)?;
    }
    line.push('}');
    Ok(())
}

fn write_text(text: &str, line: &mut String) -> serde_json::Result<()> {
    let is_plain = |byte: u8| byte >= b' ' && byte != b'"' && byte != b'\\';
    if text.bytes().all(is_plain) {
        line.push('"');
        line.push_str(text);
        line.push('"');
    } else {
        line.push_str(&serde_json::to_string(text)?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::write;
    use crate::{
        Usage,
        ledger::{Basis, End, Entry, Record},
        price::{Currency, Money},
    };

    /// What a line is and what `serde_json` makes of the record.
    fn both(record: &Record<'_>) -> Result<[String; 2], serde_json::Error> {
        let mut line = String::new();
        write(record, &mut line)?;
        Ok([line, serde_json::to_string(record)?])
    }

    #[test]
    fn a_line_is_what_serde_writes() -> Result<(), serde_json::Error> {
        let names = [
            "qwen-plus",
            "",
            "a \"b\" \\ / c",
            "\u{0}\u{1f}\n\t\u{7f}",
            "\u{5343}\u{95ee} \u{1f600}",
        ];
        let moments = [
            0,
            1,
            951_782_399_999,
            1_795_411_058_042,
            400_000_000_000_000,
        ];
        let amounts = [
            0,
            1,
            -1,
            640_000_000,
            -2_500_000_000_000,
            i128::MAX,
            i128::MIN,
        ];
        let currencies = [Currency::USD, Currency::CREDITS];
        for name in names {
            let usage = Usage::new(u64::MAX, 0);
            let full = Entry::new(name, usage, Basis::Estimated, End::Failed)
                .tenant(name)
                .label(name, name)
                .label("other", name);
            let plain = Entry::new(name, Usage::default(), Basis::Unknown, End::Cancelled);
            for mut entry in [full, plain] {
                entry.attempt = Some(3);
                entry.batch = true;
                entry.service_tier = Some(name.into());
                entry.queued = Some(Duration::from_micros(1_999));
                entry.duration = Some(Duration::MAX);
                let [line, expected] = both(&Record::new(&entry, None, None))?;
                assert_eq!(line, expected);
            }
        }
        let entry = Entry::new("m", Usage::new(1, 2), Basis::Reported, End::Complete);
        for milli in moments {
            let at = UNIX_EPOCH + Duration::from_millis(milli);
            let [line, expected] = both(&Record::new(&entry, None, Some(at)))?;
            assert_eq!(line, expected);
        }
        for (pico, currency) in amounts
            .into_iter()
            .flat_map(|it| currencies.map(|of| (it, of)))
        {
            let cost = Money::from_pico(pico, currency);
            let [line, expected] = both(&Record::new(&entry, Some(cost), None))?;
            assert_eq!(line, expected);
        }
        Ok(())
    }
}
