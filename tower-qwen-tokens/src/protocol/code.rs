//! From codes, words and status to a cause.

use std::time::Duration;

use super::{
    Cause::{self, *},
    error_parts::ErrorBody,
    index::{Index, hash},
    known_errors::{KNOWN_ERRORS, KnownError},
    status::{allows, cause_of},
    words::Words,
};

/// What an error means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Meaning {
    pub(super) cause: Cause,
    /// How long the window of the plan is that is used up, if it is one.
    pub(super) window: Option<Duration>,
    /// Whether the answer has codes, and none of them is known.
    pub(super) is_unknown_code: bool,
    /// Whether the status, a code or a type says that a limit was met, and not the words of the message alone.
    pub(super) is_of_limit: bool,
}

/// What a status, codes and words mean together. Words go first, then the codes in their order, then the status; each only
/// as far as the status allows ([`allows`]).
///
/// A message may repeat the caller's text. So its words alone say of no plan that it is used up, which would close the model to
/// all callers.
pub(super) fn classify(status: Option<u16>, body: &ErrorBody, words: &Words<'_>) -> Meaning {
    let all = body.codes();
    let codes = || all.into_iter().filter(|code| !code.is_empty());
    let known = |code| by_code(status, code);
    let is_of_limit = status == Some(429) || body.own_codes().any(|code| is_limit(status, code));
    let row = by_words(status, codes, words, is_of_limit)
        // A message is more exact than its code: `insufficient_quota` is a rate as well as a used-
        // up plan.
        .or_else(|| {
            codes()
                .filter_map(known)
                .find(|row| allows(status, row.cause))
        });
    let is_too_large = words.is_too_large() && allows(status, TooLarge);
    let cause = row.filter(|_| !is_too_large).map(|row| row.cause);
    let cause = cause.or(is_too_large.then_some(TooLarge));
    // A number that contradicts a 4xx is a router's slip; behind a 5xx or an event it says more.
    let may_be_number = status.is_none_or(|status| status >= 500);
    let of_number = |code| by_number(code).filter(|_| may_be_number);
    let of_code = || {
        let causes = codes().filter_map(|code| of_number(code).or_else(|| by_stem(code)));
        causes.into_iter().find(|cause| allows(status, *cause))
    };
    // A host that repeats the status as its code has said nothing with it.
    let mut own = codes().filter(|code| by_number(code).is_none()).peekable();
    Meaning {
        cause: cause.or_else(of_code).unwrap_or_else(|| cause_of(status)),
        window: row.filter(|_| !is_too_large).and_then(|row| row.window),
        is_unknown_code: own.peek().is_some() && own.all(|code| known(code).is_none()),
        is_of_limit,
    }
}

/// Whether a code says that a limit or the account was met.
fn is_limit(status: Option<u16>, code: &str) -> bool {
    let cause = by_code(status, code).map(|row| row.cause);
    let cause = cause.or_else(|| by_number(code)).or_else(|| by_stem(code));
    // A server that is full says nothing of the account.
    cause.is_some_and(|it| it.is_throttle() && it != Capacity || matches!(it, Account | FreeTier))
}

fn by_words<'a, C: Iterator<Item = &'a str>>(
    status: Option<u16>,
    codes: impl Fn() -> C,
    words: &Words<'_>,
    is_of_limit: bool,
) -> Option<&'static KnownError> {
    // Without a status the code decides which it would have had: so a message that repeats the
    // caller's text misleads no more than it would with one.
    let seen_with = || {
        codes()
            .find_map(|code| by_code(None, code))
            .map(|row| row.statuses)
    };
    let fits = |row: &KnownError| match (row.codes, status) {
        ([], Some(status)) => row.statuses.contains(&status),
        ([], None) => {
            seen_with().is_none_or(|seen| row.statuses.iter().any(|own| seen.contains(own)))
        }
        _ => codes().any(|code| row.has_code(code)),
    };
    let is_believed = |row: &KnownError| {
        row.window.is_none()
            || is_of_limit
            // What the host says stands in front of what it repeats.
            || row.names(status) && words.begin_with(row.fragment)
    };
    let rows = words.rows().map(|row| &KNOWN_ERRORS[row]);
    rows.into_iter().find(|row| {
        (allows(status, row.cause) || row.names(status)) && fits(row) && is_believed(row)
    })
}

