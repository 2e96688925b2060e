//! Lets through only paths that every server reads in the same way.
//!
//! What a call costs hangs on its path, and a server behind may decode `%63` or take `//` for `/`. The list of paths has none
//! of these spellings; a caller that sends one learns here what is wrong with it.

use axum::{body::Body, extract::Request, response::Response};
use tower_qwen_tokens::protocol::rejection::UNREADABLE;

use crate::errors::error_format;

/// Lets a path through that [is plain](is_plain).
///
/// # Errors
///
/// The answer to any other, boxed for its size.
pub fn check(request: &Request) -> Result<(), Box<Response>> {
    if is_plain(request.uri().path()) {
        return Ok(());
    }
    let message = "The path must be plain: no empty segment, no `.` or `..`, no parameters, and no escape of what needs none.";
    let answer = error_format(request).error(UNREADABLE, message);
    Err(Box::new(answer.map(Body::from)))
}

/// Whether a path is in the normal form of RFC 3986, and nothing in it separates or ends paths for some servers only. One
/// slash at the end is in the normal form too: that path is not on the list.
#[must_use]
pub fn is_plain(path: &str) -> bool {
    if path == "/" {
        return true;
    }
    let path = path.strip_prefix('/').unwrap_or(path);
    let path = path.strip_suffix('/').unwrap_or(path);
    let is_name = |segment: &str| !matches!(segment, "" | "." | "..");
    path.split('/').all(is_name)
        && !path.contains(['\\', ';'])
        && path.split('%').skip(1).all(is_needed)
}

/// Whether what follows a `%` makes an escape that has to be one, of a byte that no server takes for a part of the syntax.
fn is_needed(rest: &str) -> bool {
    let byte = rest
        .get(..2)
        .and_then(|hex| u8::from_str_radix(hex, 16).ok());
    byte.is_some_and(|byte| {
        !byte.is_ascii_alphanumeric() && !byte.is_ascii_control() && !b"-._~/\\;?#%".contains(&byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_servers_may_read_in_two_ways_is_not_plain() {
        for path in [
            "/",
            "/v1/chat/completions",
            "/v1/chat/completions/",
            "/v1/models/qwen2.5-7b_instruct~x",
            "/v1/files/.hidden..x...",
            "/v1/models/ft:qwen@1",
            "/v1/files/a%20b%E6%B5%B7%3a",
        ] {
            assert!(is_plain(path), "{path}");
        }
        for path in [
            "",
            "//",
            "/v1/chat/completions//",
            "/v1//chat/completions",
            "//v1/chat/completions",
            "/v1/./completions",
            "/v1/files/../completions",
            "/v1/chat/completions/.",
            "/v1/chat/completions/..",
            "/v1/chat/completions/./",
            "/v1/files/%2e%2E/completions",
            "/v1/files/.%2e/completions",
            "/v1/chat/%63ompletions",
            "/v1/chat%2Fcompletions",
            "/v1/chat%2fcompletions",
            "/v1/chat%5ccompletions",
            "/v1/chat\\completions",
            "/v1/chat/completions;x=1",
            "/v1/chat/completions%3Bx",
            "/v1/chat/completions%3Fx",
            "/v1/chat/completions%23",
            "/v1/chat/%2563ompletions",
            "/v1/chat/completions%00",
            "/v1/chat/completions%",
            "/v1/chat/completions%2",
            "/v1/chat/completions%zz",
            "/v1/chat/completions%+f",
            "/v1/chat/completions%é",
        ] {
            assert!(!is_plain(path), "{path}");
        }
    }
}
