use std::{
    error::Error,
    io::{self, ErrorKind},
};

#[cfg(feature = "h2-0-4")]
use tower_qwen_tokens::internal::was_never_begun;
use tower_qwen_tokens::{Cause, internal::chain};

/// What one error of the chain of sources says about the failure.
enum ErrorClass {
    /// It may go away.
    Transient(Cause),
    /// It will not.
    Permanent,
    /// It may go away, unless an error further inside says otherwise.
    #[allow(
        dead_code,
        reason = "hyper-util, reqwest and h2 have such errors, each behind a feature"
    )]
    LikelyTransient(Cause),
}

/// Why an error of the transport may go away; `None` if it is permanent.
///
/// Looks along the chain of sources, and inside `io::Error`s, for types it knows. An error without
/// any is permanent.
pub(crate) fn transient_cause(error: &(dyn Error + 'static)) -> Option<Cause> {
    let mut likely = None;
    for error in chain(error) {
        match classify(error) {
            Some(ErrorClass::Transient(cause)) => return Some(cause),
            Some(ErrorClass::Permanent) => return None,
            Some(ErrorClass::LikelyTransient(cause)) => likely = Some(cause),
            None => {}
        }
    }
    likely
}

fn classify(error: &(dyn Error + 'static)) -> Option<ErrorClass> {
    if let Some(error) = error.downcast_ref::<io::Error>() {
        return of_io(error.kind());
    }
    if error.is::<tokio::time::error::Elapsed>() {
        return Some(ErrorClass::Transient(Cause::Timeout));
    }
    #[cfg(feature = "tower-0-5")]
    if error.is::<tower::timeout::error::Elapsed>() {
        return Some(ErrorClass::Transient(Cause::Timeout));
    }
    #[cfg(feature = "hyper-1")]
    if let Some(error) = error.downcast_ref::<hyper::Error>() {
        return of_hyper(error);
    }
    #[cfg(feature = "hyper-util-0-1")]
    if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
        // No address, no route, no handshake: nothing was sent. A rejected certificate is further
        // inside.
        return error
            .is_connect()
            .then_some(ErrorClass::LikelyTransient(Cause::Transport));
    }
    #[cfg(feature = "reqwest-0-13")]
    if let Some(error) = error.downcast_ref::<reqwest::Error>() {
        return of_reqwest(error);
    }
    #[cfg(feature = "h2-0-4")]
    if let Some(error) = error.downcast_ref::<h2::Error>() {
        return of_h2(error);
    }
    None
}

fn of_io(kind: ErrorKind) -> Option<ErrorClass> {
    match kind {
        ErrorKind::TimedOut => Some(ErrorClass::Transient(Cause::Timeout)),
        ErrorKind::ConnectionRefused
        | ErrorKind::ConnectionReset
        | ErrorKind::ConnectionAborted
        | ErrorKind::NotConnected
        | ErrorKind::BrokenPipe
        | ErrorKind::UnexpectedEof
        | ErrorKind::HostUnreachable
        | ErrorKind::NetworkUnreachable
        | ErrorKind::NetworkDown => Some(ErrorClass::Transient(Cause::Transport)),
        // What rustls says of a rejected certificate: it will be rejected again.
        ErrorKind::InvalidData => Some(ErrorClass::Permanent),
        _ => None,
    }
}

#[cfg(feature = "hyper-1")]
fn of_hyper(error: &hyper::Error) -> Option<ErrorClass> {
    // A fault of the program that uses hyper.
    if error.is_user() {
        Some(ErrorClass::Permanent)
    } else if error.is_timeout() {
        Some(ErrorClass::Transient(Cause::Timeout))
    } else if error.is_canceled() || error.is_closed() || error.is_incomplete_message() {
        Some(ErrorClass::Transient(Cause::Transport))
    } else {
        None
    }
}

#[cfg(feature = "reqwest-0-13")]
fn of_reqwest(error: &reqwest::Error) -> Option<ErrorClass> {
    if error.is_builder() || error.is_redirect() || error.is_status() || error.is_decode() {
        Some(ErrorClass::Permanent)
    } else if error.is_timeout() {
        Some(ErrorClass::Transient(Cause::Timeout))
    } else if error.is_connect() {
        Some(ErrorClass::LikelyTransient(Cause::Transport))
    } else {
        None
    }
}

/// Transient are streams that a server has never worked on, whatever its reason, and those that break
/// off with their connection.
#[cfg(feature = "h2-0-4")]
fn of_h2(error: &h2::Error) -> Option<ErrorClass> {
    use h2::Reason;
    if error.is_io() {
        return Some(ErrorClass::LikelyTransient(Cause::Transport));
    }
    Some(match error.reason()? {
        Reason::HTTP_1_1_REQUIRED | Reason::INADEQUATE_SECURITY => ErrorClass::Permanent,
        // HTTP/2's own way to throttle (RFC 9113, section 7).
        Reason::ENHANCE_YOUR_CALM => ErrorClass::Transient(Cause::Throttled),
        _ if was_never_begun(error) => ErrorClass::Transient(Cause::Transport),
        Reason::REFUSED_STREAM | Reason::NO_ERROR | Reason::CANCEL | Reason::INTERNAL_ERROR => {
            ErrorClass::Transient(Cause::Transport)
        }
        Reason::SETTINGS_TIMEOUT => ErrorClass::Transient(Cause::Timeout),
        _ => ErrorClass::Permanent,
    })
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use super::*;

    const TRANSPORT: Option<Cause> = Some(Cause::Transport);
    const TIMEOUT: Option<Cause> = Some(Cause::Timeout);

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
    fn io_errors_are_classified_by_kind_at_any_depth() {
        let rows = [
            (ErrorKind::ConnectionRefused, TRANSPORT),
            (ErrorKind::ConnectionReset, TRANSPORT),
            (ErrorKind::ConnectionAborted, TRANSPORT),
            (ErrorKind::NotConnected, TRANSPORT),
            (ErrorKind::BrokenPipe, TRANSPORT),
            (ErrorKind::TimedOut, TIMEOUT),
            (ErrorKind::UnexpectedEof, TRANSPORT),
            (ErrorKind::HostUnreachable, TRANSPORT),
            (ErrorKind::NetworkUnreachable, TRANSPORT),
            (ErrorKind::NetworkDown, TRANSPORT),
            (ErrorKind::PermissionDenied, None),
            (ErrorKind::InvalidData, None),
            (ErrorKind::InvalidInput, None),
            (ErrorKind::AddrNotAvailable, None),
            (ErrorKind::Other, None),
        ];
        for (kind, expected) in rows {
            assert_eq!(
                transient_cause(&io::Error::from(kind)),
                expected,
                "{kind:?}"
            );
            let deep = wrap(io::Error::other(wrap(io::Error::from(kind))));
            assert_eq!(transient_cause(&deep), expected, "{kind:?}, deep inside");
        }
    }

    #[test]
    fn the_error_inside_an_io_error_is_classified_too() {
        let directly = io::Error::other(io::Error::from(ErrorKind::ConnectionReset));
        assert_eq!(transient_cause(&directly), TRANSPORT);
        let rejected = io::Error::new(
            ErrorKind::ConnectionReset,
            io::Error::from(ErrorKind::InvalidData),
        );
        assert_eq!(
            transient_cause(&rejected),
            TRANSPORT,
            "the outermost that is known decides"
        );
    }

    #[test]
    fn unknown_errors_are_permanent() {
        assert_eq!(transient_cause(&Wrapper(None)), None);
        assert_eq!(transient_cause(&wrap(wrap("timed out"))), None);
    }

    #[tokio::test(start_paused = true)]
    async fn timeout_of_tokio_is_transient() {
        let timeout = tokio::time::timeout(
            std::time::Duration::from_secs(1),
            std::future::pending::<()>(),
        );
        let elapsed = timeout.await.expect_err("nothing ever comes");
        assert_eq!(transient_cause(&wrap(elapsed)), TIMEOUT);
    }

    #[cfg(feature = "tower-0-5")]
    #[test]
    fn timeout_of_tower_is_transient() {
        assert_eq!(
            transient_cause(&tower::timeout::error::Elapsed::new()),
            TIMEOUT
        );
    }

    #[cfg(feature = "h2-0-4")]
    #[test]
    fn rejected_streams_and_closing_connections_are_transient() {
        use h2::Reason;
        let rows = [
            (Reason::REFUSED_STREAM, TRANSPORT),
            (Reason::NO_ERROR, TRANSPORT),
            (Reason::CANCEL, TRANSPORT),
            (Reason::INTERNAL_ERROR, TRANSPORT),
            (Reason::SETTINGS_TIMEOUT, TIMEOUT),
            (Reason::ENHANCE_YOUR_CALM, Some(Cause::Throttled)),
            (Reason::PROTOCOL_ERROR, None),
            (Reason::COMPRESSION_ERROR, None),
            (Reason::HTTP_1_1_REQUIRED, None),
            (Reason::INADEQUATE_SECURITY, None),
        ];
        for (reason, expected) in rows {
            let error = h2::Error::from(reason);
            assert_eq!(transient_cause(&wrap(error)), expected, "{reason:?}");
        }
    }
}
