//! What the input has beside calls that a job can have.

use std::io;

use super::plan::OnPlan;
use crate::{
    app::say,
    counts::Counts,
    input::{BadLine, BadLines},
    output::{Record, Writer},
};

/// Tells of what the input has beside jobs.
pub(super) struct Lines<'a> {
    /// `None` writes nothing.
    pub(super) writer: Option<&'a mut Writer>,
    pub(super) provider: &'a str,
    pub(super) counts: Counts,
    pub(super) bad_lines: BadLines,
}

impl OnPlan for Lines<'_> {
    fn bad_line(&mut self, line: &BadLine) -> io::Result<()> {
        if let Some(text) = self.bad_lines.text(line) {
            say(format_args!("{text}"));
        }
        match &mut self.writer {
            Some(writer) => writer.bad_line(line),
            None => Ok(()),
        }
    }

    fn refused(&mut self, record: Record) -> io::Result<()> {
        let record = record.by(self.provider);
        self.counts.note(&record);
        match &mut self.writer {
            Some(writer) => writer.write(&record),
            None => Ok(()),
        }
    }
}
