//! The input as the arguments name it, checked before anything is sent.

use std::path::Path;

use super::{
    InputArgs, Reader, Unusable,
    file::File,
    format::Options,
    selection::{Sampling, Selection},
    source::{Source, sources},
    unusable::WrongFormat,
};

/// An input that is ready to be read.
#[derive(Debug)]
pub struct Opened {
    /// Reads its calls.
    pub reader: Reader<'static>,
    /// How many calls and bad lines it has, where that is known.
    pub total: Option<u64>,
}

/// What the input is to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The file of `--input`; the bundled prompts without one.
    pub input: Option<&'a Path>,
    /// What the arguments say of it.
    pub args: &'a InputArgs,
    /// Every call is given a model.
    pub has_model: bool,
    /// Files that the run writes: no pattern finds them.
    pub written: &'a [&'a Path],
}

/// What reading an input once has shown.
#[derive(Debug, Default)]
struct Survey {
    total: u64,
    sampling: Option<Sampling>,
}

/// Opens an input. Files are read through once, to check and to count.
///
/// # Errors
///
/// [`Unusable`].
pub async fn open(wanted: Wanted<'_>) -> Result<Opened, Unusable> {
    let args = wanted.args;
    let options = Options::new(args, wanted.has_model)?;
    let sources = match wanted.input {
        None => vec![Source::bundled()],
        Some(input) => {
            let named: Vec<&Path> = std::iter::once(input)
                .chain(args.more.iter().map(AsRef::as_ref))
                .collect();
            sources(&named, wanted.written)?
        }
    };
    let mut selection = Selection {
        shard: args.shard,
        highest_rank: None,
    };
    let can_be_surveyed = sources.iter().all(|source| source.is_file);
    if args.sample.is_some() && !can_be_surveyed {
        return Err(Unusable::new(
            "--sample reads the input twice, which only files allow: write it to a file first",
        ));
    }
    let mut total = None;
    if can_be_surveyed {
        let sampling = args
            .sample
            .map(|size| Sampling::new(usize::try_from(size).unwrap_or(usize::MAX)));
        let mut survey = Survey { total: 0, sampling };
        for source in &sources {
            survey.read(source, &options, &selection).await?;
        }
        if let Some(sampling) = &survey.sampling {
            let (size, highest) = sampling.end();
            survey.total = u64::try_from(size).unwrap_or(u64::MAX);
            selection.highest_rank = Some(highest);
        }
        total = Some(survey.total);
    }
    let mut reader = Reader::of(sources, options, selection);
    reader.check().await?;
    Ok(Opened { reader, total })
}

impl Survey {
    async fn read(
        &mut self,
        source: &Source,
        options: &Options,
        selection: &Selection,
    ) -> Result<(), Unusable> {
        let mut file = File::new(source.name.clone(), source.content());
        let path = source.path();
        let unusable = |error| Unusable::of(&source.name, &path, &error);
        if let Err(mut error) = file.check(options).await {
            if let Some(wrong) = error
                .get_mut()
                .and_then(|inner| inner.downcast_mut::<WrongFormat>())
            {
                let mut more = 0;
                while file.skip().await.is_ok_and(|is_line| is_line) {
                    more += 1;
                }
                wrong.more = Some(more);
            }
            return Err(unusable(error));
        }
        if self.sampling.is_none() && selection.shard.is_none() {
            // No line of a file is read twice as JSON for the sake of its number alone.
            while file.skip().await.map_err(unusable)? {
                self.total += 1;
            }
            return Ok(());
        }
        while let Some(parsed) = file.next(options).await.map_err(unusable)? {
            let is_taken = match &parsed.call {
                Ok(call) => {
                    let is_taken = selection.takes(&call.custom_id);
                    if let (true, Some(sampling)) = (is_taken, &mut self.sampling) {
                        sampling.note(&call.custom_id);
                    }
                    is_taken
                }
                Err(_) => selection.takes_bad(&source.name, parsed.line),
            };
            self.total += u64::from(is_taken);
        }
        Ok(())
    }
}
