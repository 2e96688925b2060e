//! Reads the body of an error, whatever its shape, and finds those in events and in bodies of successes.

use serde::de::{DeserializeSeed, IgnoredAny};

use super::{
    code,
    error_parts::{ErrorBody, MAX_MESSAGE},
    error_reader::{ErrorPart, ErrorReader},
};
use crate::json_reader::Read;

impl ErrorBody {
    /// Reads the head of an error answer's body: JSON, the first event of a stream, or plain text.
    pub(super) fn of_head(head: &[u8]) -> Self {
        let head = head.trim_ascii();
        let json = if matches!(head.first(), Some(b'{' | b'[')) {
            Some(head)
        } else {
            first_data(head)
        };
        let (mut body, end) = json.map_or((Self::default(), End::Cut), read_json);
        if !matches!(end, End::Whole(_)) && body.message.is_none() {
            let text = String::from_utf8_lossy(&head[..head.len().min(MAX_MESSAGE)]);
            body.message = (!text.is_empty()).then(|| text.into_owned());
        } else {
            body.read_inner();
        }
        body
    }

    /// Reads an event of a stream, or a body of status 200; `None` where it is no error.
    pub(super) fn of_event(data: &[u8]) -> Option<Self> {
        // Nearly every event is none, and this runs for all of them.
        if !may_be_error(data) {
            return None;
        }
        let mut data = data;
        // Some hosts glue an error to the event before it, whole or cut off.
        for _ in 0..MAX_GLUED {
            let (body, end) = read_json(data);
            if let Some(body) = body.if_failed() {
                return Some(body);
            }
            data = next_json(data, &end)?;
        }
        None
    }

    fn if_failed(mut self) -> Option<Self> {
        if self.broken_off && self.message.is_none() {
            // A host that breaks off an answer puts the reason where the text would be.
            self.message = self.delivered.take();
        }
        let failed =
            self.wrapped || self.broken_off || self.code.as_deref().is_some_and(code::is_failure);
        failed.then(|| {
            self.read_inner();
            self
        })
    }

    /// Reads the JSON that the message holds, if it does.
    fn read_inner(&mut self) {
        let Some(message) = &self.message else { return };
        let Some(start) = message.find('{').filter(|start| {
            let rest = message[start + 1..].trim_start();
            rest.starts_with(['"', '{'])
        }) else {
            return;
        };
        let (inner, _) = read_json(&message.as_bytes()[start..]);
        if inner.code.is_some() || inner.kind.is_some() || inner.wait.is_some() {
            self.inner = Some(Box::new(inner));
        }
    }
}

/// The most documents of one event that are read: there are two where a host glues one to another.
const MAX_GLUED: usize = 4;

/// How a document ended.
enum End {
    /// Before this byte.
    Whole(usize),
    /// In the middle: the rest is missing.
    Cut,
    /// With something that is no JSON.
    Broken,
}

/// Reads JSON that may be cut or broken: all before that point is used.
fn read_json(json: &[u8]) -> (ErrorBody, End) {
    let mut body = ErrorBody::default();
    let mut reader = serde_json::Deserializer::from_slice(json);
    let value = Read(ErrorReader {
        body: &mut body,
        part: ErrorPart::Top,
    });
    let end = match value.deserialize(&mut reader) {
        Ok(()) => End::Whole(reader.into_iter::<IgnoredAny>().byte_offset()),
        Err(error) if error.is_eof() => End::Cut,
        Err(_) => End::Broken,
    };
    (body, end)
}

/// The next document behind one that ends so.
fn next_json<'a>(data: &'a [u8], end: &End) -> Option<&'a [u8]> {
    let is_document = |rest: &&[u8]| matches!(rest.first(), Some(b'{' | b'['));
    match end {
        End::Whole(end) => Some(data.get(*end..)?.trim_ascii_start()).filter(is_document),
        End::Cut => None,
        // In a text of a whole document the quotes would be escaped.
        End::Broken => (1..data.len()).map(|at| &data[at..]).find(|rest| {
            rest.starts_with(br#"{"error"#)
                || is_document(rest) && data[data.len() - rest.len() - 1] == b'\n'
        }),
    }
}

/// The `data` of the first event, where the text is a stream of events.
fn first_data(text: &[u8]) -> Option<&[u8]> {
    text.split(|&byte| byte == b'\n' || byte == b'\r')
        // `event:`, `id:`, comments and blank lines may come before the first `data:`.
        .take(16)
        .find_map(|line| line.strip_prefix(b"data:"))
        .map(<[u8]>::trim_ascii_start)
        .filter(|data| data.first() == Some(&b'{'))
}

/// Whether the bytes hold a key or a value that every error has. Spares the ordinary event its parse.
fn may_be_error(data: &[u8]) -> bool {
    let mut rest = data;
    while let Some(at) = rest.iter().position(|&byte| byte == b'"') {
        rest = &rest[at + 1..];
        if rest.starts_with(b"error") || rest.starts_with(b"code\"") {
            return true;
        }
    }
    false
}
