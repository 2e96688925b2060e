use std::{fmt, ops::Deref, sync::Arc};

use super::Link;

/// An end of a link on the side of the calls. When all are gone, the driver ends.
#[derive(Clone)]
pub(crate) struct Handle {
    // An option, so that it is dropped before the link is asked whether others are left.
    alive: Option<Arc<()>>,
    link: Arc<Link>,
}

impl Handle {
    /// The first of them.
    pub(crate) fn new(link: Arc<Link>) -> Self {
        Self {
            alive: Some(link.alive()),
            link,
        }
    }
}

impl Deref for Handle {
    type Target = Link;

    fn deref(&self) -> &Link {
        &self.link
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.alive = None;
        if self.link.is_abandoned() {
            self.link.wake_driver();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.link.fmt(f)
    }
}
