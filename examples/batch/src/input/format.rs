//! What a file holds, decided by the options, its name and its first byte.

use std::fs;

use super::{
    FormatArg, InputArgs, Unusable,
    prompt::{LINE, Prompts},
    template::Template,
    unusable::{shown, why},
};

/// So many columns are named where one is missing.
const COLUMNS: usize = 12;

/// What is known of the input before a file is opened.
#[derive(Debug, Clone, Default)]
pub(super) struct Options {
    chosen: Option<Format>,
    prompts: Prompts,
    has_model: bool,
}

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Calls, one JSON object a line.
    Batch,
    /// Prompts, each in a JSON object on a line.
    Jsonl,
    /// Prompts in a table, with this byte between columns.
    Csv(u8),
    /// Prompts, one a line.
    Lines,
}

impl Options {
    /// # Errors
    ///
    /// [`Unusable`] options.
    pub(super) fn new(args: &InputArgs, has_model: bool) -> Result<Self, Unusable> {
        let template = match &args.template {
            Some(text) => {
                let text = text_or_file("--template", text)?;
                let template = Template::parse(&text)
                    .map_err(|bad| Unusable::new(format!("--template: {bad}")))?;
                Some(template)
            }
            None => None,
        };
        let system = match &args.system {
            Some(text) => Some(text_or_file("--system", text)?),
            None => None,
        };
        if let (Some(prompt), Some(id)) = (&args.prompt_field, &args.id_field)
            && prompt == id
        {
            return Err(Unusable::new(
                "--prompt-field and --id-field name the same field",
            ));
        }
        Ok(Self {
            chosen: match args.input_format {
                FormatArg::Auto => None,
                FormatArg::Batch => Some(Format::Batch),
                FormatArg::Jsonl => Some(Format::Jsonl),
                FormatArg::Csv => Some(Format::Csv(b',')),
                FormatArg::Tsv => Some(Format::Csv(b'\t')),
                FormatArg::Lines => Some(Format::Lines),
            },
            prompts: Prompts {
                field: args.prompt_field.clone(),
                template,
                id_field: args.id_field.clone(),
                system,
            },
            has_model,
        })
    }

    pub(super) fn prompts(&self) -> &Prompts {
        &self.prompts
    }

    /// The format of a file of this name that begins with this byte.
    ///
    /// # Errors
    ///
    /// [`Unusable`] where it does not fit the options.
    pub(super) fn decide(&self, name: &str, first: u8) -> Result<Format, Unusable> {
        let format = self.chosen.unwrap_or_else(|| self.found(name, first));
        self.check(format, name)?;
        Ok(format)
    }

    fn found(&self, name: &str, first: u8) -> Format {
        let names_prompts = self.prompts.field.is_some();
        let extension = name.rsplit_once('.').map_or("", |(_, end)| end);
        match (extension.to_ascii_lowercase().as_str(), first) {
            ("csv", _) => Format::Csv(b','),
            ("tsv", _) => Format::Csv(b'\t'),
            ("txt", first) if first != b'{' => Format::Lines,
            (_, b'{' | b'[') | ("jsonl" | "ndjson" | "json", _) => {
                match names_prompts || self.prompts.template.is_some() {
                    true => Format::Jsonl,
                    false => Format::Batch,
                }
            }
            _ if names_prompts => Format::Csv(b','),
            _ if self.prompts.template.is_some() => Format::Lines,
            _ => Format::Batch,
        }
    }

    fn check(&self, format: Format, name: &str) -> Result<(), Unusable> {
        let Prompts {
            field,
            template,
            id_field,
            system,
        } = &self.prompts;
        let names_prompts = field.is_some() || template.is_some();
        let why = match format {
            Format::Batch => {
                let set = [
                    ("--prompt-field", field.is_some()),
                    ("--template", template.is_some()),
                    ("--id-field", id_field.is_some()),
                    ("--system", system.is_some()),
                ];
                match set.iter().find(|(_, is_set)| *is_set) {
                    Some((option, _)) => format!(
                        "it holds whole calls, and {option} is for prompts: leave it out, or name the field of the \
                         prompts with --prompt-field"
                    ),
                    None => return Ok(()),
                }
            }
            Format::Jsonl if !names_prompts => {
                "name the field that holds the prompts with --prompt-field".to_owned()
            }
            // The columns are named once they are known.
            Format::Csv(_) if !names_prompts => return Ok(()),
            Format::Lines if field.is_some() || id_field.is_some() => format!(
                "it holds a prompt a line, which has no fields: leave {} out, or use --input-format csv",
                match field {
                    Some(_) => "--prompt-field",
                    None => "--id-field",
                }
            ),
            Format::Lines => {
                let other = template
                    .iter()
                    .flat_map(Template::fields)
                    .find(|&field| field != LINE);
                match other {
                    Some(other) => format!(
                        "it holds a prompt a line, which --template has to call `{{{LINE}}}`, not `{{{other}}}`"
                    ),
                    None => return self.check_model(name),
                }
            }
            _ => return self.check_model(name),
        };
        Err(Unusable::new(format!("{name}: {why}")))
    }

