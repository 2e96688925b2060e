//! Answers that take no caller's quota: how many of them wait for their readers at one time.
//!
//! A reader of HTTP/2 may open no window for an answer's body, and so holds as many as a connection has streams, with a few bytes
//! and without a key.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use axum::response::Response;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH};

/// How many bodies wait, over all connections: some 3 MB.
const MOST: usize = 512;

/// Whose an answer is that is no caller's call. In its extensions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    Anybody,
    /// Of the admin, as a key or a session has shown.
    Admin,
}

/// The answers that wait. Clones share the count.
#[derive(Debug, Clone, Default)]
pub(super) struct Strangers(Arc<AtomicUsize>);

/// One of them, until this is dropped.
#[derive(Debug)]
pub(super) struct Waiting(Arc<AtomicUsize>);

/// Marks an answer as no caller's call, which anybody may cause, unless it is known to be the admin's.
#[must_use]
pub fn of_anybody(mut answer: Response) -> Response {
    answer
        .extensions_mut()
        .get_or_insert_with(|| Whose::Anybody);
    answer
}

/// Marks an answer as the admin's, who gets it whole however many wait.
#[must_use]
pub fn of_admin(mut answer: Response) -> Response {
    answer.extensions_mut().insert(Whose::Admin);
    answer
}

impl Strangers {
    /// A place for one more; `None` if too many wait.
    fn enter(&self) -> Option<Waiting> {
        let waiting = Waiting(Arc::clone(&self.0));
        match self.0.fetch_add(1, Relaxed) < MOST {
            true => Some(waiting),
            false => None,
        }
    }

    /// The place of an answer that needs one. Where there is none left it loses its body: without one it goes out with its
    /// headers, which no window holds back.
    pub(super) fn bound(&self, answer: &mut Response) -> Option<Waiting> {
        if answer.extensions().get() != Some(&Whose::Anybody) {
            return None;
        }
        let waiting = self.enter();
        if waiting.is_none() {
            *answer.body_mut() = axum::body::Body::empty();
            let headers = answer.headers_mut();
            headers.remove(CONTENT_ENCODING);
            headers.remove(CONTENT_LENGTH);
        }
        waiting
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}
