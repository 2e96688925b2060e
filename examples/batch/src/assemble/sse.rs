//! Server-sent events.

/// Splits a stream of bytes into events, however it is cut into chunks.
#[derive(Debug, Default)]
pub struct Events {
    line: Vec<u8>,
    after_cr: bool,
    started: bool,
    next: Event,
    has_data: bool,
}

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Event {
    /// What the server calls it; empty where it has no name.
    pub name: String,
    /// Its data, several lines joined by line feeds.
    pub data: String,
    /// The status that DashScope puts into a comment before the data (`:HTTP_STATUS/429`).
    pub status: Option<u16>,
}

const STATUS: &str = ":HTTP_STATUS/";

/// What hosts call the event that says why there will be no more.
pub(super) const ERROR: &str = "error";

impl Events {
    /// Takes the next bytes; hands each event that is complete to `on_event`.
    pub fn push(&mut self, bytes: &[u8], mut on_event: impl FnMut(Event)) {
        for &byte in bytes {
            let follows_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if follows_cr => {}
                b'\n' | b'\r' => {
                    if let Some(event) = self.end_line() {
                        on_event(event);
                    }
                }
                _ => self.line.push(byte),
            }
        }
    }

    /// The stream has ended: what is left counts as an event, since not every server ends its last one.
    pub fn finish(mut self, mut on_event: impl FnMut(Event)) {
        let last = (!self.line.is_empty()).then(|| self.end_line()).flatten();
        last.into_iter()
            .chain(self.dispatch())
            .for_each(&mut on_event);
    }

    fn end_line(&mut self) -> Option<Event> {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = match std::mem::replace(&mut self.started, true) {
            false => line.strip_prefix('\u{feff}').unwrap_or(&line),
            true => &line,
        };
        if line.is_empty() {
            return self.dispatch();
        }
        if line.starts_with(['{', '[']) {
            // No field is called so: JSON that a gateway put between the events, as it does with errors.
            let data = line.to_owned();
            return Some(Event {
                data,
                ..Event::default()
            });
        }
        if let Some(status) = line.strip_prefix(STATUS) {
            self.next.status = status.trim().parse().ok();
            return None;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.next.name),
            "data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.next.data.push('\n');
                }
                self.next.data.push_str(value);
            }
            _ => {}
        }
        None
    }

    /// Ends the event. One without data is none (the standard's rule), unless it is called an error.
    fn dispatch(&mut self) -> Option<Event> {
        let event = std::mem::take(&mut self.next);
        self.has_data = false;
        (!event.data.is_empty() || event.name == ERROR).then_some(event)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(chunks: &[&[u8]]) -> Vec<Event> {
        let (mut events, mut found) = (Events::default(), Vec::new());
        for chunk in chunks {
            events.push(chunk, |event| found.push(event));
        }
        events.finish(|event| found.push(event));
        found
    }

    fn event(name: &str, data: &str, status: Option<u16>) -> Event {
        Event {
            name: name.to_owned(),
            data: data.to_owned(),
            status,
        }
    }

    #[test]
    fn events_are_the_same_however_they_are_cut() {
        let text = "\u{feff}id:1\nevent:result\n:HTTP_STATUS/200\ndata:{\"一\":1}\n\n: ping\n\n\
                    data: a\r\ndata:  b\r\n\r\ndata\r\rdata: [DONE]";
        let expected = [
            event("result", "{\"一\":1}", Some(200)),
            event("", "a\n b", None),
            event("", "[DONE]", None),
        ];
        for first in 0..text.len() {
            for second in first..text.len() {
                let bytes = text.as_bytes();
                let chunks = [&bytes[..first], &bytes[first..second], &bytes[second..]];
                assert_eq!(split(&chunks), expected, "{first} {second}");
            }
        }
    }

    #[test]
    fn json_between_the_events_is_one() {
        assert_eq!(
            split(&[b"data: 1\n{\"error\":{}}\n\n[1]"]),
            [
                event("", "{\"error\":{}}", None),
                event("", "1", None),
                event("", "[1]", None),
            ]
        );
    }

    #[test]
    fn comments_and_names_alone_are_no_events() {
        assert_eq!(split(&[b": ping\n\nevent: x\n\nid: 1\n\n\n"]), []);
        assert_eq!(split(&[b"data:\n\ndata\n\nevent: ping\ndata: \n\n"]), []);
        assert_eq!(split(&[b"event: error\n\n"]), [event("error", "", None)]);
        assert_eq!(
            split(&[b":HTTP_STATUS/x\ndata:1\n\n"]),
            [event("", "1", None)]
        );
    }
}
