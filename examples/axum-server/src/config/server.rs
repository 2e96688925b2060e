//! The sections that say how the program itself runs.

use std::{fmt::Display, net::SocketAddr, num::NonZeroU32, path::PathBuf, str::FromStr};

use http::HeaderName;
use serde::Deserialize;
use tower_qwen_ratelimit::{OutagePolicy, Sharing, fleet::redis::RedisOptions};

use super::{
    file::chain,
    section::Section,
    values::{Length, LengthOrNone},
};
use crate::{
    api_key::{ApiKey, BadKey, KeyHash},
    args::LogFormat,
    cors::CorsOrigin,
};

/// `[server]`.
#[derive(Debug, Default)]
pub(super) struct Server {
    pub(super) listen: Option<SocketAddr>,
    pub(super) admin_key: Option<KeyHash>,
    pub(super) state: Option<PathBuf>,
    pub(super) drain: Option<LengthOrNone>,
    pub(super) grace: Option<Length>,
    pub(super) tls_cert: Option<PathBuf>,
    pub(super) tls_key: Option<PathBuf>,
    pub(super) cors_origins: Option<Vec<CorsOrigin>>,
    pub(super) pass_headers: Option<Vec<HeaderName>>,
    pub(super) decompression: Option<bool>,
    pub(super) log: Option<String>,
    pub(super) log_format: Option<LogFormat>,
}

/// `[limits]`.
#[derive(Debug, Default)]
pub(super) struct Limits {
    pub(super) head_timeout: Option<Length>,
    pub(super) body_timeout: Option<Length>,
    pub(super) idle_timeout: Option<Length>,
    pub(super) write_timeout: Option<Length>,
    pub(super) max_connections: Option<u32>,
    pub(super) max_caller_calls: Option<u32>,
    pub(super) max_caller_bytes: Option<u64>,
    pub(super) max_bytes: Option<u64>,
    pub(super) max_body: Option<usize>,
    pub(super) max_wait: Option<Length>,
    pub(super) timeout: Option<Length>,
    pub(super) stall: Option<Length>,
    pub(super) deadline: Option<Length>,
}

/// `[store]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Store {
    /// Its address, which may hold a password.
    pub redis: String,
    /// What the names of its keys begin with.
    pub namespace: Option<String>,
    /// How replicas share the upstreams' quotas.
    pub sharing: Sharing,
    /// What becomes of calls while it is away.
    pub outage: OutagePolicy,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum SharingName {
    Booking,
    Lease,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutageName {
    LocalShare,
    Unlimited,
    Reject,
}

impl Server {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let key_form = BadKey::Key.to_string();
        let mut admin_key =
            section.secret::<KeyHash>("admin_key_sha256", &BadKey::Hash.to_string());
        let plain = section.secret::<ApiKey>("admin_key", &key_form);
        let variable = section.value::<String>("admin_key_env");
        if usize::from(admin_key.is_some())
            + usize::from(plain.is_some())
            + usize::from(variable.is_some())
            > 1
        {
            section.note(
                "admin_key",
                "one of `admin_key`, `admin_key_env` and `admin_key_sha256`",
            );
        }
        if let Some(key) = plain {
            admin_key = Some(KeyHash::of(&key));
        }
        if let Some(variable) = variable {
            let key = std::env::var(&variable).ok();
            match key.and_then(|key| key.trim().parse::<ApiKey>().ok()) {
                Some(key) => admin_key = Some(KeyHash::of(&key)),
                None => section.note(
                    "admin_key_env",
                    format!("no key is in the environment variable {variable}"),
                ),
            }
        }
        let server = Self {
            listen: section.value("listen"),
            admin_key,
            state: section.value("state"),
            drain: section.value("drain"),
            grace: section.value("grace"),
            tls_cert: section.value("tls_cert"),
            tls_key: section.value("tls_key"),
            cors_origins: each(&mut section, "cors_origins"),
            pass_headers: each(&mut section, "pass_headers"),
            decompression: section.value("decompression"),
            log: section.value("log"),
            log_format: section.value("log_format"),
        };
        if server.tls_cert.is_some() != server.tls_key.is_some() {
            section.note("tls_cert", "`tls_cert` and `tls_key` need each other");
        }
        section.end();
        server
    }
}

/// A list of texts that are written like the values of a flag.
fn each<T: FromStr<Err: Display>>(section: &mut Section<'_, '_>, key: &str) -> Option<Vec<T>> {
    let texts = section.value::<Vec<String>>(key)?;
    let mut list = Vec::with_capacity(texts.len());
    for text in texts {
        match text.parse() {
            Ok(value) => list.push(value),
            Err(error) => section.note(key, format!("`{key}`: {text}: {error}")),
        }
    }
    Some(list)
}

impl Limits {
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let limits = Self {
            head_timeout: section.value("head_timeout"),
            body_timeout: section.value("body_timeout"),
            idle_timeout: section.value("idle_timeout"),
            write_timeout: section.value("write_timeout"),
            max_connections: section
                .value::<NonZeroU32>("max_connections")
                .map(NonZeroU32::get),
            max_caller_calls: section
                .value::<NonZeroU32>("max_caller_calls")
                .map(NonZeroU32::get),
            max_caller_bytes: section.value("max_caller_bytes"),
            max_bytes: section.value("max_bytes"),
            max_body: section.value("max_body"),
            max_wait: section.value("max_wait"),
            timeout: section.value("timeout"),
            stall: section.value("stall"),
            deadline: section.value("deadline"),
        };
        section.end();
        limits
    }
}

impl Store {
    pub(super) fn read(mut section: Section<'_, '_>) -> Option<Self> {
        let redis = section.secret::<String>(
            "redis",
            "the address of a server, such as `redis://127.0.0.1:6379`",
        );
        let store = Self {
            redis: redis.unwrap_or_default(),
            namespace: section.value("namespace"),
            sharing: match section.value("sharing") {
                Some(SharingName::Lease) => Sharing::Lease,
                Some(SharingName::Booking) | None => Sharing::Booking,
            },
            outage: match section.value("outage") {
                Some(OutageName::Unlimited) => OutagePolicy::Unlimited,
                Some(OutageName::Reject) => OutagePolicy::Reject,
                Some(OutageName::LocalShare) | None => OutagePolicy::LocalShare,
            },
        };
        let options = RedisOptions::new(&store.redis);
        if let Err(error) = options {
            section.note("redis", chain(&error));
        }
        section.end();
        (!store.redis.is_empty()).then_some(store)
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store")
            .field("sharing", &self.sharing)
            .field("outage", &self.outage)
            .finish_non_exhaustive()
    }
}
