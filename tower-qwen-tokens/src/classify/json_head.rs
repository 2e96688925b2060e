use http::{HeaderMap, header::CONTENT_TYPE};

/// The most of a success's JSON that is read before it passes, in bytes. Errors are short; an answer
/// shows by its first members that it is one.
pub(super) const MAX_JSON_HEAD: usize = 8 * 1024;

/// Members at the top of a good answer, in one dialect or another. With `null` they say nothing: one
/// host writes `"data":null` beside its errors.
const OF_ANSWERS: [&[u8]; 5] = [b"choices", b"output", b"data", b"content", b"candidates"];
/// Room for the longest of them.
const MAX_NAME: usize = 10;

/// The beginning of a JSON answer of status 200, of which it is not known yet whether it is an error.
#[derive(Default)]
pub(super) struct JsonHead {
    bytes: Vec<u8>,
    position: Position,
    /// How many lists and objects are open.
    depth: u32,
    /// At which depth the members of the answer are: within a list one deeper.
    top: u32,
    name: [u8; MAX_NAME],
    name_length: usize,
    state: JsonState,
}

/// Where in the JSON the next byte lies.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum Position {
    #[default]
    Between,
    String,
    Escape,
    /// Behind the colon of a member that good answers have.
    Value,
}

/// What is known of the document.
#[derive(Default, Clone, Copy, PartialEq, Eq)]
pub(super) enum JsonState {
    /// Nothing but blanks came.
    #[default]
    Blank,
    /// It has begun, and may be an error.
    Open,
    /// It is over, without a member of a good answer.
    Whole,
    /// It is no error, or too long for one.
    Answer,
}

impl JsonHead {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn state(&self) -> JsonState {
        self.state
    }

    /// Reads on; returns whether it is decided now.
    pub(super) fn push(&mut self, bytes: &[u8]) -> bool {
        let room = MAX_JSON_HEAD - self.bytes.len();
        for &byte in &bytes[..bytes.len().min(room)] {
            if self.is_decided() {
                return true;
            }
            self.bytes.push(byte);
            self.step(byte);
        }
        if self.bytes.len() == MAX_JSON_HEAD && self.state != JsonState::Whole {
            self.state = JsonState::Answer;
        }
        self.is_decided()
    }

    fn is_decided(&self) -> bool {
        matches!(self.state, JsonState::Whole | JsonState::Answer)
    }

    fn step(&mut self, byte: u8) {
        match (self.position, byte) {
            (Position::Escape, _) => self.position = Position::String,
            (Position::String, b'\\') => {
                self.position = Position::Escape;
                // No name that matters is written with an escape.
                self.name_length = MAX_NAME + 1;
            }
            (Position::String, b'"') => self.position = Position::Between,
            (Position::String, _) => {
                if let Some(free) = self.name.get_mut(self.name_length) {
                    *free = byte;
                }
                self.name_length = self.name_length.saturating_add(1);
            }
            (_, b' ' | b'\t' | b'\n' | b'\r') => {}
            (Position::Value, b'n') => self.position = Position::Between,
            (Position::Value, _) => self.state = JsonState::Answer,
            (Position::Between, _) => self.between(byte),
        }
    }

    fn between(&mut self, byte: u8) {
        if self.state == JsonState::Blank {
            self.state = JsonState::Open;
            self.top = if byte == b'[' { 2 } else { 1 };
            if !matches!(byte, b'{' | b'[') {
                self.state = JsonState::Answer;
                return;
            }
        }
        match byte {
            b'"' => {
                self.position = Position::String;
                self.name_length = 0;
            }
            b'{' | b'[' => self.depth += 1,
            b'}' | b']' => {
                self.depth = self.depth.saturating_sub(1);
                if self.depth == 0 {
                    self.state = JsonState::Whole;
                }
            }
            b':' if self.depth == self.top => {
                let name = self.name.get(..self.name_length).unwrap_or_default();
                if OF_ANSWERS.contains(&name) {
                    self.position = Position::Value;
                }
            }
            _ => {}
        }
    }
}

/// Whether the body is JSON, by its content type.
pub(super) fn is_json(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes());
    let media_type = media_type.and_then(|value| value.split(|&byte| byte == b';').next());
    media_type.is_some_and(|media_type| {
        let media_type = media_type.trim_ascii();
        let start = media_type.get(..12).unwrap_or_default();
        media_type.eq_ignore_ascii_case(b"application/json")
            || start.eq_ignore_ascii_case(b"application/") && media_type.ends_with(b"+json")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(text: &str) -> JsonState {
        let mut whole = JsonHead::default();
        whole.push(text.as_bytes());
        let mut pieces = JsonHead::default();
        for byte in text.as_bytes() {
            pieces.push(std::slice::from_ref(byte));
        }
        assert!(whole.state() == pieces.state(), "{text}");
        whole.state()
    }

    #[test]
    fn members_of_good_answers_decide() {
        use JsonState::{Answer, Blank, Open, Whole};
        for (text, expected) in [
            ("", Blank),
            (" \r\n\t", Blank),
            (r#"{"error":{"code":429"#, Open),
            (r#"{"error":{"code":429}}"#, Whole),
            (r#"{"error":{"code":429}} {"choices":[]}"#, Whole),
            (r#"[{"error":{"code":429}}]"#, Whole),
            (r#"[{"candidates":["#, Answer),
            (r#"{"id":"x","choices":["#, Answer),
            (r#"{"id":"x" , "choices" : n"#, Open),
            (r#"{"code":50602,"data":null}"#, Whole),
            (r#"{"code":0,"data":{"#, Answer),
            (r#"{"output":{"text":"Hi"}}"#, Answer),
            (r#"{"type":"message","content":""}"#, Answer),
            (r#"{"error":{"data":1,"content":"x"}}"#, Whole),
            (r#"{"message":"\"choices\":[","code":1}"#, Whole),
            (r#"{"message":"choices","x":1}"#, Whole),
            (r#"{"\u0063hoices":1}"#, Whole),
            (r#"{"a_name_that_is_longer":1}"#, Whole),
            ("text", Answer),
            ("\"text\"", Answer),
            ("}", Answer),
        ] {
            assert!(state(text) == expected, "{text}");
        }
        assert!(state(&format!("{{\"id\":\"{}", "x".repeat(MAX_JSON_HEAD - 8))) == Open);
        assert!(state(&format!("{{\"id\":\"{}", "x".repeat(MAX_JSON_HEAD - 7))) == Answer);
    }
}
