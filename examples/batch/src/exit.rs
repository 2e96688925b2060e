//! How the program ends, and its exit status.

use std::{fmt, io, process::ExitCode};

use tower_qwen_ratelimit::budget::BudgetError;

use crate::{end_rules::Ended, summary::Summary};

/// How the program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All calls are answered.
    Done,
    /// Some calls failed, or some lines were no calls.
    SomeFailed,
    /// The cap cannot be held as it was given.
    Usage,
    /// No call can succeed.
    NothingCanSucceed,
    /// The cap of cost or tokens is reached.
    CapReached,
    /// It was stopped.
    Stopped,
}

/// Why the program could not go on.
#[derive(Debug)]
#[non_exhaustive]
pub enum Failure {
    /// The arguments cannot be followed. Nothing was sent.
    Usage(String),
    /// Reading or writing failed on the way. What was written is valid, and the run can be repeated.
    Io {
        /// What was tried.
        doing: &'static str,
        /// What came of it.
        error: io::Error,
    },
}

impl Exit {
    /// How a run ended.
    #[must_use]
    pub fn of(summary: &Summary, ended: Option<&Ended>) -> Self {
        match ended {
            _ if summary.stopped => Self::Stopped,
            Some(Ended::Fatal(_)) => Self::NothingCanSucceed,
            Some(Ended::Cap(BudgetError::Exceeded(_))) => Self::CapReached,
            Some(Ended::Cap(_)) => Self::Usage,
            Some(Ended::Failures(_)) => Self::SomeFailed,
            None if summary.has_failures() => Self::SomeFailed,
            None => Self::Done,
        }
    }
}

impl Failure {
    /// The exit status of the program.
    #[must_use]
    pub fn code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            Self::Io { .. } => ExitCode::from(1),
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Done => Self::SUCCESS,
            Exit::SomeFailed => Self::from(1),
            Exit::Usage => Self::from(2),
            Exit::NothingCanSucceed => Self::from(3),
            Exit::CapReached => Self::from(4),
            Exit::Stopped => Self::from(130),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(text) => f.write_str(text),
            Self::Io { doing, error } => write!(f, "{doing}: {error}"),
        }
    }
}

impl std::error::Error for Failure {}
