/// The longest usage object that is read. Unit: bytes.
pub(super) const MAX_USAGE: usize = 16 * 1024;

/// The usage object that is being copied.
#[derive(Default)]
pub(super) struct Capture {
    pub(super) bytes: Vec<u8>,
    /// The depth around the object, while it is open.
    pub(super) outside: Option<u32>,
    too_long: bool,
}

impl Capture {
    pub(super) fn open(&mut self, outside: u32) {
        self.bytes.clear();
        self.outside = Some(outside);
        self.too_long = false;
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.too_long |= self.bytes.len() + bytes.len() > MAX_USAGE;
        if !self.too_long {
            self.bytes.extend_from_slice(bytes);
        }
    }

    pub(super) fn close(&mut self) -> Option<&[u8]> {
        self.outside = None;
        (!self.too_long).then_some(&*self.bytes)
    }
}
