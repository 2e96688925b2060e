use std::{fmt, sync::Arc};

use http::{HeaderMap, header::CONTENT_TYPE};

use crate::{Dialect, Verdict, estimate::Estimate, shared::content::is_encoded};

use super::{
    json::Json,
    native_events::NativeEvents,
    scanned::Scanned,
    sniff::{Sniffed, Sniffer},
    sse::{EventProgress, Sse},
    template::KnownEvents,
    text::TextRule,
    unsupported_body::UnsupportedBody,
};

/// Reads one answer's body piece by piece. See the [module docs](super).
pub struct Scanner {
    format: Format,
    /// How many answers a stream has.
    answers: u32,
}

/// Boxed, as a scanner travels within futures and bodies and both formats are large.
enum Format {
    Json(Box<Json>),
    Sse(Box<Sse>),
    /// Its first bytes will say what it is.
    Unknown(Box<Unknown>),
}

struct Unknown {
    sniffer: Sniffer,
    dialect: Dialect,
    /// Whether its content type is that of JSON.
    is_called_json: bool,
    /// Whether its first bytes are those of neither format.
    is_neither: bool,
    keeps_text: bool,
    answers_per_prompt: Option<u32>,
    native_events: NativeEvents,
}

impl Scanner {
    fn new(format: Format) -> Self {
        Self { format, answers: 1 }
    }

    /// For a body that is one JSON document.
    #[must_use]
    pub fn json() -> Self {
        Self::new(Format::Json(Box::default()))
    }

    /// For a stream of server-sent events in this dialect.
    #[must_use]
    pub fn sse(dialect: Dialect) -> Self {
        let rule = match dialect {
            Dialect::Responses => TextRule::DeltasOnly,
            // Without `incremental_output` each native event repeats the text so far.
            dialect if dialect.is_native() => TextRule::Cumulative,
            _ => TextRule::AllParts,
        };
        // Only there a call has several prompts, each with an input of its own.
        let answers_per_prompt = (dialect == Dialect::Completions).then_some(1);
        let json = Json::new(rule, answers_per_prompt);
        Self::new(Format::Sse(Box::new(Sse::new(json))))
    }

