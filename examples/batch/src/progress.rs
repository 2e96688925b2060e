//! What is seen while a run goes on, on the standard error.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    time::Duration,
};
use tokio::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::{
    accounts::AccountUse,
    counts::Counts,
    fatal::Fatal,
    hold_up::hold_up,
    input::{BadLine, BadLines},
    model_quotas::ModelQuotas,
    pace::{Pace, Span, TimeLeft},
    run::Observe,
    stack::Stack,
    words,
};

/// Of so many accounts a line of progress has room.
const MOST_ACCOUNTS: usize = 4;

const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// A bar on a terminal, a line every five seconds elsewhere.
#[derive(Debug)]
pub struct Progress<W = io::Stderr> {
    stack: Stack,
    total: Option<u64>,
    quotas: Option<ModelQuotas>,
    pace: Pace,
    bad_lines: BadLines,
    face: Face<W>,
}

#[derive(Debug)]
enum Face<W> {
    Bar(ProgressBar),
    Plain { out: W, next: Instant },
}

/// What is said at a tick.
struct Message {
    figures: String,
    left: String,
    /// Empty where nothing holds the run up.
    hold_up: String,
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.figures, self.left)?;
        if self.hold_up.is_empty() {
            return Ok(());
        }
        write!(f, "; {}", self.hold_up)
    }
}

impl Progress {
    /// Progress on the standard error; `total` is the number of lines, where it is known.
    #[must_use]
    pub fn stderr(stack: Stack, total: Option<u64>) -> Self {
        if !io::stderr().is_terminal() {
            return Self::plain(stack, total, io::stderr());
        }
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
        let style = match total {
            Some(_) => ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg}"),
            None => ProgressStyle::with_template("{spinner} {pos}  {msg}"),
        };
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self::new(stack, total, Face::Bar(bar))
    }
}

impl<W: Write> Progress<W> {
    /// Plain lines.
    pub fn plain(stack: Stack, total: Option<u64>, out: W) -> Self {
        let next = Instant::now() + PLAIN_EVERY;
        Self::new(stack, total, Face::Plain { out, next })
    }

    fn new(stack: Stack, total: Option<u64>, face: Face<W>) -> Self {
        Self {
            stack,
            total,
            quotas: None,
            pace: Pace::new(),
            bad_lines: BadLines::default(),
            face,
        }
    }

    /// Also says what these quotas hold up.
    #[must_use]
    pub fn quotas(mut self, quotas: ModelQuotas) -> Self {
        self.quotas = Some(quotas);
        self
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Face::Bar(bar) = &self.face {
            bar.finish_and_clear();
        }
    }

    fn say(&mut self, text: &str) {
        match &mut self.face {
            Face::Bar(bar) => bar.println(text),
            Face::Plain { out, .. } => {
                // Nobody may be listening.
                writeln!(out, "{text}").ok();
            }
        }
    }

    fn message(&mut self, counts: &Counts) -> Message {
        let accounts = self.stack.limiter.snapshot();
        let percent = |used: u64, quota: u64| used.saturating_mul(100) / quota.max(1);
        let requests = accounts
            .iter()
            .map(|account| percent(account.requests.used, account.requests.quota));
        let tokens = accounts
            .iter()
            .map(|account| percent(account.tokens.used, account.tokens.quota));
        let cost = self.stack.booked().total.cost;
        let hold_up = self.quotas.as_ref().and_then(|quotas| {
            let places = quotas.concurrency().get();
            hold_up(&accounts, |key| quotas.found_for(key), places)
        });
        let time_left = self.time_left(counts);
        let left = match time_left {
            Some(TimeLeft { left, was: None }) => format!("{} left", Span(left)),
            Some(TimeLeft {
                left,
                was: Some(was),
            }) => format!("{} left (it was {})", Span(left), Span(was)),
            None => "time left unknown".to_owned(),
        };
        let is_slower = time_left.is_some_and(|time_left| time_left.was.is_some());
        let hold_up =
            hold_up.or_else(|| is_slower.then(|| "the last minute was slower".to_owned()));
        let figures = format!(
            "requests {} %, tokens {} %, {:.0} calls a minute, throttles {}, cost {}",
            requests.max().unwrap_or(0),
            tokens.max().unwrap_or(0),
            self.pace.per_minute(),
            self.stack.tally.attempts().throttled(),
            words::money(&cost),
        ) + &self.by_account();
        Message {
            figures,
            left,
            hold_up: hold_up.unwrap_or_default(),
        }
    }

    /// What each account has, where there are several.
    fn by_account(&self) -> String {
        let used = AccountUse::all(self.stack.accounts.as_ref(), &self.stack.limiter);
        let shown: Vec<String> = used
            .iter()
            .take(MOST_ACCOUNTS)
            .map(AccountUse::short)
            .collect();
        match (shown.is_empty(), used.len().saturating_sub(MOST_ACCOUNTS)) {
            (true, _) => String::new(),
            (false, 0) => format!(" ({})", shown.join("; ")),
            (false, more) => format!(" ({}; and {more} more)", shown.join("; ")),
        }
    }

