//! What a status alone says, and what codes and words may make of it.

use super::Cause::{self, *};

/// What an answer means by its status: the cause where nothing in the body says more.
pub(super) fn cause_of(status: Option<u16>) -> Cause {
    match status {
        Some(400 | 422) => InvalidRequest,
        Some(401) => Unauthorized,
        Some(402) => Account,
        Some(403) => Forbidden,
        // 501: the server does not have what was called.
        Some(404 | 501) => NotFound,
        // 522 and 524 are a proxy's words for 504.
        Some(408 | 504 | 522 | 524) => Timeout,
        Some(413) => TooLarge,
        Some(429) => Throttled,
        Some(498 | 529) => Capacity,
        Some(503) => Unavailable,
        // The version of HTTP is wrong, and will be.
        Some(505) => Other,
        Some(500..) => ServerError,
        Some(_) | None => Other,
    }
}

/// The law: whether an answer of this status may have this cause, whatever its codes and words say.
///
/// | status | may be |
/// |---|---|
/// | 400 | the request, the account, or a throttle (one dialect of Model Studio writes it so) |
/// | 401, 402, 403 | the key or the account |
/// | 404, 408, 410, 413, 501, 505 | what the status says, nothing else |
/// | 429, 498 | a throttle, what is used up, or larger than the whole limit |
/// | other 4xx | permanent |
/// | 503, 504, 522, 524, 529 | what the status says, a throttle, or what is used up |
/// | other 5xx | the same, or any failure of the server |
/// | none, below 400 | anything: an event of a stream, or a body of status 200 |
///
/// So no code makes a 4xx a failure of the server, or a 429 a bad request.
pub(super) fn allows(status: Option<u16>, cause: Cause) -> bool {
    let used_up = matches!(cause, Account | FreeTier);
    let refused = cause.is_throttle() || used_up || cause == TooLarge;
    let Some(status) = status.filter(|status| *status >= 400) else {
        return true;
    };
    match status {
        400 => cause != Other && (!cause.is_transient() || cause.is_throttle()),
        401 | 403 => {
            used_up
                || matches!(cause, Unauthorized | Forbidden)
                || status == 403 && matches!(cause, NotFound | ContentFilter | AsyncUnsupported)
        }
        402 => used_up,
        404 | 408 | 410 | 413 | 501 | 505 => cause == cause_of(Some(status)),
        429 | 498 => refused || cause == AsyncUnsupported,
        401..=499 => !cause.is_transient(),
        503 => refused || matches!(cause, Unavailable | Timeout),
        504 | 522 | 524 => refused || cause == Timeout,
        529 => refused,
        _ => refused || matches!(cause, ServerError | Timeout | Unavailable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_allows_what_it_says_itself() {
        for status in (100..1_000).map(Some).chain([None]) {
            assert!(allows(status, cause_of(status)), "{status:?}");
        }
    }

    #[test]
    fn no_refusal_of_the_caller_is_a_failure_of_the_server() {
        for status in 400..500 {
            for cause in [ServerError, Unavailable, Transport] {
                assert!(!allows(Some(status), cause), "{status} {cause}");
            }
            let may_pass = Cause::ALL.iter().filter(|cause| cause.is_transient());
            let may_pass = may_pass
                .filter(|cause| allows(Some(status), **cause))
                .count();
            let expected = match status {
                400 | 429 | 498 => 6,
                408 => 1,
                _ => 0,
            };
            assert_eq!(may_pass, expected, "{status}");
        }
        assert!(!allows(Some(429), InvalidRequest));
        assert!(!allows(Some(413), Throttled));
    }
}
