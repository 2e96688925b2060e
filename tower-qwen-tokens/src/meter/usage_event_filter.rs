use std::{collections::VecDeque, mem};

use bytes::Bytes;
use http_body::SizeHint;

use crate::scan::{EventKind, EventProgress, Scanner};

/// The longest event that is held back, in bytes. A usage event is much shorter; an event of
/// content that may still become one must neither wait for long nor fill memory.
const MAX_HELD: usize = 8 * 1024;

/// Removes the events from a stream that the Meter's request for usage adds: the first ones that
/// state usage and have no answers, usually one, at some hosts one for each answer. Every other byte
/// goes through unchanged.
#[derive(Default)]
pub(super) struct UsageEventFilter {
    mode: FilterMode,
    /// How many more may come behind the one that is searched for.
    others: u32,
    /// How much of the present event has come. Unit: bytes.
    length: usize,
    /// The beginning of an event that may be the one, from earlier chunks.
    held: Vec<u8>,
    /// What the caller gets next.
    output: VecDeque<Bytes>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum FilterMode {
    /// The present event may be the one.
    #[default]
    Searching,
    /// The present event is not the one, or too long.
    NotThisEvent,
    /// It was just removed, and so is a line feed that completes its line break.
    Removed,
    /// The rest goes through.
    Done,
}

impl UsageEventFilter {
    /// A filter for a stream of so many answers.
    pub(super) fn new(answers: u32) -> Self {
        Self {
            others: answers.saturating_sub(1),
            ..Self::default()
        }
    }

    /// Lets the scanner read a chunk, and filters it; returns what the caller gets next.
    pub(super) fn push(&mut self, chunk: Bytes, scanner: &mut Scanner) -> Option<Bytes> {
        // The bytes from `from` to `at` were read and are neither held nor in the output yet.
        let mut from = 0;
        let mut at = 0;
        while at < chunk.len() && self.mode != FilterMode::Done {
            let (taken, progress) = scanner.push_event(&chunk[at..]);
            let end = at + taken;
            if self.mode == FilterMode::Removed {
                let is_more = self.others > 0;
                self.others = self.others.saturating_sub(1);
                self.mode = if is_more {
                    FilterMode::Searching
                } else {
                    FilterMode::Done
                };
                if progress == EventProgress::Between {
                    from = end;
                    at = end;
                    continue;
                }
                if !is_more {
                    at = end;
                    continue;
                }
            }
            match progress {
                EventProgress::Between => {}
                EventProgress::Partial => {
                    self.length = self.length.saturating_add(taken);
                    if self.mode == FilterMode::Searching {
                        if self.length <= MAX_HELD && scanner.may_be_usage_only() {
                            self.emit(chunk.slice(from..at));
                            self.held.extend_from_slice(&chunk[at..end]);
                            from = end;
                        } else {
                            self.release();
                            self.mode = FilterMode::NotThisEvent;
                        }
                    }
                }
                EventProgress::Ended(kind) => {
                    let length = mem::take(&mut self.length).saturating_add(taken);
                    if kind == EventKind::UsageOnly
                        && self.mode == FilterMode::Searching
                        && length <= MAX_HELD
                    {
                        self.emit(chunk.slice(from..at));
                        self.held = Vec::new();
                        from = end;
                        self.mode = FilterMode::Removed;
                    } else {
                        self.release();
                        self.mode = FilterMode::Searching;
                    }
                }
            }
            at = end;
        }
        scanner.push(&chunk[at..]);
        // The usual case: the chunk goes through as it is, without a queue.
        if from == 0 && self.output.is_empty() {
            return Some(chunk);
        }
        self.emit(chunk.slice(from..));
        self.next()
    }

    /// The stream is over, or has failed: releases what is held, unless it is the whole event but
    /// for its blank line.
    pub(super) fn finish(&mut self, scanner: &mut Scanner) {
        if scanner.is_usage_only() {
            self.held.clear();
        }
        self.release();
        self.mode = FilterMode::Done;
    }

    /// What the caller gets next.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.output.pop_front()
    }

    /// Whether nothing is held or to be output.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.output.is_empty()
    }

    /// The size of what the caller will get, if `rest` is still to come in.
    pub(super) fn size_hint(&self, rest: &SizeHint) -> SizeHint {
        let output = self.output.iter().map(Bytes::len).sum::<usize>() as u64;
        let held = self.held.len() as u64;
        // The events may still be removed, from what is held and what comes.
        let removable = if self.mode == FilterMode::Done {
            0
        } else {
            (MAX_HELD as u64).saturating_mul(1 + u64::from(self.others))
        };
        let lower = rest.lower().saturating_add(held).saturating_sub(removable);
        let mut hint = SizeHint::new();
        hint.set_lower(lower.saturating_add(output));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(held).saturating_add(output));
        }
        hint
    }

    fn release(&mut self) {
        if !self.held.is_empty() {
            let held = mem::take(&mut self.held);
            self.emit(held.into());
        }
    }

    fn emit(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.output.push_back(bytes);
        }
    }
}
