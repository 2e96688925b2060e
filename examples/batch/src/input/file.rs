//! One file of the input: its lines as calls.

use std::{collections::VecDeque, io, sync::Arc};

use super::{
    BadLine, InputCall, MAX_LINE, Place, Reason, Unusable,
    csv::Csv,
    feed::Content,
    format::{Format, Options},
    guess::guess,
    lines::Lines,
    object::Object,
    prompt::Fields,
    start::Start,
    unusable::WrongFormat,
};

/// So many bad lines at the beginning of a file, and no good one, are a file of the wrong format.
const TRIAL: u64 = 20;
/// How much of a bad line is looked at for a guess. Unit: bytes.
const GUESSED_AT: usize = 1 << 16;

/// A file that is read.
pub(super) struct File<'a> {
    name: Arc<str>,
    stage: Stage<'a>,
    trial: Trial,
}

/// A line, and its call or why it is none.
pub(super) struct Parsed {
    pub(super) line: u64,
    pub(super) call: Result<InputCall, Reason>,
}

enum Stage<'a> {
    Start(Start<Content<'a>>),
    Lines(Lines<Content<'a>>, Format),
    Csv {
        csv: Box<Csv<Content<'a>>>,
        delimiter: u8,
        is_checked: bool,
    },
    End,
}

/// Whether the file has the format it is taken to have.
#[derive(Default)]
struct Trial {
    is_over: bool,
    /// Lines that were read to find out.
    held: VecDeque<Parsed>,
    bad: u64,
    first: Option<Vec<u8>>,
}

impl<'a> File<'a> {
    pub(super) fn new(name: Arc<str>, content: Content<'a>) -> Self {
        Self {
            name,
            stage: Stage::Start(Start::new(content)),
            trial: Trial::default(),
        }
    }

    /// The next line that is not blank; `None` at the end.
    ///
    /// # Errors
    ///
    /// As reading does; inside of it [`Unusable`] or [`WrongFormat`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub(super) async fn next(&mut self, options: &Options) -> io::Result<Option<Parsed>> {
        self.check(options).await?;
        match self.trial.held.pop_front() {
            Some(held) => Ok(Some(held)),
            None => self.read(options).await,
        }
    }

    /// Passes over a line that is not blank; false at the end.
    pub(super) async fn skip(&mut self) -> io::Result<bool> {
        if self.trial.held.pop_front().is_some() {
            return Ok(true);
        }
        Ok(match &mut self.stage {
            Stage::Start(_) | Stage::End => false,
            Stage::Lines(lines, _) => lines.next().await?.is_some(),
            Stage::Csv { csv, .. } => csv.next().await?.is_some(),
        })
    }

    /// Reads until the format is known to be right: up to the first line that is good.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub(super) async fn check(&mut self, options: &Options) -> io::Result<()> {
        while !self.trial.is_over {
            let parsed = self.read(options).await?;
            self.trial.is_over = match &parsed {
                Some(parsed) => !matches!(&parsed.call, Err(reason) if reason.is_of_format()),
                None => self.trial.bad == 0,
            };
            let has_ended = parsed.is_none();
            self.trial.held.extend(parsed);
            if self.trial.is_over {
                return Ok(());
            }
            self.trial.bad += u64::from(!has_ended);
            if has_ended || self.trial.bad == TRIAL {
                self.trial.is_over = true;
                if let Some(wrong) = self.wrong() {
                    // The error stands for them.
                    self.trial.held.clear();
                    return Err(wrong.into());
                }
            }
        }
        Ok(())
    }

    /// Shows the whole calls that are there without a wait; they are still given.
    ///
    /// # Errors
    ///
    /// As [`next`](Self::next).
    pub(super) async fn peek(
        &mut self,
        options: &Options,
        mut each: impl FnMut(&InputCall),
    ) -> io::Result<()> {
        self.check(options).await?;
        if let Stage::Lines(lines, Format::Batch) = &mut self.stage {
            let held = self.trial.held.iter();
            held.filter_map(|parsed| parsed.call.as_ref().ok())
                .for_each(&mut each);
            for line in lines.ahead()?.split(|&byte| byte == b'\n') {
                InputCall::parse(line.trim_ascii())
                    .iter()
                    .for_each(&mut each);
            }
        }
        Ok(())
    }

    fn wrong(&self) -> Option<WrongFormat> {
        let format = match &self.stage {
            Stage::Lines(_, format) => *format,
            Stage::Csv { delimiter, .. } => Format::Csv(*delimiter),
            Stage::Start(_) | Stage::End => return None,
        };
        let first = self.trial.held.front()?;
        let reason = first.call.as_ref().err()?.clone();
        let guess = self
            .trial
            .first
            .as_deref()
            .and_then(|line| guess(format, line));
        Some(WrongFormat {
            name: self.name.to_string(),
            format,
            bad: self.trial.bad,
            first: BadLine {
                place: Place {
                    file: None,
                    line: first.line,
                },
                reason,
            },
            more: None,
            guess,
        })
    }

    async fn read(&mut self, options: &Options) -> io::Result<Option<Parsed>> {
        loop {
            match &mut self.stage {
                Stage::End => return Ok(None),
                Stage::Start(start) => {
                    let first = start.first_byte().await?;
                    self.begin(first, options)?;
                }
                Stage::Lines(lines, format) => {
                    let Some((line, text)) = lines.next().await? else {
                        return Ok(None);
                    };
                    if let (Ok(text), false, None) = (&text, self.trial.is_over, &self.trial.first)
                    {
                        self.trial.first = Some(text[..text.len().min(GUESSED_AT)].to_vec());
                    }
                    let call = text.and_then(|text| call(*format, text, options, &self.name, line));
                    return Ok(Some(Parsed { line, call }));
                }
                Stage::Csv {
                    csv, is_checked, ..
                } => {
                    if !*is_checked {
                        let columns = csv.columns().await?.ok_or_else(|| {
                            Unusable::new(
                                "its first line, of the columns, is too long or no text in UTF-8",
                            )
                        })?;
                        options.check_columns(&self.name, &columns)?;
                        *is_checked = true;
                    }
                    let Some((line, row)) = csv.next().await? else {
                        return Ok(None);
                    };
                    let call = row.and_then(|row| {
                        options
                            .prompts()
                            .call(&Fields::of_row(row), &self.name, line)
                    });
                    return Ok(Some(Parsed { line, call }));
                }
            }
        }
    }

    /// Goes on as the first byte says.
    fn begin(&mut self, first: Option<u8>, options: &Options) -> io::Result<()> {
        let stage = std::mem::replace(&mut self.stage, Stage::End);
        if let (Stage::Start(start), Some(first)) = (stage, first) {
            let format = options.decide(&self.name, first)?;
            let (content, gone) = start.into_rest();
            self.stage = match format {
                Format::Csv(delimiter) => Stage::Csv {
                    csv: Box::new(Csv::new(content, gone, delimiter, MAX_LINE)),
                    delimiter,
                    is_checked: false,
                },
                _ => Stage::Lines(Lines::new(content, gone, MAX_LINE), format),
            };
        }
        Ok(())
    }
}

