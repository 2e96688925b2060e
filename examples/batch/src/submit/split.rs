//! Which line goes into which job.
//!
//! The law: every line that is small enough by itself is in exactly one job, all lines of a job have one group, and no job is
//! over a limit. A job is as full as the order of the lines allows: the next one begins only where the next line does not fit.

use std::{collections::HashMap, fmt};

use super::Limits;

/// What all lines of a job have in common. The provider's file has one path, one model and one mode of thinking.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Group {
    /// The path, such as `/v1/chat/completions`.
    pub endpoint: String,
    /// The model.
    pub model: String,
    /// The value of `enable_thinking`; empty where the lines have none.
    pub thinking: String,
}

/// What a line adds to its job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Bytes, without the line feed.
    pub bytes: u64,
    /// Tokens of its prompt.
    pub tokens: u64,
}

/// What a job has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Load {
    /// Of all its lines.
    pub group: Group,
    /// Lines.
    pub lines: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// Tokens of all prompts.
    pub tokens: u64,
}

/// A line that no job may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TooLarge {
    /// It has more bytes than a line may have.
    Bytes(u64),
    /// It has more tokens than may be enqueued at one time.
    Tokens(u64),
}

/// Puts lines into jobs.
#[derive(Debug)]
pub struct Splitter {
    limits: Limits,
    jobs: Vec<Load>,
    /// The job of each group that is not full.
    open: HashMap<Group, usize>,
}

impl Splitter {
    /// Without a job yet.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            jobs: Vec::new(),
            open: HashMap::new(),
        }
    }

    /// The number of the job that a line goes into, from 0.
    ///
    /// # Errors
    ///
    /// [`TooLarge`].
    pub fn place(&mut self, group: &Group, size: Size) -> Result<usize, TooLarge> {
        // A file that may have less than a line may is full with one line feed less.
        let most = self
            .limits
            .line_bytes
            .min(self.limits.bytes.saturating_sub(1));
        if size.bytes > most {
            return Err(TooLarge::Bytes(most));
        }
        if let Some(most) = self.limits.tokens.filter(|&most| size.tokens > most) {
            return Err(TooLarge::Tokens(most));
        }
        let open = self.open.get(group).copied();
        let index = match open.filter(|&index| self.fits(index, size)) {
            Some(index) => index,
            None => {
                self.jobs.push(Load {
                    group: group.clone(),
                    lines: 0,
                    bytes: 0,
                    tokens: 0,
                });
                self.open.insert(group.clone(), self.jobs.len() - 1);
                self.jobs.len() - 1
            }
        };
        let job = &mut self.jobs[index];
        job.lines += 1;
        job.bytes += size.bytes + 1;
        job.tokens = job.tokens.saturating_add(size.tokens);
        Ok(index)
    }

    /// The jobs so far.
    #[must_use]
    pub fn jobs(&self) -> &[Load] {
        &self.jobs
    }

    fn fits(&self, index: usize, size: Size) -> bool {
        let job = &self.jobs[index];
        let tokens = job.tokens.saturating_add(size.tokens);
        job.lines < self.limits.lines
            && job.bytes + size.bytes < self.limits.bytes
            && self.limits.tokens.is_none_or(|most| tokens <= most)
    }
}

impl fmt::Display for TooLarge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(most) => write!(f, "a line of a job may have {most} bytes"),
            Self::Tokens(most) => write!(f, "a job may have {most} tokens (--enqueued-tokens)"),
        }
    }
}

impl std::error::Error for TooLarge {}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn group(number: u8) -> Group {
        Group {
            endpoint: "/v1/chat/completions".to_owned(),
            model: format!("m{number}"),
            thinking: String::new(),
        }
    }

    proptest! {
        #[test]
        fn every_line_is_in_one_job_and_no_job_is_over_a_limit(
            lines in vec((0_u8..3, 0_u64..60, 0_u64..60), 0..80),
            most in (1_u64..8, 1_u64..120, 1_u64..60, prop::option::of(1_u64..90)),
        ) {
            let limits = Limits { lines: most.0, bytes: most.1, line_bytes: most.2, tokens: most.3 };
            let mut splitter = Splitter::new(limits);
            let mut placed: Vec<Vec<(u8, u64, u64)>> = Vec::new();
            for (kind, bytes, tokens) in lines {
                let size = Size { bytes, tokens };
                // The end of the file counts the line feed.
                let is_too_large = bytes > limits.line_bytes
                    || bytes + 1 > limits.bytes
                    || limits.tokens.is_some_and(|most| tokens > most);
                match splitter.place(&group(kind), size) {
                    Ok(index) => {
                        prop_assert!(!is_too_large);
                        prop_assert!(index <= placed.len());
                        placed.resize(placed.len().max(index + 1), Vec::new());
                        placed[index].push((kind, bytes, tokens));
                    }
                    Err(_) => prop_assert!(is_too_large),
                }
            }
            prop_assert_eq!(placed.len(), splitter.jobs().len());
            for (index, (lines, load)) in placed.iter().zip(splitter.jobs()).enumerate() {
                let bytes: u64 = lines.iter().map(|line| line.1 + 1).sum();
                let tokens: u64 = lines.iter().map(|line| line.2).sum();
                prop_assert_eq!((load.lines, load.bytes, load.tokens), (lines.len() as u64, bytes, tokens));
                prop_assert!(load.lines >= 1 && load.lines <= limits.lines && bytes <= limits.bytes);
                prop_assert!(limits.tokens.is_none_or(|most| tokens <= most));
                prop_assert!(lines.iter().all(|line| group(line.0) == load.group));
                // No job ends before it must: the first line of the next one of its group does not fit.
                let later = placed[index + 1..].iter().find(|other| other[0].0 == lines[0].0);
                if let Some(&(_, more, more_tokens)) = later.map(|lines| &lines[0]) {
                    let is_full = load.lines == limits.lines
                        || bytes + more + 1 > limits.bytes
                        || limits.tokens.is_some_and(|most| tokens + more_tokens > most);
                    prop_assert!(is_full);
                }
            }
        }
    }
}
