//! Who has shown the admin's key in a form: a cookie stands for it afterwards.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{HeaderMap, header::COOKIE};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use tokio::time::Instant;

use crate::api_key::{KeyHash, hex};

/// How long a session lasts.
pub(crate) const LASTS: Duration = Duration::from_secs(12 * 60 * 60);
/// How many there are; the oldest ends for one more.
const MAX_SESSIONS: usize = 64;
/// The cookie's name.
pub(super) const NAME: &str = "axum_server_session";

/// The sessions. Of their ids the hashes are known alone, so that nobody who reads the memory has one.
#[derive(Debug, Default)]
pub(crate) struct Sessions(Mutex<HashMap<[u8; 32], Session>>);

#[derive(Debug)]
struct Session {
    /// The key that was shown: with another one the session is over.
    admin: KeyHash,
    ends: Instant,
}

impl Sessions {
    /// A new one; gives its id.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub(crate) fn begin(&self, admin: KeyHash) -> io::Result<String> {
        let mut bytes = [0; 32];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| io::Error::other("the system has no random numbers"))?;
        let id = hex(&bytes);
        let now = Instant::now();
        let mut sessions = self.lock();
        sessions.retain(|_, session| session.ends > now && session.admin == admin);
        if sessions.len() >= MAX_SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.ends);
            if let Some(oldest) = oldest.map(|(id, _)| *id) {
                sessions.remove(&oldest);
            }
        }
        let ends = now + LASTS;
        sessions.insert(hash(&id), Session { admin, ends });
        Ok(id)
    }

    /// Whether it stands for this key.
    #[must_use]
    pub(crate) fn is_valid(&self, id: &str, admin: KeyHash) -> bool {
        let sessions = self.lock();
        let session = sessions.get(&hash(id));
        session.is_some_and(|session| session.admin == admin && session.ends > Instant::now())
    }

    /// Ends it.
    pub(crate) fn end(&self, id: &str) {
        self.lock().remove(&hash(id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<[u8; 32], Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The id that a request carries.
pub(crate) fn id(headers: &HeaderMap) -> Option<&str> {
    let cookies = headers.get_all(COOKIE).iter();
    let cookies = cookies.filter_map(|cookies| cookies.to_str().ok());
    let mut cookies = cookies.flat_map(|cookies| cookies.split(';'));
    cookies.find_map(|cookie| cookie.trim().strip_prefix(NAME)?.strip_prefix('='))
}

// By the hash, and not by the id: how long a comparison takes says something of what is compared.
fn hash(id: &str) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, id.as_bytes()).as_ref());
    hash
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api_key::ApiKey;

    fn key(text: &str) -> KeyHash {
        KeyHash::of(&text.parse::<ApiKey>().expect("a key"))
    }

    #[tokio::test(start_paused = true)]
    async fn a_session_ends_by_time_by_logout_and_by_another_key() -> io::Result<()> {
        let sessions = Sessions::default();
        let (one, other) = (sessions.begin(key("a"))?, sessions.begin(key("a"))?);
        assert!(one.len() == 64 && one != other);
        assert!(sessions.is_valid(&one, key("a")) && sessions.is_valid(&other, key("a")));
        assert!(!sessions.is_valid(&one, key("b")));
        assert!(!sessions.is_valid("", key("a")));
        sessions.end(&one);
        assert!(!sessions.is_valid(&one, key("a")));
        tokio::time::advance(LASTS - Duration::from_secs(1)).await;
        assert!(sessions.is_valid(&other, key("a")));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(!sessions.is_valid(&other, key("a")));
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_so_many_and_the_oldest_ends_first() -> io::Result<()> {
        let sessions = Sessions::default();
        let first = sessions.begin(key("a"))?;
        tokio::time::advance(Duration::from_secs(1)).await;
        let second = sessions.begin(key("a"))?;
        for _ in 0..MAX_SESSIONS - 1 {
            tokio::time::advance(Duration::from_secs(1)).await;
            sessions.begin(key("a"))?;
        }
        assert!(!sessions.is_valid(&first, key("a")));
        assert!(sessions.is_valid(&second, key("a")));
        assert_eq!(sessions.lock().len(), MAX_SESSIONS);
        Ok(())
    }

    #[test]
    fn the_id_is_found_among_other_cookies() {
        let mut headers = HeaderMap::new();
        for cookies in [
            "a=b; theme=dark",
            "axum_server_sessions=x; axum_server_session=abc; c=d",
        ] {
            headers.append(COOKIE, cookies.parse().expect("a value"));
        }
        assert_eq!(id(&headers), Some("abc"));
        headers.clear();
        assert_eq!(id(&headers), None);
    }
}