    /// The names of the columns have to be there, and be one column each.
    ///
    /// # Errors
    ///
    /// [`Unusable`] columns.
    pub(super) fn check_columns(&self, name: &str, columns: &[String]) -> Result<(), Unusable> {
        let mut list: Vec<String> = columns
            .iter()
            .take(COLUMNS)
            .map(|name| shown(name))
            .collect();
        if columns.len() > COLUMNS {
            list.push("..".to_owned());
        }
        let list = list.join(", ");
        let no = |why: String| Err(Unusable::new(format!("{name}: {why}; its columns: {list}")));
        if self.prompts.field.is_none() && self.prompts.template.is_none() {
            return no("name the column that holds the prompts with --prompt-field".to_owned());
        }
        if let Some(missing) = self
            .prompts
            .needed()
            .find(|&needed| !columns.iter().any(|column| column == needed))
        {
            return no(format!("it has no column `{missing}`"));
        }
        let twice = columns
            .iter()
            .enumerate()
            .find(|(index, column)| !column.is_empty() && columns[..*index].contains(column));
        match twice {
            Some((_, column)) => no(format!("two columns are called `{column}`")),
            None => self.check_model(name),
        }
    }

    fn check_model(&self, name: &str) -> Result<(), Unusable> {
        match self.has_model {
            true => Ok(()),
            false => Err(Unusable::new(format!(
                "{name}: it holds prompts: name their model with --model, such as --model qwen-plus"
            ))),
        }
    }
}

/// A text, or the content of the file that it names after `@`.
fn text_or_file(option: &str, text: &str) -> Result<String, Unusable> {
    let Some(path) = text.strip_prefix('@') else {
        return Ok(text.to_owned());
    };
    let text = fs::read_to_string(path)
        .map_err(|error| Unusable::new(format!("{option}: {path}: {}", why(&error))))?;
    // The line feed at the end is the editor's.
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::args::Args;

    fn decided(line: &str, name: &str, first: u8) -> Result<Format, String> {
        let line = ["batch", "--input", "x"]
            .into_iter()
            .chain(line.split_whitespace());
        let args = Args::try_parse_from(line).expect("good usage");
        Options::new(&args.input_args, args.model.is_some())
            .and_then(|options| options.decide(name, first))
            .map_err(|unusable| unusable.to_string())
    }

    #[test]
    fn names_and_first_bytes_decide() {
        let (field, template) = (
            "--model m --prompt-field f",
            "--model m --template {prompt}",
        );
        for (line, name, first, format) in [
            ("", "a.jsonl", b'{', Format::Batch),
            ("", "a.jsonl", b'x', Format::Batch),
            ("", "a", b'{', Format::Batch),
            ("", "a.txt", b'{', Format::Batch),
            ("", "a", b'x', Format::Batch),
            (field, "a.jsonl", b'{', Format::Jsonl),
            (template, "a.jsonl", b'{', Format::Jsonl),
            (field, "a.CSV", b'{', Format::Csv(b',')),
            (field, "a.tsv", b'f', Format::Csv(b'\t')),
            (field, "stdin", b'f', Format::Csv(b',')),
            ("", "a.csv", b'f', Format::Csv(b',')),
            ("--model m", "a.txt", b'x', Format::Lines),
            (template, "stdin", b'x', Format::Lines),
            (
                "--model m --input-format lines",
                "a.jsonl",
                b'{',
                Format::Lines,
            ),
        ] {
            assert_eq!(decided(line, name, first), Ok(format), "{line} {name}");
        }
    }

    #[test]
    fn what_does_not_fit_is_one_sentence() {
        for (line, name, first, said) in [
            ("", "a.txt", b'x', "--model"),
            ("--prompt-field f", "a.jsonl", b'{', "--model"),
            ("--system s", "a.jsonl", b'{', "--system is for prompts"),
            ("--id-field s", "a.jsonl", b'{', "--id-field is for prompts"),
            (
                "--input-format batch --prompt-field f",
                "a",
                b'{',
                "--prompt-field is for prompts",
            ),
            ("--input-format jsonl", "a.jsonl", b'{', "--prompt-field"),
            (
                "--model m --prompt-field f",
                "a.txt",
                b'x',
                "leave --prompt-field out",
            ),
            (
                "--model m --id-field f",
                "a.txt",
                b'x',
                "leave --id-field out",
            ),
            (
                "--model m --template {text}",
                "a.txt",
                b'x',
                "`{prompt}`, not `{text}`",
            ),
            (
                "--template text",
                "a.txt",
                b'x',
                "--template: it names no field",
            ),
            (
                "--template @nowhere",
                "a.txt",
                b'x',
                "--template: nowhere: there is no such file",
            ),
            (
                "--prompt-field f --id-field f",
                "a.csv",
                b'x',
                "the same field",
            ),
        ] {
            let said_so = decided(line, name, first).expect_err("unusable");
            assert!(
                said_so.contains(said) && !said_so.contains('\n'),
                "{said_so}"
            );
        }
    }
}