fn call(
    format: Format,
    text: &[u8],
    options: &Options,
    name: &str,
    line: u64,
) -> Result<InputCall, Reason> {
    let fields = match format {
        Format::Batch => return InputCall::parse(text),
        Format::Jsonl => Fields::of_object(Object::parse(text)?),
        Format::Lines | Format::Csv(_) => {
            Fields::of_line(std::str::from_utf8(text).map_err(|_| Reason::NotUtf8)?)
        }
    };
    options.prompts().call(&fields, name, line)
}

impl std::fmt::Debug for File<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use futures_util::FutureExt;
    use proptest::prelude::*;
    use tokio::io::BufReader;

    use super::*;
    use crate::args::Args;

    /// Each line, with its id or what is wrong with it; at the end why there are no more.
    fn read(options: &Options, name: &str, content: &[u8], capacity: usize) -> Vec<String> {
        let content = BufReader::with_capacity(capacity, content);
        let mut file = File::new(name.into(), Box::new(content));
        let read = async {
            let mut found = Vec::new();
            loop {
                match file.next(options).await {
                    Ok(Some(Parsed { line, call })) => found.push(match call {
                        Ok(call) => format!("{line}: {}", call.custom_id),
                        Err(reason) => format!("{line}: {reason}"),
                    }),
                    Ok(None) => return found,
                    Err(error) => {
                        found.push(error.to_string());
                        return found;
                    }
                }
            }
        };
        read.now_or_never().expect("it is in memory")
    }

    proptest! {
        #[test]
        fn whatever_a_file_holds_and_however_it_arrives_it_is_read_the_same(
            content in prop_oneof![
                proptest::collection::vec(any::<u8>(), 0..200).boxed(),
                "(\\{\"f\": ?\"[a\u{e9}]*\"\\}|f,g|\"|[ab{},\r\n\u{feff}]){0,40}".prop_map(String::into_bytes).boxed(),
            ],
            format in prop_oneof![Just(""), Just("--input-format=jsonl"), Just("--input-format=csv"), Just("--input-format=tsv")],
            capacity in 3..50_usize,
        ) {
            let line = ["batch", "--input", "x", "--model", "m", "--prompt-field", "f"];
            let line = line.into_iter().chain((!format.is_empty()).then_some(format));
            let args = Args::try_parse_from(line)?;
            let options = Options::new(&args.input_args, true)?;
            for name in ["a", "a.jsonl", "a.csv"] {
                prop_assert_eq!(
                    read(&options, name, &content, capacity),
                    read(&options, name, &content, 1 << 16)
                );
            }
        }
    }
}
