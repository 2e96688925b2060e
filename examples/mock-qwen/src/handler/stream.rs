//! An answer as a stream of events.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::stream;
use http::{Response, StatusCode};

use super::{Job, response};
use crate::account::End;
use crate::answer::Finish;
use crate::fault::Fault;
use crate::wire::{Facts, Part, Usage};

/// How far a stream has come. Dropped early, it settles what it has delivered.
pub(super) struct Progress {
    job: Job,
    step: Step,
    /// The answer that is being sent.
    choice: usize,
    /// Tokens sent of this answer.
    sent: usize,
    /// What this answer sent.
    text: String,
    thoughts: String,
    /// Tokens and thoughts sent of all answers.
    all: Usage,
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
            all: job.usage,
            job,
            step: Step::Opening,
            choice: 0,
            sent: 0,
            text: String::new(),
            thoughts: String::new(),
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
        } else {
            let opening = self.job.reply.opening(self.all);
            self.push(opening);
        }
    }

    async fn go_on(&mut self) {
        let total: u64 = self
            .job
            .answers
            .iter()
            .map(|(answer, _)| answer.len())
            .sum();
        let halfway = self.all.output >= total / 2;
        match self.job.fault {
            Fault::ErrorLater if halfway => return self.fail(),
            Fault::Reset if halfway => return self.reset().await,
            Fault::Cut if halfway => return self.end(End::Cut),
            _ => {}
        }
        let Some((answer, _)) = self.job.answers.get(self.choice) else {
            return self.finish();
        };
        if self.sent == answer.tokens.len() {
            return self.finish_choice();
        }
        let thought = self.sent < answer.thoughts;
        let first = self.sent == 0 || self.sent == answer.thoughts;
        let border = if thought {
            answer.thoughts
        } else {
            answer.tokens.len()
        };
        let chunk = self.job.mock.inner().config.chunk_tokens as usize;
        let upto = self.sent.saturating_add(chunk).min(border);
        let new = answer.tokens[self.sent..upto].concat();
        let count = (upto - self.sent) as u64;
        self.wait_for(self.all.output + count).await;
        self.job.ticket.deliver(count);
        self.sent = upto;
        self.all.output += count;
        let before = if thought {
            &mut self.thoughts
        } else {
            &mut self.text
        };
        before.push_str(&new);
        if thought {
            self.all.thoughts += count;
        }
        self.number += 1;
        let part = Part {
            thought,
            first,
            ..self.part(&new)
        };
        let events = self.job.reply.part(part);
        self.push(events);
    }

    /// One answer is over; the next begins.
    fn finish_choice(&mut self) {
        self.number += 1;
        let answers = &self.job.answers;
        let finish = answers.get(self.choice).map(|(answer, _)| answer.finish);
        let name = finish.map_or("stop", Finish::name);
        let events = self.job.reply.finish(self.part(""), name);
        self.push(events);
        self.choice += 1;
        self.sent = 0;
        self.text.clear();
        self.thoughts.clear();
        if self.choice == self.job.answers.len() {
            self.finish();
        }
    }

    fn finish(&mut self) {
        let end = match self.job.fault {
            Fault::NoUsage => End::CompletedWithoutUsage,
            _ => End::Completed,
        };
        let events = self.job.reply.ending(self.all);
        self.push(events);
        self.end(end);
    }

    fn fail(&mut self) {
        let reply = &self.job.reply;
        let inner = self.job.mock.inner();
        let facts = Facts {
            id: &reply.id,
            model: &reply.model,
            message: "",
            created: reply.created,
            limit: 0,
            used: 0,
            asked: 0,
            wait: Duration::ZERO,
            wall: inner.clock.wall(inner.clock.now()),
        };
        let event = reply.error(self.number + 1, &facts);
        self.push(vec![event]);
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
            choice: self.choice,
            thought: false,
            first: false,
            tool: self
                .job
                .answers
                .get(self.choice)
                .and_then(|(answer, _)| answer.tool.as_deref()),
            new,
            text: &self.text,
            thoughts: &self.thoughts,
            usage: self.all,
            own: self.job.own_usage(self.choice, self.sent),
        }
    }

    fn end(&mut self, end: End) {
        self.step = Step::Over;
        self.job.ticket.end(end);
    }

    fn push(&mut self, events: Vec<String>) {
        let frames = events.into_iter().map(|event| Ok(Bytes::from(event)));
        self.frames.extend(frames);
    }
}

/// What a broken connection is, in-process. A pause before it lets a socket send what it has.
pub(super) async fn broken() -> io::Error {
    tokio::task::yield_now().await;
    io::Error::new(io::ErrorKind::ConnectionReset, "the server broke off")
}
