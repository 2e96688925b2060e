//! Keys, and their hashes: what is stored of a key that has to be recognised and must not be shown.

use std::{fmt, str::FromStr};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use ring::{
    digest::{SHA256, digest},
    rand::{SecureRandom, SystemRandom},
};
use serde::{Deserialize, Serialize};
use tower_qwen_tokens::ledger::Tenant;

/// Where callers send their key, besides `Authorization: Bearer`.
const KEY_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];
/// The longest name of a caller. It stands in every line of the ledger and in metrics.
const LONGEST_NAME: usize = 64;

/// A secret. Never shown.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ApiKey(Box<str>);

/// What the command line says of a key, not yet read: the errors of reading it there would show it.
#[derive(Clone)]
pub struct Secret(String);

/// A caller and its key.
#[derive(Debug, Clone)]
pub struct NamedKey {
    /// The caller's name.
    pub name: Tenant,
    /// Its key.
    pub key: ApiKey,
}

/// The SHA-256 of a key. Written as 64 hexadecimal digits.
// Without salt and repetition: keys are long and random, so that nobody finds one by trying.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyHash([u8; 32]);

/// Why a text is no key, or names no caller. Never says the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadKey {
    /// It is not of the form `NAME=KEY`.
    Form,
    /// The name is too long, or has other characters.
    Name,
    /// A key has other than visible ASCII characters, or none.
    Key,
    /// It is not 64 hexadecimal digits.
    Hash,
}

impl Secret {
    /// Reads it as a key.
    ///
    /// # Errors
    ///
    /// [`BadKey::Key`].
    pub fn key(&self) -> Result<ApiKey, BadKey> {
        self.0.trim().parse()
    }

    /// Reads it as `NAME=KEY`.
    ///
    /// # Errors
    ///
    /// [`BadKey`].
    pub fn caller(&self) -> Result<NamedKey, BadKey> {
        self.0.parse()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl ApiKey {
    /// A new one, of 192 random bits.
    ///
    /// # Errors
    ///
    /// When the system has no random numbers.
    pub fn random() -> std::io::Result<Self> {
        let mut bytes = [0; 24];
        SystemRandom::new()
            .fill(&mut bytes)
            .map_err(|_| std::io::Error::other("the system has no random numbers"))?;
        Ok(Self(format!("sk-{}", hex(&bytes)).into()))
    }

    /// The key itself: for whoever has just made it.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }

    /// The value of an `Authorization` header, marked as a secret.
    ///
    /// # Panics
    ///
    /// Never: a key is of visible ASCII characters.
    #[must_use]
    pub fn bearer(&self) -> HeaderValue {
        let mut value = HeaderValue::try_from(format!("Bearer {}", self.0)).expect("visible ASCII");
        value.set_sensitive(true);
        value
    }

    /// The key that a request carries, taken out of its headers: from there on nobody sees it.
    pub fn take(headers: &mut HeaderMap) -> Option<Self> {
        let bearer = headers.remove(AUTHORIZATION);
        let [first, second] = KEY_HEADERS.map(|name| headers.remove(name));
        let key = match &bearer {
            Some(value) => {
                let (scheme, key) = value.to_str().ok()?.trim().split_once(' ')?;
                scheme.eq_ignore_ascii_case("bearer").then_some(key)?
            }
            None => first.as_ref().or(second.as_ref())?.to_str().ok()?,
        };
        key.trim().parse().ok()
    }
}

impl KeyHash {
    /// Of a key.
    #[must_use]
    pub fn of(key: &ApiKey) -> Self {
        let digest = digest(&SHA256, key.0.as_bytes());
        let mut hash = [0; 32];
        hash.copy_from_slice(digest.as_ref());
        Self(hash)
    }

    /// Its first digits, by which people know it again.
    #[must_use]
    pub fn short(&self) -> String {
        hex(&self.0[..4])
    }
}

/// Whether a caller or a group may have this name: of letters, digits, `.`, `_` and `-`, and not too long.
#[must_use]
pub fn is_name(text: &str) -> bool {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(is_plain)
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl FromStr for ApiKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadKey::Key);
        }
        Ok(Self(text.into()))
    }
}

