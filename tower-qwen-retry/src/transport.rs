use std::{
    error::Error,
    io::{self, ErrorKind},
};

/// Whether an error of the transport may go away by itself. Looks for types it knows along the chain of sources, the
/// insides of `io::Error`s included; an error that holds none is permanent.
pub(crate) fn is_transient(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(transient) = judge(error) {
            return transient;
        }
        // `source` of an `io::Error` skips the very error that it wraps.
        next = match error.downcast_ref::<io::Error>() {
            Some(error) => error.get_ref().map(|inside| inside as _),
            None => error.source(),
        };
    }
    false
}

/// The judgement on one link of the chain; `None` where the next one has to tell.
fn judge(error: &(dyn Error + 'static)) -> Option<bool> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return is_transient_io(error.kind()).then_some(true);
    }
    if error.is::<tokio::time::error::Elapsed>() {
        return Some(true);
    }
    #[cfg(feature = "tower-0-5")]
    if error.is::<tower::timeout::error::Elapsed>() {
        return Some(true);
    }
    #[cfg(feature = "hyper-1")]
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        if error.is_user() {
            return Some(false);
        }
        if error.is_canceled()
            || error.is_closed()
            || error.is_incomplete_message()
            || error.is_timeout()
        {
            return Some(true);
        }
    }
    None
}

fn is_transient_io(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::ConnectionRefused
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::NotConnected
            | ErrorKind::BrokenPipe
            | ErrorKind::TimedOut
            | ErrorKind::UnexpectedEof
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::NetworkDown
    )
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    #[derive(Debug)]
    struct Wrapper(Option<Box<dyn Error + Send + Sync>>);

    impl fmt::Display for Wrapper {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("wrapper")
        }
    }

    impl Error for Wrapper {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            self.0.as_deref().map(|source| source as _)
        }
    }

    fn wrap(inside: impl Into<Box<dyn Error + Send + Sync>>) -> Wrapper {
        Wrapper(Some(inside.into()))
    }

    #[test]
    fn io_errors_are_judged_by_their_kind_wherever_they_stand() {
        let rows = [
            (ErrorKind::ConnectionRefused, true),
            (ErrorKind::ConnectionReset, true),
            (ErrorKind::ConnectionAborted, true),
            (ErrorKind::NotConnected, true),
            (ErrorKind::BrokenPipe, true),
            (ErrorKind::TimedOut, true),
            (ErrorKind::UnexpectedEof, true),
            (ErrorKind::HostUnreachable, true),
            (ErrorKind::NetworkUnreachable, true),
            (ErrorKind::NetworkDown, true),
            (ErrorKind::PermissionDenied, false),
            (ErrorKind::InvalidData, false),
            (ErrorKind::InvalidInput, false),
            (ErrorKind::AddrNotAvailable, false),
            (ErrorKind::Other, false),
        ];
        for (kind, transient) in rows {
            assert_eq!(is_transient(&io::Error::from(kind)), transient, "{kind:?}");
            let deep = wrap(io::Error::other(wrap(io::Error::from(kind))));
            assert_eq!(is_transient(&deep), transient, "{kind:?}, deep inside");
        }
    }

    #[test]
    fn the_error_that_an_io_error_wraps_is_looked_at_too() {
        let directly = io::Error::other(io::Error::from(ErrorKind::ConnectionReset));
        assert!(is_transient(&directly));
    }

    #[test]
    fn unknown_errors_are_permanent() {
        assert!(!is_transient(&Wrapper(None)));
        assert!(!is_transient(&wrap(wrap("timed out"))));
    }

    #[tokio::test(start_paused = true)]
    async fn timeout_of_tokio_is_transient() {
        let timeout = tokio::time::timeout(
            std::time::Duration::from_secs(1),
            std::future::pending::<()>(),
        );
        let elapsed = timeout.await.expect_err("nothing ever comes");
        assert!(is_transient(&wrap(elapsed)));
    }

    #[cfg(feature = "tower-0-5")]
    #[test]
    fn timeout_of_tower_is_transient() {
        assert!(is_transient(&tower::timeout::error::Elapsed::new()));
    }
}
