use super::{
    json::Json,
    pattern::{Compared, Cursor, MAX_PATTERN, Pattern},
    sketch::Outline,
};

/// Compares the events of a stream with the last one that was read in full, across the pieces in which they come.
#[derive(Default)]
pub(super) struct Likeness {
    pattern: Pattern,
    cursor: Cursor,
    /// What earlier pieces brought of the present event; one byte too many where it is too long.
    seen: Vec<u8>,
    /// The event that was just read in full: where its data begins and the outline of that.
    read: Option<(usize, Outline)>,
}

impl Likeness {
    /// Compares an event that begins here, or of which all that was seen is being compared.
    pub(super) fn compare(&mut self, bytes: &[u8], json: &mut Json) -> Compared {
        let before = self.seen.len();
        let compared = if before == 0 {
            self.begin(bytes, json)
        } else {
            self.go_on(bytes, json)
        };
        if compared == Compared::Unlike {
            self.seen.truncate(before);
            json.forget_text();
        }
        compared
    }

    fn begin(&mut self, bytes: &[u8], json: &mut Json) -> Compared {
        self.cursor = Cursor::default();
        let compared = self.run(bytes, json);
        if compared == Compared::Part {
            // A text that is cut counts only once it is whole, so the first one is read in full.
            if bytes.len() > MAX_PATTERN || json.text_so_far().is_empty() {
                return Compared::Unlike;
            }
            self.see(bytes);
        }
        compared
    }

    fn go_on(&mut self, bytes: &[u8], json: &mut Json) -> Compared {
        let before = self.seen.len();
        self.see(bytes);
        let seen = std::mem::take(&mut self.seen);
        let compared = self.run(&seen, json);
        self.seen = seen;
        match compared {
            Compared::Part if self.seen.len() > MAX_PATTERN => Compared::Unlike,
            Compared::Whole(length) => {
                self.seen.clear();
                Compared::Whole(length - before)
            }
            compared => compared,
        }
    }

    /// Goes on with an event, of which all that has passed is given.
    fn run(&mut self, event: &[u8], json: &mut Json) -> Compared {
        let mut compared = self.pattern.compare(&mut self.cursor, event, json);
        if compared == Compared::Unlike && !self.pattern.numbers_differ {
            json.forget_text();
            self.cursor = Cursor::default();
            self.pattern.numbers_differ = true;
            compared = self.pattern.compare(&mut self.cursor, event, json);
            self.pattern.numbers_differ = compared != Compared::Unlike;
        }
        if let Compared::Whole(_) = compared {
            let usage = self.pattern.usage(&self.cursor);
            json.pass_document(usage.map(|usage| &event[usage]));
        }
        compared
    }

    /// What earlier pieces brought of the present event.
    pub(super) fn seen(&self) -> &[u8] {
        &self.seen
    }

    pub(super) fn take_seen(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.seen)
    }

    /// An event that is read in full goes on.
    pub(super) fn see(&mut self, bytes: &[u8]) {
        let room = (MAX_PATTERN + 1).saturating_sub(self.seen.len());
        self.seen.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Whether an event of which all that was seen is being compared may still be the extra one.
    pub(super) fn may_be_extra(&self) -> bool {
        self.pattern.may_be_extra(&self.cursor, self.seen.len())
    }

    /// An event that is read in full was so, and others may be like it.
    pub(super) fn is_read(&mut self, data: usize, outline: &Outline) {
        self.read = Some((data, outline.clone()));
    }

    /// The event is over, and these are the last of its bytes.
    pub(super) fn ends(&mut self, bytes: &[u8]) {
        let read = self.read.take();
        self.see(bytes);
        // Not one that a carriage return ended: a line feed may follow.
        if let Some((data, outline)) = read
            && self.seen.len() <= MAX_PATTERN
            && self.seen.ends_with(b"\n")
        {
            self.pattern.set(&mut self.seen, data, &outline);
        }
        self.seen.clear();
    }

    /// Has the next event read in full.
    #[cfg(test)]
    pub(super) fn forget(&mut self) {
        self.pattern.clear();
    }

    /// The memory that its buffers hold.
    #[cfg(test)]
    pub(super) fn retained(&self) -> usize {
        self.seen.capacity() + self.pattern.retained()
    }
}

#[cfg(test)]
mod tests;