impl TryFrom<String> for ApiKey {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Self, BadKey> {
        text.parse()
    }
}

impl FromStr for NamedKey {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let (name, key) = text.split_once('=').ok_or(BadKey::Form)?;
        let name = name.trim();
        if !is_name(name) {
            return Err(BadKey::Name);
        }
        Ok(Self {
            name: Tenant::new(name),
            key: key.trim().parse()?,
        })
    }
}

impl FromStr for KeyHash {
    type Err = BadKey;

    fn from_str(text: &str) -> Result<Self, BadKey> {
        let digits = text.as_bytes();
        let mut hash = [0; 32];
        if digits.len() != 2 * hash.len() || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(BadKey::Hash);
        }
        for (byte, at) in hash.iter_mut().zip((0..digits.len()).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| BadKey::Hash)?;
        }
        Ok(Self(hash))
    }
}

impl TryFrom<String> for KeyHash {
    type Error = BadKey;

    fn try_from(text: String) -> Result<Self, BadKey> {
        text.parse()
    }
}

impl From<KeyHash> for String {
    fn from(hash: KeyHash) -> Self {
        hex(&hash.0)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ApiKey")
    }
}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.short())
    }
}

impl fmt::Display for BadKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Form => "expected NAME=KEY",
            Self::Name => "a name has at most 64 letters, digits, `.`, `_` and `-`",
            Self::Key => "a key is of visible ASCII characters",
            Self::Hash => "the SHA-256 of a key has 64 hexadecimal digits",
        })
    }
}

impl std::error::Error for BadKey {}

#[cfg(test)]
mod tests {
    use super::*;

    type Sent = &'static [(&'static str, &'static str)];

    #[test]
    fn the_key_is_found_in_each_header_and_taken_out() {
        let rows: [(Sent, Option<&str>); 8] = [
            (&[("authorization", "Bearer sk-1")], Some("sk-1")),
            (&[("authorization", "bearer  sk-1 ")], Some("sk-1")),
            (&[("x-api-key", "sk-1")], Some("sk-1")),
            (&[("api-key", "sk-1")], Some("sk-1")),
            (&[("authorization", "Basic sk-1")], None),
            (&[("authorization", "sk-1")], None),
            (&[("authorization", "Basic x"), ("api-key", "sk-1")], None),
            (&[], None),
        ];
        for (sent, key) in rows {
            let mut headers = HeaderMap::new();
            for &(name, value) in sent {
                headers.insert(name, HeaderValue::from_static(value));
            }
            let found = ApiKey::take(&mut headers);
            assert_eq!(found.as_ref().map(ApiKey::secret), key, "{sent:?}");
            assert!(headers.is_empty());
        }
    }

    #[test]
    fn a_hash_is_that_of_sha256sum() -> Result<(), BadKey> {
        let hash = KeyHash::of(&"sk-demo".parse()?);
        // printf sk-demo | sha256sum
        let known = "f77894fdfa58e447c57e077eaa9708e8e009c84dc6aba2db80461275e9b85be7";
        assert_eq!(String::from(hash), known);
        assert_eq!(hash.short(), "f77894fd");
        assert_eq!(String::from(hash).parse(), Ok(hash));
        for wrong in ["", "f778", &known.replace('9', "g"), &format!("{known}0")] {
            assert_eq!(wrong.parse::<KeyHash>(), Err(BadKey::Hash), "{wrong}");
        }
        Ok(())
    }

    #[test]
    fn random_keys_differ_and_are_keys() -> std::io::Result<()> {
        let (one, other) = (ApiKey::random()?, ApiKey::random()?);
        assert!(one != other && one.secret().len() == 51);
        assert_eq!(one.secret().parse(), Ok(one));
        Ok(())
    }
}
