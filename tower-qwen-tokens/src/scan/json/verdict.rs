use serde::de::IgnoredAny;

use crate::Verdict;

use super::document::Json;

/// What an event's other lines say of its data.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::scan) struct EventContext {
    /// Whether the event is called `error`.
    pub(in crate::scan) is_error: bool,
    /// The status that a comment states.
    pub(in crate::scan) status: Option<u16>,
}

impl Json {
    /// Classifies a document that is over and may be an error; in any case one that came in a way
    /// that is not usual.
    pub(in crate::scan) fn classify(
        &self,
        context: EventContext,
        is_unusual: bool,
    ) -> Option<Verdict> {
        if !self.may_be_error && !context.is_error && !is_unusual {
            return None;
        }
        let of = |document: &[u8]| Verdict::of_event(document, context.status);
        let mut verdict = of(&self.head);
        // An event that was not closed has another one behind it, whole or cut as it may be.
        if verdict.is_none() && (is_unusual || self.values > 1) {
            verdict = documents(&self.head).find_map(of);
        }
        if verdict.is_some() || !context.is_error {
            return verdict;
        }
        // An event called `error` is one whatever its data: a plain sentence is read as an error's
        // text.
        let message = String::from_utf8_lossy(&self.head);
        let message = if message.is_empty() {
            "error"
        } else {
            &*message
        };
        let wrapped = serde_json::json!({ "error": message });
        Verdict::of_event(wrapped.to_string().as_bytes(), context.status)
    }
}

/// The documents that begin with one of the first lines and are whole.
fn documents(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A bound for work: an event of two or three lines is rare enough.
    const MAX_LINES: usize = 16;
    let breaks = memchr::memchr_iter(b'\n', text).map(|at| at + 1);
    std::iter::once(0)
        .chain(breaks)
        .take(MAX_LINES)
        .flat_map(|start| {
            let rest = &text[start..];
            let mut values = serde_json::Deserializer::from_slice(rest).into_iter::<IgnoredAny>();
            let mut from = 0;
            std::iter::from_fn(move || {
                values.next()?.ok()?;
                let document = &rest[from..values.byte_offset()];
                from = values.byte_offset();
                Some(document)
            })
        })
}
