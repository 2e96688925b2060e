/// What the bytes were that [`Scanner::push_event`](crate::scan::Scanner) took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventProgress {
    /// No part of an event: a byte order mark, or the line feed behind the carriage return that
    /// ended one.
    Between,
    /// All there was, of an event that goes on.
    Partial,
    /// The rest of an event.
    Ended(EventKind),
}

/// What matters of an event as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    /// It states usage and has no answers: the event that a request for usage adds to a stream.
    UsageOnly,
    Other,
}
