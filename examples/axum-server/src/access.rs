//! Who may see and change everything: the admin, by the key or by a session of the page; without an admin's key whoever sits at
//! this machine.

use std::{net::IpAddr, sync::Arc, time::Duration};

use axum::extract::Request;
use http::{
    Extensions, HeaderMap, HeaderName, Method, Uri,
    header::{HOST, ORIGIN},
    uri::Authority,
};
use tracing::warn;

use crate::{
    api_key::ApiKey,
    gateway::Gateway,
    page::session,
    tries::{DELAY, Peer, Try},
};

/// How the admin's part is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// By the admin's key.
    Locked,
    /// There is no such key, and the request comes from this machine.
    Open,
    /// There is no such key, and others could reach it: for them it is not there.
    Absent,
}

/// Why a request is not the admin's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoAdmin {
    /// There is nothing at this path.
    Absent,
    /// It has no key, or a wrong one.
    Key,
    /// Too many wrong keys came from its address; in so long one more is looked at.
    TooMany(Duration),
    /// A page of another origin sends it.
    Origin,
}

impl Gateway {
    /// The door that a request stands before.
    #[must_use]
    pub fn door(&self, headers: &HeaderMap, uri: &Uri) -> Door {
        if self.live().callers.has_admin() {
            return Door::Locked;
        }
        let is_here = self.args.listen.ip().is_loopback() && is_from_here(headers, uri);
        match is_here {
            true => Door::Open,
            false => Door::Absent,
        }
    }

    /// Whether this is the admin's key. The answer to a wrong one waits, and after many of them comes none.
    ///
    /// # Errors
    ///
    /// It is not, or nobody has looked.
    pub async fn check_admin_key(
        &self,
        key: &ApiKey,
        extensions: &Extensions,
    ) -> Result<(), NoAdmin> {
        let from = extensions.get::<Peer>().copied();
        let live = self.live();
        match self.tries.attempt(from, || live.callers.is_admin(key)) {
            Try::Right => Ok(()),
            Try::Wrong => {
                warn!(
                    from = from.map(|Peer(from)| from.to_string()),
                    "a wrong key of the admin"
                );
                tokio::time::sleep(DELAY).await;
                Err(NoAdmin::Key)
            }
            Try::TooMany(wait) => Err(NoAdmin::TooMany(wait)),
        }
    }

    /// Whether a request has a session that stands for the present key.
    #[must_use]
    pub fn has_session(&self, headers: &HeaderMap) -> bool {
        let live = self.live();
        let id = session::id(headers).zip(live.callers.admin());
        id.is_some_and(|(id, admin)| self.sessions.is_valid(id, admin))
    }

    /// Lets the admin through. Takes the key out of the request.
    ///
    /// # Errors
    ///
    /// [`NoAdmin`].
    pub async fn check_admin(self: &Arc<Self>, request: &mut Request) -> Result<(), NoAdmin> {
        let key = ApiKey::take(request.headers_mut());
        let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
        let is_session = match (self.door(request.headers(), request.uri()), key) {
            (Door::Absent, _) => return Err(NoAdmin::Absent),
            (Door::Open, _) => false,
            (Door::Locked, Some(key)) => {
                self.check_admin_key(&key, request.extensions()).await?;
                false
            }
            (Door::Locked, None) if self.has_session(request.headers()) => true,
            (Door::Locked, None) => return Err(NoAdmin::Key),
        };
        let origin = match is_read {
            true => Origin::Same,
            false => origin(request.headers(), request.uri()),
        };
        match origin {
            Origin::Same => Ok(()),
            // Clients that are no browsers say nothing, and have no cookies either.
            Origin::Unsaid if !is_session => Ok(()),
            Origin::Unsaid | Origin::Other => Err(NoAdmin::Origin),
        }
    }
}

/// Which page sends a change, as a browser says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Same,
    Other,
    Unsaid,
}

pub(crate) fn origin(headers: &HeaderMap, uri: &Uri) -> Origin {
    let Some(origin) = headers.get(ORIGIN) else {
        return Origin::Unsaid;
    };
    let origin = origin.to_str().ok();
    let origin = origin.and_then(|origin| origin.parse::<Uri>().ok());
    let host = authority(headers, uri);
    let same = origin
        .is_some_and(|origin| origin.authority().is_some() && origin.authority() == host.as_ref());
    match same {
        true => Origin::Same,
        false => Origin::Other,
    }
}

fn authority(headers: &HeaderMap, uri: &Uri) -> Option<Authority> {
    let host = || headers.get(HOST)?.to_str().ok()?.parse().ok();
    uri.authority().cloned().or_else(host)
}

/// Whether somebody at this machine asks. A page of another site reaches it too, by a name that leads to it or by its address; and so
/// does everybody where a proxy on this machine hands on what others ask for, with the gateway's own address as the host.
fn is_from_here(headers: &HeaderMap, uri: &Uri) -> bool {
    let names = uri.authority().map(Authority::as_str).into_iter();
    let hosts = headers.get_all(HOST).iter();
    // What cannot be read is no name of this machine.
    let mut names = names.chain(hosts.map(|host| host.to_str().unwrap_or_default()));
    let Some(name) = names.next() else {
        return false;
    };
    let is_one = names.all(|other| other == name) && headers.get_all(HOST).iter().count() <= 1;
    let host = name.parse::<Authority>();
    let is_named = host.is_ok_and(|host| !name.contains('@') && is_loopback(host.host()));
    let mut sites = headers.get_all("sec-fetch-site").iter();
    let is_own_page = sites.all(|site| site == "same-origin" || site == "none");
    is_one && is_named && is_own_page && !headers.keys().any(is_of_proxy)
}

/// What proxies add to a request, by the names in use: some have many more, which end or begin as these do.
fn is_of_proxy(name: &HeaderName) -> bool {
    const NAMES: [&str; 5] = [
        "forwarded",
        "via",
        "cdn-loop",
        "max-forwards",
        "x-remote-addr",
    ];
    const BEGINS: [&str; 5] = ["x-forward", "x-original-", "x-envoy-", "x-amzn-", "cf-"];
    let name = name.as_str();
    NAMES.contains(&name)
        // Such as `x-real-ip`, `true-client-ip`, `x-client-ip`.
        || name.ends_with("-ip")
        || BEGINS.iter().any(|begin| name.starts_with(begin))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_matches(['[', ']']).parse::<IpAddr>();
    host.eq_ignore_ascii_case("localhost") || address.is_ok_and(|address| address.is_loopback())
}
