use std::path::Path;

use super::{
    file::File,
    values::{Length, LengthOrNone},
};
use crate::args::Args;

impl File {
    /// The command line with what the file says in its place.
    pub(super) fn over(&self, started: &Args) -> Args {
        let mut args = started.clone();
        let (server, limits) = (&self.server, &self.limits);
        set(&mut args.listen, server.listen);
        set(&mut args.grace, server.grace.map(|Length(grace)| grace));
        if let Some(decompression) = server.decompression {
            args.no_decompression = !decompression;
        }
        set(
            &mut args.drain,
            server.drain.map(|LengthOrNone(drain)| drain),
        );
        for (own, said) in [
            (&mut args.state, &server.state),
            (&mut args.ledger, &self.ledger),
            (&mut args.tls_cert, &server.tls_cert),
            (&mut args.tls_key, &server.tls_key),
        ] {
            *own = said.clone().or(own.take());
        }
        set(&mut args.cors_origins, server.cors_origins.clone());
        set(&mut args.pass_headers, server.pass_headers.clone());
        set(&mut args.log_format, server.log_format);
        set(&mut args.max_body, limits.max_body);
        let bounds = &mut args.limits;
        bounds.max_connections = limits.max_connections.or(bounds.max_connections);
        bounds.max_caller_calls = limits.max_caller_calls.or(bounds.max_caller_calls);
        set(&mut bounds.max_caller_bytes, limits.max_caller_bytes);
        set(&mut bounds.max_bytes, limits.max_bytes);
        for (own, said) in [
            (&mut bounds.head_timeout, limits.head_timeout),
            (&mut bounds.body_timeout, limits.body_timeout),
            (&mut bounds.idle_timeout, limits.idle_timeout),
            (&mut bounds.write_timeout, limits.write_timeout),
            (&mut args.max_wait, limits.max_wait),
            (&mut args.timeout, limits.timeout),
            (&mut args.stall, limits.stall),
            (&mut args.deadline, limits.deadline),
        ] {
            set(own, said.map(|Length(time)| time));
        }
        args
    }

    /// Where the admin API's changes lie, if the file says it.
    pub(super) fn state(&self) -> Option<&Path> {
        self.server.state.as_deref()
    }

    /// Which lines are logged, if the file says it.
    #[must_use]
    pub fn log(&self) -> Option<&str> {
        self.server.log.as_deref()
    }
}

fn set<T>(own: &mut T, said: Option<T>) {
    if let Some(said) = said {
        *own = said;
    }
}
