//! The header of a 429 that tells when to come back.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::config::RetryAfter;

/// Adds the header, if there is one. `wall` is the wall time now.
pub(crate) fn add(
    headers: &mut HeaderMap,
    form: RetryAfter,
    wait: Option<Duration>,
    wall: SystemTime,
) {
    let Some(wait) = wait else { return };
    let (name, value) = match form {
        RetryAfter::None => return,
        RetryAfter::Seconds => {
            let seconds = wait.as_nanos().div_ceil(1_000_000_000);
            (header::RETRY_AFTER, seconds.to_string())
        }
        RetryAfter::Milliseconds => {
            let millis = wait.as_nanos().div_ceil(1_000_000);
            (
                HeaderName::from_static("retry-after-ms"),
                millis.to_string(),
            )
        }
        RetryAfter::Date => (
            header::RETRY_AFTER,
            httpdate::fmt_http_date(next_second(wall + wait)),
        ),
    };
    if let Ok(value) = HeaderValue::from_str(&value) {
        headers.insert(name, value);
    }
}

fn next_second(at: SystemTime) -> SystemTime {
    let since = at
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seconds = since.as_nanos().div_ceil(1_000_000_000) as u64;
    SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header_of(form: RetryAfter, wait: Option<Duration>) -> Option<(String, String)> {
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_400);
        let mut headers = HeaderMap::new();
        add(&mut headers, form, wait, wall);
        assert!(headers.len() <= 1);
        let (name, value) = headers.iter().next()?;
        Some((name.to_string(), value.to_str().expect("ascii").to_owned()))
    }

    #[test]
    fn every_form_rounds_up() {
        let cases = [
            (RetryAfter::Seconds, 2_000_000_000, "retry-after", "2"),
            (RetryAfter::Seconds, 2_000_000_001, "retry-after", "3"),
            (
                RetryAfter::Milliseconds,
                2_000_000_000,
                "retry-after-ms",
                "2000",
            ),
            (
                RetryAfter::Milliseconds,
                2_000_000_001,
                "retry-after-ms",
                "2001",
            ),
            (
                RetryAfter::Date,
                1_600_000_000,
                "retry-after",
                "Tue, 14 Nov 2023 22:13:22 GMT",
            ),
            (
                RetryAfter::Date,
                1_600_000_001,
                "retry-after",
                "Tue, 14 Nov 2023 22:13:23 GMT",
            ),
        ];
        for (form, nanos, name, value) in cases {
            let header = header_of(form, Some(Duration::from_nanos(nanos)));
            assert_eq!(header, Some((name.to_owned(), value.to_owned())));
        }
    }

    #[test]
    fn no_header_when_off_or_when_never() {
        assert_eq!(
            header_of(RetryAfter::None, Some(Duration::from_secs(1))),
            None
        );
        assert_eq!(header_of(RetryAfter::Seconds, None), None);
    }
}
