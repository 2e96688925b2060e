//! An answer as a stream of events.

use std::collections::VecDeque;
use std::io;

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{Response, StatusCode};

use super::{Job, response};
use crate::account::End;
use crate::fault::Fault;
use crate::wire::{Part, Problem, Usage};

/// How far a stream has come. Dropped early, it settles what it has delivered.
pub(super) struct Progress {
    job: Job,
    step: Step,
    /// Tokens sent.
    sent: usize,
    /// All text sent.
    text: String,
    /// Number of the last event.
    number: u64,
    frames: VecDeque<Result<Bytes, io::Error>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Opening,
    Content,
    Over,
}

impl Progress {
    pub(super) fn new(job: Job) -> Self {
        Self {
            job,
            step: Step::Opening,
            sent: 0,
            text: String::new(),
            number: 0,
            frames: VecDeque::new(),
        }
    }

    pub(super) fn respond(self) -> Response<Body> {
        let content_type = self.job.reply.content_type();
        let frames = stream::unfold(self, |mut progress| async move {
            let frame = progress.frame().await?;
            Some((frame, progress))
        });
        response(StatusCode::OK, content_type, Body::from_stream(frames))
    }

    async fn frame(&mut self) -> Option<Result<Bytes, io::Error>> {
        loop {
            if let Some(frame) = self.frames.pop_front() {
                return Some(frame);
            }
            match self.step {
                Step::Opening => self.open().await,
                Step::Content => self.go_on().await,
                Step::Over => return None,
            }
        }
    }

    async fn open(&mut self) {
        self.wait_for(0).await;
        self.step = Step::Content;
        if self.job.fault == Fault::ErrorFirst {
            self.fail();
        } else if let Some(opening) = self.job.reply.opening() {
            self.push(opening);
        }
    }

    async fn go_on(&mut self) {
        let tokens = &self.job.answer.tokens;
        let halfway = self.sent >= tokens.len() / 2;
        match self.job.fault {
            Fault::ErrorLater if halfway => return self.fail(),
            Fault::Reset if halfway => return self.reset().await,
            _ if self.sent == tokens.len() => return self.finish(),
            _ => {}
        }
        let chunk = self.job.mock.inner().config.chunk_tokens as usize;
        let upto = self.sent.saturating_add(chunk).min(tokens.len());
        let new = tokens[self.sent..upto].concat();
        self.wait_for(upto as u64).await;
        self.job.ticket.deliver((upto - self.sent) as u64);
        self.sent = upto;
        self.text.push_str(&new);
        self.number += 1;
        let event = self.job.reply.part(self.part(&new));
        self.push(event);
    }

    fn finish(&mut self) {
        let end = match self.job.fault {
            Fault::NoUsage => End::CompletedWithoutUsage,
            _ => End::Completed,
        };
        self.number += 1;
        let finish = self.job.answer.finish.name();
        for event in self.job.reply.ending(self.part(""), finish) {
            self.push(event);
        }
        self.end(end);
    }

    fn fail(&mut self) {
        let event = Problem::Tokens.event(self.number + 1, &self.job.reply.id);
        self.push(event);
        self.end(End::StreamError);
    }

    async fn reset(&mut self) {
        self.frames.push_back(Err(broken().await));
        self.end(End::Reset);
    }
}

impl Progress {
    async fn wait_for(&self, tokens: u64) {
        let at = self.job.written_at(tokens);
        self.job.mock.inner().clock.sleep_until(at).await;
    }

    fn part<'a>(&'a self, new: &'a str) -> Part<'a> {
        Part {
            number: self.number,
            new,
            all: &self.text,
            usage: Usage {
                output: self.sent as u64,
                ..self.job.usage
            },
        }
    }

    fn end(&mut self, end: End) {
        self.step = Step::Over;
        self.job.ticket.end(end);
    }

    fn push(&mut self, event: String) {
        self.frames.push_back(Ok(Bytes::from(event)));
    }
}

/// What a broken connection is, in-process. A pause before it lets a socket send what it has.
pub(super) async fn broken() -> io::Error {
    tokio::task::yield_now().await;
    io::Error::new(io::ErrorKind::ConnectionReset, "the server broke off")
}
