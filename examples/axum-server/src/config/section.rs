//! Reads the tables of a TOML text one key at a time, and notes all that is wrong, not the first thing alone.

use std::{cell::RefCell, collections::HashMap};

use serde::Deserialize;
use toml::{
    Spanned,
    de::{DeTable, DeValue, ValueDeserializer},
};

use super::problem::{Place, Problem};

/// A text, and what is wrong in it so far.
pub(super) struct Reader<'t> {
    text: &'t str,
    problems: RefCell<Vec<Problem>>,
}

/// One table.
pub(super) struct Section<'r, 't> {
    reader: &'r Reader<'t>,
    /// As the file names it, such as `[[callers]]`.
    title: String,
    items: Vec<Item<'t>>,
    places: Places,
}

struct Item<'t> {
    name: String,
    place: Place,
    value: Option<Spanned<DeValue<'t>>>,
}

/// Where a table stands, and its keys.
#[derive(Debug, Clone, Default)]
pub struct Places {
    table: Option<Place>,
    keys: HashMap<String, Place>,
}

impl Places {
    /// Where a key's value stands; where it is missing, the table.
    #[must_use]
    pub fn of(&self, key: &str) -> Option<Place> {
        self.keys.get(key).copied().or(self.table)
    }

    /// The same of a value that may be written in another way.
    pub(super) fn of_either(&self, key: &str, other: &str) -> Option<Place> {
        let known = self.keys.get(key).or_else(|| self.keys.get(other));
        known.copied().or(self.table)
    }
}

impl<'t> Reader<'t> {
    /// The whole text as one table; `None` where it is no TOML.
    pub(super) fn read<'r>(&'r self) -> Option<Section<'r, 't>> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        let is_sound = errors.is_empty();
        for error in errors {
            let at = error.span().map_or(0, |span| span.start);
            // Not the error as a whole, which shows the line: it may hold a key.
            self.note(self.place(at), error.message().to_owned());
        }
        is_sound.then(|| Section::new(self, String::new(), None, table.into_inner()))
    }

    pub(super) fn new(text: &'t str) -> Self {
        Self {
            text,
            problems: RefCell::default(),
        }
    }

    pub(super) fn note(&self, place: impl Into<Option<Place>>, message: impl Into<String>) {
        self.problems.borrow_mut().push(Problem::at(place, message));
    }

    fn has_problem_at(&self, place: Place) -> bool {
        let problems = self.problems.borrow();
        problems.iter().any(|problem| problem.place == Some(place))
    }

    /// All that is wrong.
    pub(super) fn problems(self) -> Vec<Problem> {
        self.problems.into_inner()
    }

    fn place(&self, offset: usize) -> Place {
        Place::of(self.text, offset)
    }
}

impl<'r, 't> Section<'r, 't> {
    fn new(
        reader: &'r Reader<'t>,
        title: String,
        table: Option<Place>,
        content: DeTable<'t>,
    ) -> Self {
        let items = content.into_iter().map(|(name, value)| Item {
            place: reader.place(name.span().start),
            name: name.into_inner().into_owned(),
            value: Some(value),
        });
        Self {
            reader,
            title,
            items: items.collect(),
            places: Places {
                table,
                keys: HashMap::new(),
            },
        }
    }

