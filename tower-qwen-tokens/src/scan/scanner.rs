use std::{error::Error, fmt, sync::Arc};

use http::{
    HeaderMap,
    header::{CONTENT_ENCODING, CONTENT_TYPE},
};

use crate::{Dialect, Usage, Verdict, estimate::Estimate};

use super::{
    delivered::Delivered,
    json::{Event, Found, Json, Text},
    sse::{Passed, Sse},
};

/// Reads one answer's body as it passes by; see the [module docs](super).
pub struct Scanner(Kind);

/// What a [`Scanner`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scanned {
    /// The usage stated last; `None` where none was stated.
    pub usage: Option<Usage>,
    /// Whether that usage is of the whole answer, rather than of what had been generated when a stream broke off.
    pub is_final: bool,
    /// The first error inside the body.
    pub verdict: Option<Verdict>,
    /// The model that answered, as the answer names it.
    pub model: Option<Arc<str>>,
    /// Text of the model that passed by.
    pub delivered: Delivered,
}

/// Why a [`Scanner`] cannot read an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum UnsupportedBody {
    /// It is compressed, or encoded in another way.
    Encoded,
    /// It is neither JSON nor a stream of events, by its content type, or does not say what it is.
    ContentType,
}

enum Kind {
    Json(Box<Json>),
    Sse(Box<Sse>),
}

impl Scanner {
    /// For a body that is one JSON document.
    #[must_use]
    pub fn json() -> Self {
        Self(Kind::Json(Box::new(Json::new(Text::Parts))))
    }

    /// For a stream of server-sent events in this dialect.
    #[must_use]
    pub fn sse(dialect: Dialect) -> Self {
        let text = match dialect {
            Dialect::Responses => Text::Deltas,
            dialect if dialect.is_native() => Text::Repeated,
            _ => Text::Parts,
        };
        Self(Kind::Sse(Box::new(Sse::new(text))))
    }

    /// For an answer with these headers.
    ///
    /// # Errors
    ///
    /// A body that cannot be read: neither JSON nor a stream of events, or compressed.
    pub fn for_response(headers: &HeaderMap, dialect: Dialect) -> Result<Self, UnsupportedBody> {
        let plain = |value: &http::HeaderValue| {
            value
                .as_bytes()
                .trim_ascii()
                .eq_ignore_ascii_case(b"identity")
        };
        if !headers.get_all(CONTENT_ENCODING).iter().all(plain) {
            return Err(UnsupportedBody::Encoded);
        }
        let media_type = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .map(|value| value.trim().to_ascii_lowercase())
            .ok_or(UnsupportedBody::ContentType)?;
        match &*media_type {
            "text/event-stream" => Ok(Self::sse(dialect)),
            "application/json" => Ok(Self::json()),
            other if other.starts_with("application/") && other.ends_with("+json") => {
                Ok(Self::json())
            }
            _ => Err(UnsupportedBody::ContentType),
        }
    }

    /// Reads the next bytes of the body.
    pub fn push(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            Kind::Json(json) => json.push(bytes),
            Kind::Sse(sse) => sse.push(bytes),
        }
    }

    /// Reads on to the end of an event, or of what there is; tells how far it came.
    pub(crate) fn push_event(&mut self, bytes: &[u8]) -> (usize, Passed) {
        match &mut self.0 {
            Kind::Json(json) => {
                json.push(bytes);
                (bytes.len(), Passed::Between)
            }
            Kind::Sse(sse) => sse.push_event(bytes),
        }
    }

    /// Whether the event that has begun states usage and has no answers, if it ends here.
    pub(crate) fn is_extra(&mut self) -> bool {
        match &mut self.0 {
            Kind::Json(_) => false,
            Kind::Sse(sse) => sse.is_extra(),
        }
    }

    /// Whether the event that has begun may become one that states usage and has no answers.
    pub(crate) fn may_be_extra(&self) -> bool {
        matches!(&self.0, Kind::Sse(sse) if sse.may_be_extra())
    }

    /// Has the next event read in full.
    #[cfg(test)]
    pub(super) fn forget_pattern(&mut self) {
        if let Kind::Sse(sse) = &mut self.0 {
            sse.forget_pattern();
        }
    }

    /// Whether it reads a stream of events.
    pub(crate) fn reads_events(&self) -> bool {
        matches!(self.0, Kind::Sse(_))
    }

    /// Whether it reads a stream in which text of the model has already passed by.
    #[must_use]
    pub fn has_streamed(&self) -> bool {
        match &self.0 {
            Kind::Json(_) => false,
            Kind::Sse(sse) => !sse.json().text_so_far().is_empty(),
        }
    }

    /// The first error among the events of a stream that have ended.
    pub(crate) fn failure(&self) -> Option<&Verdict> {
        match &self.0 {
            Kind::Json(_) => None,
            Kind::Sse(sse) => sse.verdict(),
        }
    }

    /// Keeps the text of the model, at most 1 MiB, to be counted once at the end: [`Scanner::finish_counting`].
    #[must_use]
    pub fn keep_text(mut self) -> Self {
        match &mut self.0 {
            Kind::Json(json) => json.keep_text(),
            Kind::Sse(sse) => sse.keep_text(),
        }
        self
    }

    /// What was found, at the end of the body or wherever it broke off.
    #[must_use]
    pub fn finish(self) -> Scanned {
        self.finish_by(None)
    }

    /// The same. Where the usage of the whole answer was not stated, the text that was kept is counted.
    #[must_use]
    pub fn finish_counting(self, counter: &dyn Estimate) -> Scanned {
        self.finish_by(Some(counter))
    }

    fn finish_by(self, counter: Option<&dyn Estimate>) -> Scanned {
        match self.0 {
            Kind::Json(mut json) => {
                let verdict = json.classify(Event::default());
                json.end_document();
                Scanned::new(json.into_found(), verdict, true, counter)
            }
            Kind::Sse(sse) => {
                let (json, verdict, done) = sse.finish();
                Scanned::new(json.into_found(), verdict, done, counter)
            }
        }
    }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match &self.0 {
            Kind::Json(_) => "json",
            Kind::Sse(_) => "sse",
        };
        f.debug_tuple("Scanner").field(&kind).finish()
    }
}

impl Scanned {
    fn new(
        found: Found,
        verdict: Option<Verdict>,
        whole: bool,
        counter: Option<&dyn Estimate>,
    ) -> Self {
        let usage = found
            .usage
            .map(|usage| usage.into_usage())
            .filter(|usage| !usage.is_empty());
        let is_final = usage.is_some() && (whole || found.usage_is_whole || found.finished);
        let delivered = match (found.text, counter) {
            (Some((text, kept)), Some(counter)) if !is_final => {
                found.delivered.counted(kept, counter.estimate(&text))
            }
            _ => found.delivered,
        };
        Self {
            usage,
            is_final,
            verdict,
            model: found.model,
            delivered,
        }
    }
}

impl fmt::Display for UnsupportedBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoded => "answer is encoded",
            Self::ContentType => "answer is neither JSON nor a stream of events",
        })
    }
}

impl Error for UnsupportedBody {}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{
        capture::MAX_USAGE,
        json::{MAX_HEAD, MAX_MODEL},
        pattern::MAX_PATTERN,
    };

    /// Twice what is kept, since a growing buffer may double.
    const BOUND: usize = 2 * (MAX_HEAD + MAX_USAGE + MAX_MODEL + 2 * MAX_PATTERN);

    fn retained(scanner: &Scanner) -> usize {
        match &scanner.0 {
            Kind::Json(json) => json.retained(),
            Kind::Sse(sse) => sse.retained(),
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
