use std::{collections::VecDeque, mem};

use bytes::Bytes;
use http_body::SizeHint;

use crate::scan::{EventKind, EventProgress, Scanner};

/// The longest event that is held back. Unit: bytes.
const MAX_HELD: usize = 8 * 1024;

/// Takes the event out of a stream that is there because the Meter asked for usage: the first one that states usage and
/// has no answers. Everything else passes byte for byte.
#[derive(Default)]
pub(super) struct ExtraEvent {
    state: State,
    /// How much of the present event has passed. Unit: bytes.
    length: usize,
    /// The beginning of an event that may be it, as far as it came in earlier chunks.
    held: Vec<u8>,
    /// What goes on to the caller.
    flowing: VecDeque<Bytes>,
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The present event may be it.
    #[default]
    Looking,
    /// The present event is not it, or too long.
    Passing,
    /// It was just taken out; a line feed that completes its break goes with it.
    TakenOut,
    /// Everything passes.
    Over,
}

impl ExtraEvent {
    /// Has the scanner read a chunk, and sorts it; gives what goes on next.
    pub(super) fn push(&mut self, chunk: Bytes, scanner: &mut Scanner) -> Option<Bytes> {
        // What lies between the two goes on, before whatever follows.
        let mut from = 0;
        let mut at = 0;
        while at < chunk.len() && self.state != State::Over {
            let (taken, progress) = scanner.push_event(&chunk[at..]);
            let end = at + taken;
            if self.state == State::TakenOut {
                if progress == EventProgress::Between {
                    from = end;
                }
                self.state = State::Over;
                at = end;
                continue;
            }
            match progress {
                EventProgress::Between => {}
                EventProgress::Partial => {
                    self.length = self.length.saturating_add(taken);
                    if self.state == State::Looking {
                        if self.length <= MAX_HELD && scanner.may_be_usage_only() {
                            self.flow(chunk.slice(from..at));
                            self.held.extend_from_slice(&chunk[at..end]);
                            from = end;
                        } else {
                            self.let_go();
                            self.state = State::Passing;
                        }
                    }
                }
                EventProgress::Ended(kind) => {
                    let length = mem::take(&mut self.length).saturating_add(taken);
                    if kind == EventKind::UsageOnly
                        && self.state == State::Looking
                        && length <= MAX_HELD
                    {
                        self.flow(chunk.slice(from..at));
                        self.held = Vec::new();
                        from = end;
                        self.state = State::TakenOut;
                    } else {
                        self.let_go();
                        self.state = State::Looking;
                    }
                }
            }
            at = end;
        }
        scanner.push(&chunk[at..]);
        if from == 0 && self.flowing.is_empty() {
            return Some(chunk);
        }
        self.flow(chunk.slice(from..));
        self.next()
    }

    /// The stream is over, or has failed: what is held goes on, unless it is the whole event but for its end.
    pub(super) fn finish(&mut self, scanner: &mut Scanner) {
        if scanner.is_usage_only() {
            self.held.clear();
        }
        self.let_go();
        self.state = State::Over;
    }

    /// What goes on next.
    pub(super) fn next(&mut self) -> Option<Bytes> {
        self.flowing.pop_front()
    }

    /// Whether nothing waits here.
    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty() && self.flowing.is_empty()
    }

    /// How much comes out in the end where so much is still to come in.
    pub(super) fn size_hint(&self, rest: &SizeHint) -> SizeHint {
        let flowing = self.flowing.iter().map(Bytes::len).sum::<usize>() as u64;
        let held = self.held.len() as u64;
        let may_go = if self.state == State::Over {
            0
        } else {
            MAX_HELD as u64
        };
        let lower = rest.lower().saturating_add(held).saturating_sub(may_go);
        let mut hint = SizeHint::new();
        hint.set_lower(lower.saturating_add(flowing));
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper.saturating_add(held).saturating_add(flowing));
        }
        hint
    }

    fn let_go(&mut self) {
        if !self.held.is_empty() {
            let held = mem::take(&mut self.held);
            self.flow(held.into());
        }
    }

    fn flow(&mut self, bytes: Bytes) {
        if !bytes.is_empty() {
            self.flowing.push_back(bytes);
        }
    }
}