    /// A key's value; `None` where it is missing, or is none of this kind, which is noted.
    pub(super) fn value<T: Deserialize<'t>>(&mut self, key: &str) -> Option<T> {
        self.read(key, None)
    }

    /// The same of a value that may be a secret: what is noted does not repeat it.
    pub(super) fn secret<T: Deserialize<'t>>(&mut self, key: &str, form: &str) -> Option<T> {
        self.read(key, Some(form))
    }

    fn read<T: Deserialize<'t>>(&mut self, key: &str, form: Option<&str>) -> Option<T> {
        let mut value = self.take(key)?;
        let span = value.span();
        quote_dates(value.get_mut());
        match T::deserialize(ValueDeserializer::from(value)) {
            Ok(value) => Some(value),
            Err(error) => {
                let at = error.span().unwrap_or(span).start;
                let message = form.unwrap_or_else(|| error.message().trim_end());
                self.reader
                    .note(self.reader.place(at), format!("`{key}`: {message}"));
                None
            }
        }
    }

    /// A table below this one.
    pub(super) fn table(&mut self, key: &str) -> Option<Self> {
        let value = self.take(key)?;
        let title = self.below(key);
        self.section(format!("[{title}]"), value)
    }

    /// A list of tables below this one.
    pub(super) fn tables(&mut self, key: &str) -> Vec<Self> {
        let Some(value) = self.take(key) else {
            return Vec::new();
        };
        let title = format!("[[{}]]", self.below(key));
        let place = self.reader.place(value.span().start);
        let DeValue::Array(list) = value.into_inner() else {
            self.reader.note(
                place,
                format!("`{key}` is a list of tables: write `{title}`"),
            );
            return Vec::new();
        };
        let sections = list.into_iter();
        sections
            .filter_map(|value| self.section(title.clone(), value))
            .collect()
    }

    /// What is left, each with its place: for a table whose keys are names.
    pub(super) fn rest<T: Deserialize<'t>>(&mut self) -> Vec<(String, T)> {
        let left = self.items.iter().filter(|item| item.value.is_some());
        let names: Vec<String> = left.map(|item| item.name.clone()).collect();
        let rest = names.into_iter();
        rest.filter_map(|name| Some((name.clone(), self.value(&name)?)))
            .collect()
    }

    /// Notes something of this table. A value that is noted already, since it is none of its kind, is not noted again for what
    /// follows from that.
    pub(super) fn note(&self, key: &str, message: impl Into<String>) {
        let place = self.places.keys.get(key);
        if !place.is_some_and(|place| self.reader.has_problem_at(*place)) {
            self.reader.note(self.places.of(key), message);
        }
    }

    /// Notes the keys that nobody has asked for.
    pub(super) fn end(self) -> Places {
        for item in self.items.iter().filter(|item| item.value.is_some()) {
            let (name, title) = (&item.name, &self.title);
            let message = match title.is_empty() {
                true => format!("unknown key `{name}`"),
                false => format!("unknown key `{name}` in {title}"),
            };
            self.reader.note(item.place, message);
        }
        self.places
    }

    fn section(&self, title: String, value: Spanned<DeValue<'t>>) -> Option<Self> {
        let place = self.reader.place(value.span().start);
        match value.into_inner() {
            DeValue::Table(table) => Some(Self::new(self.reader, title, Some(place), table)),
            _ => {
                self.reader.note(place, format!("{title} is a table"));
                None
            }
        }
    }

    fn take(&mut self, key: &str) -> Option<Spanned<DeValue<'t>>> {
        let item = self.items.iter_mut().find(|item| item.name == key)?;
        let value = item.value.take()?;
        let place = self.reader.place(value.span().start);
        self.places.keys.insert(key.to_owned(), place);
        Some(value)
    }

    fn below(&self, key: &str) -> String {
        let title = self.title.trim_matches(['[', ']']);
        match title {
            "" => key.to_owned(),
            title => format!("{title}.{key}"),
        }
    }
}

/// A date may stand without quotes, and is read as one with them.
fn quote_dates(value: &mut DeValue<'_>) {
    match value {
        DeValue::Datetime(date) => *value = DeValue::String(date.to_string().into()),
        DeValue::Array(list) => {
            let values = list.iter_mut();
            values.for_each(|value| quote_dates(value.get_mut()));
        }
        DeValue::Table(table) => {
            let values = table.iter_mut();
            values.for_each(|(_, value)| quote_dates(value.get_mut()));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(text: &str) -> Vec<String> {
        let reader = Reader::new(text);
        if let Some(mut root) = reader.read() {
            let _: Option<u64> = root.value("version");
            if let Some(mut limits) = root.table("limits") {
                let _: Option<u64> = limits.value("calls");
                let _: Option<String> = limits.secret("key", "a key is a text");
                limits.end();
            }
            for mut caller in root.tables("callers") {
                let _: Option<String> = caller.value("name");
                let _: Option<Vec<String>> = caller.value("models");
                caller.end();
            }
            root.end();
        }
        let problems = reader.problems().into_iter();
        problems
            .map(|Problem { place, message }| match place {
                Some(Place { line, column }) => format!("{line}:{column} {message}"),
                None => message,
            })
            .collect()
    }

    #[test]
    fn all_problems_are_noted_with_their_places() {
        let text = "version = 1\nother = 2\n[limits]\ncalls = \"many\"\nkey = 77\n[[callers]]\nname = 7\nnmae = \"a\"\nmodels = [\"a\", 1]\n[[callers]]\nname = \"ok\"\n";
        assert_eq!(
            problems(text),
            [
                "4:9 `calls`: invalid type: string \"many\", expected u64",
                "5:7 `key`: a key is a text",
                "7:8 `name`: invalid type: integer `7`, expected a string",
                "9:16 `models`: invalid type: integer `1`, expected a string",
                "8:1 unknown key `nmae` in [[callers]]",
                "2:1 unknown key `other`",
            ]
        );
        assert_eq!(problems("version = 1\n[limits]\ncalls = 2\n"), [""; 0]);
    }

    #[test]
    fn what_is_no_toml_is_noted_without_its_text() {
        let problems = problems("version = 1\nkey = sk-secret\nother = \n");
        assert!(problems.len() >= 2, "{problems:?}");
        assert!(problems[0].starts_with("2:7 "), "{problems:?}");
        assert!(!problems.concat().contains("secret"), "{problems:?}");
    }

    #[test]
    fn tables_and_lists_are_not_mixed_up() {
        assert_eq!(problems("limits = 1"), ["1:10 [limits] is a table"]);
        assert_eq!(
            problems("[callers]\nname = \"a\""),
            ["1:1 `callers` is a list of tables: write `[[callers]]`"]
        );
    }
}