    /// For an answer with these headers. What its content type leaves open, its first bytes say.
    ///
    /// # Errors
    ///
    /// A body that cannot be read: neither JSON nor a stream of events, or compressed.
    pub fn for_response(headers: &HeaderMap, dialect: Dialect) -> Result<Self, UnsupportedBody> {
        if is_encoded(headers) {
            return Err(UnsupportedBody::Encoded);
        }
        let media_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_ascii_lowercase())
            .unwrap_or_default();
        let is_called_json = match &*media_type {
            // JSON in such a stream is read as well.
            "text/event-stream" => return Ok(Self::sse(dialect)),
            "application/json" | "text/json" => true,
            other if other.starts_with("application/") && other.ends_with("+json") => true,
            // What servers say that do not know what they send.
            "" | "text/plain" | "application/octet-stream" => false,
            _ => return Err(UnsupportedBody::ContentType),
        };
        Ok(Self::new(Format::Unknown(Box::new(Unknown {
            sniffer: Sniffer::default(),
            dialect,
            is_called_json,
            is_neither: false,
            keeps_text: false,
            answers_per_prompt: None,
            native_events: NativeEvents::default(),
        }))))
    }

    /// How many answers a stream has, and how many of them to each prompt (`n`). With fewer
    /// reasons to stop it is not whole. Answers to one prompt share its input. Default: 1 and 1.
    ///
    /// Call it before the first byte.
    #[must_use]
    pub fn answers(mut self, all: u32, per_prompt: u32) -> Self {
        self.answers = all;
        match &mut self.format {
            Format::Json(_) => {}
            Format::Sse(sse) => sse.json.set_answers_per_prompt(per_prompt),
            Format::Unknown(unknown) => unknown.answers_per_prompt = Some(per_prompt),
        }
        self
    }

    /// What the events of a native stream bring. Call it before the first byte, and before
    /// [`Scanner::share`].
    #[must_use]
    pub(crate) fn native_events(mut self, events: NativeEvents) -> Self {
        match &mut self.format {
            Format::Json(_) => {}
            Format::Sse(sse) => sse.json.text.set_native_events(events),
            Format::Unknown(unknown) => unknown.native_events = events,
        }
        self
    }

    /// Compares the events of a stream with those that others have brought. Call it before the first
    /// byte. Of a body that turns out to be a stream by its first bytes nothing is shared.
    #[must_use]
    pub(crate) fn share(mut self, known: &Arc<KnownEvents>) -> Self {
        if let Format::Sse(sse) = &mut self.format {
            sse.share(known);
        }
        self
    }

    /// Reads the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.format {
            Format::Json(json) => json.push(bytes),
            Format::Sse(sse) => sse.push(bytes),
            Format::Unknown(_) => self.push_unknown(bytes),
        }
    }

    // Comes to an end with the first bytes. Inlined into `push`, it would take its registers away.
    #[cold]
    fn push_unknown(&mut self, bytes: &[u8]) {
        let (taken, _) = self.sniff(bytes);
        if taken < bytes.len() {
            self.push(&bytes[taken..]);
        }
    }

    /// Reads on to the end of an event, or of the bytes; returns how many it took.
    pub(crate) fn push_event(&mut self, bytes: &[u8]) -> (usize, EventProgress) {
        match &mut self.format {
            Format::Json(json) => {
                json.push(bytes);
                (bytes.len(), EventProgress::Partial)
            }
            Format::Sse(sse) => sse.push_event(bytes),
            Format::Unknown(_) => self.sniff(bytes),
        }
    }

    /// Takes bytes of a body until they say what it is.
    #[cold]
    fn sniff(&mut self, bytes: &[u8]) -> (usize, EventProgress) {
        let Format::Unknown(unknown) = &mut self.format else {
            return (0, EventProgress::Partial);
        };
        if unknown.is_neither {
            return (bytes.len(), EventProgress::Partial);
        }
        let (taken, sniffed) = unknown.sniffer.push(bytes);
        let Some(sniffed) = sniffed else {
            return (taken, EventProgress::Partial);
        };
        let known = match sniffed {
            Sniffed::Json => Self::json(),
            Sniffed::Events => unknown.events(),
            Sniffed::Neither if unknown.is_called_json => Self::json(),
            Sniffed::Neither => {
                unknown.is_neither = true;
                return (bytes.len(), EventProgress::Partial);
            }
        };
        let head = std::mem::take(&mut unknown.sniffer.head);
        self.format = known.format;
        self.push(head.get().unwrap_or_default());
        (taken, EventProgress::Partial)
    }

    /// Whether the event that has begun states usage and has no answers, if it ends here.
    pub(crate) fn is_usage_only(&mut self) -> bool {
        match &mut self.format {
            Format::Json(_) | Format::Unknown(_) => false,
            Format::Sse(sse) => sse.is_usage_only(),
        }
    }

    /// Whether the event that has begun may become one that states usage and has no answers.
    pub(crate) fn may_be_usage_only(&self) -> bool {
        match &self.format {
            Format::Json(_) => false,
            Format::Sse(sse) => sse.may_be_usage_only(),
            Format::Unknown(unknown) => !unknown.is_neither,
        }
    }

    /// Drops the template, so that the next event is read in full.
    #[cfg(test)]
    pub(super) fn reset_template(&mut self) {
        if let Format::Sse(sse) = &mut self.format {
            sse.template.reset();
        }
    }

    /// Whether it reads a stream of events, or may come to do so.
    pub(crate) fn may_read_events(&self) -> bool {
        !matches!(self.format, Format::Json(_))
    }

    /// Whether the first bytes say that it is neither JSON nor a stream of events, or are missing.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(&self.format, Format::Unknown(unknown) if !unknown.is_called_json)
    }

    /// Whether it reads a stream that has brought text of the model already.
    #[must_use]
    pub fn has_streamed(&self) -> bool {
        matches!(&self.format, Format::Sse(sse) if !sse.json.text.so_far().is_empty())
    }

    /// The first error among the events of a stream that have ended.
    pub(crate) fn failure(&self) -> Option<&Verdict> {
        match &self.format {
            Format::Json(_) | Format::Unknown(_) => None,
            Format::Sse(sse) => sse.verdict.as_ref(),
        }
    }

    /// Stores the text of the model, at most 1 MiB, for [`Scanner::finish_counting`]. Call it
    /// before the first byte. Of a body that turns out to be JSON by its first bytes nothing is
    /// stored.
    #[must_use]
    pub fn keep_text(mut self) -> Self {
        match &mut self.format {
            Format::Json(json) => json.text.keep(),
            Format::Sse(sse) => sse.json.text.keep(),
            Format::Unknown(unknown) => unknown.keeps_text = true,
        }
        self
    }

    /// Returns what was found, at the end of the body or where it broke off.
    #[must_use]
    pub fn finish(self) -> Scanned {
        self.finish_by(None)
    }

    /// The same. If the usage of the whole answer was not stated, `counter` counts the stored text.
    #[must_use]
    pub fn finish_counting(self, counter: &dyn Estimate) -> Scanned {
        self.finish_by(Some(counter))
    }

    fn finish_by(self, counter: Option<&dyn Estimate>) -> Scanned {
        match self.format {
            Format::Json(json) => Scanned::of_json(*json, counter),
            Format::Sse(sse) => {
                let (json, verdict, is_done) = sse.finish();
                let found = json.into_found();
                let is_whole = found.is_whole(self.answers);
                let is_final = is_done || (is_whole && found.usage_is_current);
                Scanned::new(found, verdict, is_done || is_whole, is_final, counter)
            }
            // Too short to be either.
            Format::Unknown(_) => Scanned::of_json(Json::default(), counter),
        }
    }
}

