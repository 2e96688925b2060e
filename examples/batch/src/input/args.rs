//! The part of the command line that is about the input.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde_json::value::{RawValue, to_raw_value};

use super::Shard;

/// What the input is, and which calls of it are made.
#[derive(Debug, Clone, Args)]
pub struct InputArgs {
    /// More files after that of `--input`, as a shell makes them of a pattern.
    #[arg(value_name = "FILE", requires = "input")]
    pub more: Vec<PathBuf>,

    /// What the input holds. `auto` goes by the name and the first line: `.csv`, `.tsv` and `.txt` by their names; lines
    /// that begin with `{` are `jsonl` with `--prompt-field` or `--template`, and `batch` without.
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t = FormatArg::Auto, requires = "input")]
    pub input_format: FormatArg,

    /// The field of JSONL, or the column of CSV, that holds the prompts (or lists of messages).
    #[arg(long, value_name = "NAME", requires = "input")]
    pub prompt_field: Option<String>,

    /// The field or column that holds the ids. Default: `custom_id` where there is one, else an id of file, line and prompt.
    #[arg(long, value_name = "NAME", requires = "input")]
    pub id_field: Option<String>,

    /// A text of which the prompts are made: `{name}` stands for a field or a column, `{prompt}` for a line of text, `{{`
    /// for a brace. `@FILE` reads it from a file.
    #[arg(long, value_name = "TEXT", requires = "input")]
    pub template: Option<String>,

    /// A system message for each prompt. `@FILE` reads it from a file.
    #[arg(long, value_name = "TEXT", requires = "input")]
    pub system: Option<String>,

    /// A parameter of every call, in place of what its line says, such as `temperature=0`. May be given several times.
    #[arg(long, value_name = "NAME=VALUE", value_parser = param)]
    pub param: Vec<Param>,

    /// Only so many calls, picked by their ids: the same ones in every run, and among those of any larger sample.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub sample: Option<u32>,

    /// Only one of N parts of the calls, such as `1/4`. The parts have no call in common, and are the same on every machine.
    #[arg(long, value_name = "I/N")]
    pub shard: Option<Shard>,

    /// Where failed calls and bad lines go, in place of the output; each run begins it anew.
    #[arg(long, value_name = "FILE")]
    pub errors: Option<PathBuf>,
}

/// What an input holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FormatArg {
    /// Found out.
    Auto,
    /// Calls, one JSON object a line.
    Batch,
    /// Prompts, each in a JSON object on a line.
    Jsonl,
    /// Prompts in a table, with commas between columns.
    Csv,
    /// The same with tabs.
    Tsv,
    /// Prompts, one a line.
    Lines,
}

/// A parameter of every call.
#[derive(Debug, Clone)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Its value: JSON, or a text where what was given is no JSON.
    pub value: Box<RawValue>,
}

/// Reads `NAME=VALUE`.
///
/// # Errors
///
/// In words: what has no such form, or has an option of its own.
pub fn param(text: &str) -> Result<Param, String> {
    let (name, value) = text
        .split_once('=')
        .filter(|(name, _)| !name.trim().is_empty())
        .ok_or("it has not the form NAME=VALUE")?;
    let name = name.trim();
    match name {
        "model" => return Err("the model of every call is set by --model".to_owned()),
        "stream" | "stream_options" => return Err("streams are asked for by --stream".to_owned()),
        "messages" | "input" | "prompt" => return Err("that is the prompt itself".to_owned()),
        _ => {}
    }
    let value = RawValue::from_string(value.trim().to_owned())
        .or_else(|_| to_raw_value(value))
        .map_err(|error| error.to_string())?;
    Ok(Param {
        name: name.to_owned(),
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_json_or_text() {
        for (text, name, value) in [
            ("temperature=0.10", "temperature", "0.10"),
            ("stop=[\"a\"]", "stop", "[\"a\"]"),
            ("user=me = you", "user", "\"me = you\""),
            ("enable_thinking=false", "enable_thinking", "false"),
            ("user=", "user", "\"\""),
        ] {
            let param = param(text).expect("a parameter");
            assert_eq!((param.name.as_str(), param.value.get()), (name, value));
        }
        for text in ["", "a", "=1", "model=m", "messages=[]", "stream=true"] {
            assert!(param(text).is_err(), "{text}");
        }
    }
}