    /// At the rate of the last minute.
    fn time_left(&mut self, counts: &Counts) -> Option<TimeLeft> {
        let left = self.total?.checked_sub(counts.done() + counts.not_sent)?;
        self.pace.left(left)
    }
}

impl<W: Write> Observe for Progress<W> {
    fn bad_line(&mut self, line: &BadLine) {
        if let Some(text) = self.bad_lines.text(line) {
            self.say(&text);
        }
    }

    fn closed(&mut self, fatal: &Fatal) {
        let Fatal {
            said, model, path, ..
        } = fatal;
        self.say(&format!(
            "Calls of {model:?} to {path} cannot succeed and are not sent: {said}"
        ));
    }

    fn tick(&mut self, counts: &Counts) {
        let now = Instant::now();
        self.pace.note(counts.succeeded + counts.failed);
        let news = self.quotas.as_ref().map(|quotas| quotas.news().take());
        for sentence in news.into_iter().flatten() {
            self.say(&sentence);
        }
        let message = match &self.face {
            Face::Plain { next, .. } if now < *next => return,
            _ => self.message(counts),
        };
        match &mut self.face {
            Face::Bar(bar) => {
                bar.set_position(counts.done());
                // Each in a line of its own: 80 columns hold no two of them.
                let Message {
                    figures,
                    left,
                    hold_up,
                } = message;
                bar.set_message(format!("{left}\n{figures}\n{hold_up}"));
            }
            Face::Plain { out, next } => {
                *next = now + PLAIN_EVERY;
                let done = counts.done();
                let of_total = self
                    .total
                    .map_or_else(String::new, |total| format!("/{total}"));
                // Nobody may be listening.
                writeln!(out, "{done}{of_total} done, {message}").ok();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tower_qwen_ratelimit::{Limiter, Quota};
    use tower_qwen_retry::RetryPolicy;
    use tower_qwen_tokens::Ledger;

    use super::*;
    use crate::{
        input::{Place, Reason},
        tally::Tally,
    };

    fn stack() -> Stack {
        Stack {
            limiter: Limiter::new(Quota::qwen2()),
            ledger: Ledger::default(),
            tally: Tally::default(),
            accounts: None,
            policy: RetryPolicy::default(),
            budgets: None,
        }
    }

    fn succeeded(succeeded: u64) -> Counts {
        Counts {
            succeeded,
            answered_before: 10,
            ..Counts::default()
        }
    }

    async fn told(total: Option<u64>) -> String {
        let mut out = Vec::new();
        let mut progress = Progress::plain(stack(), total, &mut out);
        for step in 0..=100 {
            progress.tick(&succeeded(step));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        drop(progress);
        String::from_utf8_lossy(&out).into_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn a_plain_line_comes_every_five_seconds_and_tells_the_time_left() {
        assert_eq!(
            told(Some(210)).await,
            "60/210 done, requests 0 %, tokens 0 %, 600 calls a minute, throttles 0, cost none known, 15 s left\n\
             110/210 done, requests 0 %, tokens 0 %, 600 calls a minute, throttles 0, cost none known, 10 s left\n"
        );
        let unknown = told(None).await;
        assert!(
            unknown.starts_with("60 done, ") && unknown.ends_with("time left unknown\n"),
            "{unknown}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_time_left_that_grows_says_what_it_was_and_why() {
        let mut out = Vec::new();
        let mut progress = Progress::plain(stack(), Some(210), &mut out);
        // Half of the calls within five seconds, and none from then on.
        for step in 0..=150 {
            progress.tick(&succeeded(step.min(50) * 2));
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        drop(progress);
        let said = String::from_utf8_lossy(&out).into_owned();
        let ends: Vec<_> = said
            .lines()
            .map(|line| line.rsplit("known, ").next())
            .collect();
        assert_eq!(
            ends,
            [
                Some("5 s left"),
                Some("10 s left (it was 5 s); the last minute was slower"),
                Some("15 s left (it was 5 s); the last minute was slower"),
            ]
        );
    }

    #[tokio::test(start_paused = true)]
    async fn bad_lines_are_told_at_once() {
        let mut out = Vec::new();
        Progress::plain(stack(), None, &mut out).bad_line(&BadLine {
            place: Place {
                file: None,
                line: 3,
            },
            reason: Reason::Method,
        });
        assert_eq!(
            String::from_utf8_lossy(&out),
            "line 3: `method` is not POST\n"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_promised_before_the_first_answer() {
        let mut progress = Progress::plain(stack(), Some(5), Vec::new());
        assert_eq!(progress.time_left(&Counts::default()), None);
    }
}