/// The row of a code, or of what it is a kind of: `Throttling.User` of `Throttling`.
fn by_code(status: Option<u16>, code: &str) -> Option<&'static KnownError> {
    let rows = || {
        CODES
            .of(hash(code.as_bytes()))
            .map(|row| &KNOWN_ERRORS[row])
    };
    rows()
        .filter(|row| row.has_code(code))
        .find(|row| status.is_some_and(|status| row.statuses.contains(&status)))
        .or_else(|| rows().find(|row| row.has_code(code)))
        // Providers add kinds to known codes more often than they add codes.
        .or_else(|| by_code(status, code.rsplit_once('.')?.0))
}

/// The cause of a code that is a status.
fn by_number(code: &str) -> Option<Cause> {
    let status = code
        .parse()
        .ok()
        .filter(|status| (400..600).contains(status))?;
    Some(cause_of(Some(status)))
}

/// The cause of a code that is not known, by a word that is part of it.
fn by_stem(code: &str) -> Option<Cause> {
    // What comes before the first dot says what it is, what comes after it says where.
    let code = code.split('.').next()?;
    let plain = code.bytes().filter(u8::is_ascii_alphanumeric);
    // Longer ones are no codes.
    let plain: Vec<u8> = plain
        .take(64)
        .map(|byte| byte.to_ascii_lowercase())
        .collect();
    let has = |stem: &[u8]| plain.windows(stem.len()).any(|part| part == stem);
    let stems: &[(&[u8], Cause)] = &[
        (b"concurren", Concurrency),
        (b"overload", Capacity),
        (b"ratelimit", Throttled),
        (b"throttl", Throttled),
        (b"toomanyrequest", Throttled),
        (b"unavailable", Unavailable),
        (b"timeout", Timeout),
    ];
    stems
        .iter()
        .find(|(stem, _)| has(stem))
        .map(|(_, cause)| *cause)
}

impl KnownError {
    fn has_code(&self, code: &str) -> bool {
        self.codes.iter().any(|own| own.eq_ignore_ascii_case(code))
    }

    /// Whether status, code and words together are this row's, which then stands above the law: one dialect of Model Studio
    /// throttles with 403 and `AccessDenied`.
    fn names(&self, status: Option<u16>) -> bool {
        let has_status = status.is_some_and(|status| self.statuses.contains(&status));
        has_status && !self.codes.is_empty() && !self.fragment.is_empty()
    }
}

/// Whether a `code` without an error object means a failure: some good answers have a code too.
pub(super) fn is_failure(code: &str) -> bool {
    match code.parse::<u64>() {
        // Some hosts write 200 or 0 beside a good answer.
        Ok(number) => (400..600).contains(&number) || by_code(None, code).is_some(),
        Err(_) => !matches!(&*code.to_ascii_lowercase(), "" | "ok" | "success"),
    }
}

/// Whether a `finish_reason` says that the provider broke the answer off.
pub(crate) fn is_broken_off(finish_reason: &[u8]) -> bool {
    matches!(finish_reason, b"error_finish" | b"error")
}

/// The rows whose code alone decides, by the hash of the code.
static CODES: Index<{ count() }> = Index::new(keys());

const fn count() -> usize {
    let (mut row, mut count) = (0, 0);
    while row < KNOWN_ERRORS.len() {
        if KNOWN_ERRORS[row].fragment.is_empty() {
            count += KNOWN_ERRORS[row].codes.len();
        }
        row += 1;
    }
    count
}

const fn keys() -> [(u32, u16); count()] {
    let mut keys = [(0, 0); count()];
    let (mut row, mut at) = (0, 0);
    while row < KNOWN_ERRORS.len() {
        let (known, mut code) = (&KNOWN_ERRORS[row], 0);
        while known.fragment.is_empty() && code < known.codes.len() {
            keys[at] = (hash(known.codes[code].as_bytes()), row as u16);
            at += 1;
            code += 1;
        }
        row += 1;
    }
    keys
}