impl Unknown {
    /// The scanner of a body that turned out to be a stream.
    fn events(&self) -> Scanner {
        let mut scanner = Scanner::sse(self.dialect).native_events(self.native_events);
        if let Some(per_prompt) = self.answers_per_prompt {
            scanner = scanner.answers(1, per_prompt);
        }
        if self.keeps_text {
            scanner = scanner.keep_text();
        }
        scanner
    }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = match &self.format {
            Format::Json(_) => "json",
            Format::Sse(_) => "sse",
            Format::Unknown(_) => "unknown",
        };
        f.debug_tuple("Scanner").field(&format).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{
        json::{MAX_HEAD, MAX_MODEL, MAX_USAGE},
        template::MAX_PATTERN,
    };

    /// Twice what is stored, since a growing buffer may double.
    const BOUND: usize = 2 * (MAX_HEAD + MAX_USAGE + MAX_MODEL + 2 * MAX_PATTERN);

    fn retained(scanner: &Scanner) -> usize {
        match &scanner.format {
            Format::Json(json) => json.retained(),
            Format::Sse(sse) => sse.json.retained() + sse.template.retained(),
            Format::Unknown(_) => 0,
        }
    }

    #[test]
    fn memory_is_bounded_whatever_comes() {
        let endless: [(&str, &str); 14] = [
            ("{\"model\":\"", "x"),
            ("{\"model\":\"", "\\n"),
            ("{\"a\":\"", "x"),
            ("{\"content\":\"", "你"),
            ("{\"usage\":{\"a\":\"", "x"),
            ("{\"usage\":", "{\"usage\":"),
            ("{\"error\":{\"message\":\"", "x"),
            ("\"", "name"),
            ("", "["),
            ("", "{\"usage\":{}}"),
            ("{", "\"usage\":{\"total_tokens\":1},"),
            ("", " "),
            ("", "1"),
            ("\"", "\\u00e9"),
        ];
        for frame in ["", "data: ", "data: {}\n\n:", "event: ", "id: ", "field"] {
            for (start, repeated) in endless {
                let mut scanner = if frame.is_empty() {
                    Scanner::json()
                } else {
                    Scanner::sse(Dialect::Chat)
                };
                scanner.push(frame.as_bytes());
                scanner.push(start.as_bytes());
                let chunk = repeated.repeat(65_536 / repeated.len());
                for _ in 0..8 {
                    scanner.push(chunk.as_bytes());
                    assert!(retained(&scanner) <= BOUND, "{frame}{start}{repeated}…");
                }
                let _ = scanner.finish();
            }
        }
    }

    #[test]
    fn memory_does_not_grow_with_events() {
        let mut scanner = Scanner::sse(Dialect::Chat);
        for _ in 0..10_000 {
            scanner.push(b"data: {\"choices\":[],\"usage\":{\"total_tokens\":7}}\n\n");
        }
        assert!(retained(&scanner) <= 1_024);
        assert_eq!(
            scanner.finish().usage.and_then(|usage| usage.total()),
            Some(7)
        );
    }
}
