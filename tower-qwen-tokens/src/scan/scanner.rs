use std::{fmt, sync::Arc};

use http::{HeaderMap, header::CONTENT_TYPE};

use crate::{Dialect, Usage, Verdict, estimate::Estimate, shared::content::is_encoded};

use super::{
    delivered::Delivered,
    json::{EventContext, Found, Json},
    sse::{EventProgress, Sse},
    text::TextRule,
};

/// Reads one answer's body piece by piece. See the [module docs](super).
pub struct Scanner(Format);

/// What a [`Scanner`] found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Scanned {
    /// The usage stated last; `None` if none was stated.
    pub usage: Option<Usage>,
    /// Whether that usage is of the whole answer, rather than of what had been generated when a
    /// stream broke off.
    pub is_final: bool,
    /// The first error inside the body.
    pub verdict: Option<Verdict>,
    /// The model that answered, as the answer names it.
    pub model: Option<Arc<str>>,
    /// The amount of text of the model.
    pub delivered: Delivered,
}

/// Why a [`Scanner`] cannot read an answer's body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum UnsupportedBody {
    /// It is compressed, or encoded in another way.
    #[error("answer is encoded")]
    Encoded,
    /// It is neither JSON nor a stream of events, by its content type, or does not say what it is.
    #[error("answer is neither JSON nor a stream of events")]
    ContentType,
}

/// Boxed, as a scanner travels within futures and bodies and both formats are large.
enum Format {
    Json(Box<Json>),
    Sse(Box<Sse>),
}

impl Scanner {
    /// For a body that is one JSON document.
    #[must_use]
    pub fn json() -> Self {
        Self(Format::Json(Box::new(Json::new(TextRule::AllParts))))
    }

    /// For a stream of server-sent events in this dialect.
    #[must_use]
    pub fn sse(dialect: Dialect) -> Self {
        let rule = match dialect {
            Dialect::Responses => TextRule::DeltasOnly,
            // Without `incremental_output` each native event repeats the whole text so far.
            dialect if dialect.is_native() => TextRule::Cumulative,
            _ => TextRule::AllParts,
        };
        Self(Format::Sse(Box::new(Sse::new(rule))))
    }

    /// For an answer with these headers.
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
            Format::Json(json) => json.push(bytes),
            Format::Sse(sse) => sse.push(bytes),
        }
    }

    /// Reads on to the end of an event, or of the bytes; returns how many it took.
    pub(crate) fn push_event(&mut self, bytes: &[u8]) -> (usize, EventProgress) {
        match &mut self.0 {
            Format::Json(json) => {
                json.push(bytes);
                (bytes.len(), EventProgress::Between)
            }
            Format::Sse(sse) => sse.push_event(bytes),
        }
    }

    /// Whether the event that has begun states usage and has no answers, if it ends here.
    pub(crate) fn is_usage_only(&mut self) -> bool {
        match &mut self.0 {
            Format::Json(_) => false,
            Format::Sse(sse) => sse.is_usage_only(),
        }
    }

    /// Whether the event that has begun may become one that states usage and has no answers.
    pub(crate) fn may_be_usage_only(&self) -> bool {
        matches!(&self.0, Format::Sse(sse) if sse.may_be_usage_only())
    }

    /// Drops the template, so that the next event is read in full.
    #[cfg(test)]
    pub(super) fn reset_template(&mut self) {
        if let Format::Sse(sse) = &mut self.0 {
            sse.template.reset();
        }
    }

    /// Whether it reads a stream of events.
    pub(crate) fn reads_events(&self) -> bool {
        matches!(self.0, Format::Sse(_))
    }

    /// Whether it reads a stream that has brought text of the model already.
    #[must_use]
    pub fn has_streamed(&self) -> bool {
        matches!(&self.0, Format::Sse(sse) if !sse.json.text.so_far().is_empty())
    }

    /// The first error among the events of a stream that have ended.
    pub(crate) fn failure(&self) -> Option<&Verdict> {
        match &self.0 {
            Format::Json(_) => None,
            Format::Sse(sse) => sse.verdict.as_ref(),
        }
    }

    /// Stores the text of the model, at most 1 MiB, for [`Scanner::finish_counting`]. Call it
    /// before the first byte.
    #[must_use]
    pub fn keep_text(mut self) -> Self {
        match &mut self.0 {
            Format::Json(json) => json.text.keep(),
            Format::Sse(sse) => sse.json.text.keep(),
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
        let (json, verdict, is_whole) = match self.0 {
            Format::Json(mut json) => {
                let verdict = json.classify(EventContext::default());
                json.end_document();
                (*json, verdict, true)
            }
            Format::Sse(sse) => sse.finish(),
        };
        Scanned::new(json.into_found(), verdict, is_whole, counter)
    }
}

impl fmt::Debug for Scanner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let format = if self.reads_events() { "sse" } else { "json" };
        f.debug_tuple("Scanner").field(&format).finish()
    }
}

impl Scanned {
    fn new(
        found: Found,
        verdict: Option<Verdict>,
        is_whole: bool,
        counter: Option<&dyn Estimate>,
    ) -> Self {
        let usage = found
            .usage
            .map(|usage| usage.into_usage())
            .filter(|usage| !usage.is_empty());
        let is_final = usage.is_some() && (is_whole || found.usage_is_whole || found.finished);
        let delivered = match (found.text, counter) {
            // Counting costs as much as the text is long, so only if the figure is needed.
            (Some((text, part)), Some(counter)) if !is_final => {
                found.delivered.counted(part, counter.estimate(&text))
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
        match &scanner.0 {
            Format::Json(json) => json.retained(),
            Format::Sse(sse) => sse.json.retained() + sse.template.retained(),
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
