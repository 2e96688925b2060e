//! Who may call: keys and the names behind them.

use std::{collections::HashMap, fmt, str::FromStr};

use http::{HeaderMap, HeaderName, HeaderValue, header::AUTHORIZATION};
use tower_qwen_tokens::ledger::Tenant;

/// Where callers send their key, besides `Authorization: Bearer`.
const KEY_HEADERS: [HeaderName; 2] = [
    HeaderName::from_static("x-api-key"),
    HeaderName::from_static("api-key"),
];

/// A secret. Never shown.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ApiKey(Box<str>);

/// What the command line says of a key, not yet looked at: its errors would show it.
#[derive(Clone)]
pub struct Secret(String);

/// A caller and its key.
#[derive(Debug, Clone)]
pub struct NamedKey {
    name: Tenant,
    key: ApiKey,
}

/// Who may call. Keys are looked up by a hash that is another one in every process, so that the time of a look-up tells
/// nothing of them.
#[derive(Debug, Default)]
pub struct Callers {
    tenants: HashMap<ApiKey, Tenant>,
    admin: Option<ApiKey>,
}

/// Why a caller cannot be taken in. Never says the key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadCaller {
    /// It is not of the form `NAME=KEY`, or has other than letters, digits, `.`, `_` and `-` in the name.
    Form,
    /// A key has other than visible ASCII characters, or none.
    Key,
    /// Two callers have the same key.
    Taken(Tenant),
    /// What is wrong in which line of a file.
    Line(usize, Box<BadCaller>),
}

impl Secret {
    /// Reads it as a key.
    ///
    /// # Errors
    ///
    /// [`BadCaller::Key`].
    pub fn key(&self) -> Result<ApiKey, BadCaller> {
        self.0.trim().parse()
    }

    /// Reads it as `NAME=KEY`.
    ///
    /// # Errors
    ///
    /// [`BadCaller::Form`] or [`BadCaller::Key`].
    pub fn caller(&self) -> Result<NamedKey, BadCaller> {
        self.0.parse()
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl ApiKey {
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

impl FromStr for ApiKey {
    type Err = BadCaller;

    fn from_str(text: &str) -> Result<Self, BadCaller> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(BadCaller::Key);
        }
        Ok(Self(text.into()))
    }
}

impl FromStr for NamedKey {
    type Err = BadCaller;

    fn from_str(text: &str) -> Result<Self, BadCaller> {
        let (name, key) = text.split_once('=').ok_or(BadCaller::Form)?;
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        let name = name.trim();
        if name.is_empty() || !name.chars().all(is_plain) {
            return Err(BadCaller::Form);
        }
        Ok(Self {
            name: Tenant::new(name),
            key: key.trim().parse()?,
        })
    }
}

impl Callers {
    /// Takes a caller in. A caller may have several keys.
    ///
    /// # Errors
    ///
    /// [`BadCaller::Taken`]: another one has this key.
    pub fn add(&mut self, NamedKey { name, key }: NamedKey) -> Result<(), BadCaller> {
        let taken = self.tenants.get(&key).filter(|other| **other != name);
        if let Some(other) = taken {
            return Err(BadCaller::Taken(other.clone()));
        }
        self.tenants.insert(key, name);
        Ok(())
    }

    /// Takes in the callers of a file.
    ///
    /// # Errors
    ///
    /// [`BadCaller::Line`]: the first line that cannot be read.
    pub fn add_lines(&mut self, text: &str) -> Result<(), BadCaller> {
        for (at, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            line.parse()
                .and_then(|caller| self.add(caller))
                .map_err(|bad| BadCaller::Line(at + 1, Box::new(bad)))?;
        }
        Ok(())
    }

    /// Sets the key that may see everything.
    pub fn set_admin(&mut self, key: ApiKey) {
        self.admin = Some(key);
    }

    /// Whether nobody may call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tenants.is_empty()
    }

    /// Whose key it is.
    #[must_use]
    pub fn tenant(&self, key: &ApiKey) -> Option<&Tenant> {
        self.tenants.get(key)
    }

    /// Whether there is a key that may see everything.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// Whether it is that key.
    #[must_use]
    pub fn is_admin(&self, key: &ApiKey) -> bool {
        // In a time that tells nothing of where they differ.
        self.admin.as_ref().is_some_and(|admin| {
            let (a, b) = (admin.0.as_bytes(), key.0.as_bytes());
            let differ = a.iter().zip(b).fold(0, |differ, (a, b)| differ | (a ^ b));
            a.len() == b.len() && differ == 0
        })
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

impl fmt::Display for BadCaller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Form => {
                f.write_str("expected NAME=KEY, the name of letters, digits, `.`, `_` and `-`")
            }
            Self::Key => f.write_str("a key is of visible ASCII characters"),
            Self::Taken(tenant) => write!(f, "{tenant} already has this key"),
            Self::Line(line, bad) => write!(f, "line {line}: {bad}"),
        }
    }
}

impl std::error::Error for BadCaller {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_come_from_a_file() -> Result<(), BadCaller> {
        let mut callers = Callers::default();
        callers.add_lines("# ours\n\nacme = sk-1\nacme=sk-2\r\nzed=a=b\n")?;
        let name = |key: &str| {
            let key = key.parse().ok()?;
            callers.tenant(&key).map(ToString::to_string)
        };
        assert_eq!(name("sk-1").as_deref(), Some("acme"));
        assert_eq!(name("sk-2").as_deref(), Some("acme"));
        assert_eq!(name("a=b").as_deref(), Some("zed"));
        assert_eq!(name("sk-3"), None);
        Ok(())
    }

    #[test]
    fn a_bad_line_is_named_and_its_key_is_not() {
        for (text, expected) in [
            ("acme=sk-1\nsecret", "line 2: expected NAME=KEY"),
            ("a b=secret", "line 1: expected NAME=KEY"),
            ("=secret", "line 1: expected NAME=KEY"),
            ("acme=", "line 1: a key"),
            ("acme=sec ret", "line 1: a key"),
            ("acme=secret\nzed=secret", "line 2: acme already has"),
        ] {
            let bad = Callers::default().add_lines(text).expect_err("refused");
            assert!(bad.to_string().starts_with(expected), "{bad}");
            assert!(!format!("{bad} {bad:?}").contains("sec"), "{bad:?}");
        }
    }

    type Sent = &'static [(&'static str, &'static str)];

    #[test]
    fn the_key_is_found_wherever_it_is_sent_and_taken_out() {
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
            assert_eq!(found.as_ref().map(|key| &*key.0), key, "{sent:?}");
            assert!(headers.is_empty());
        }
    }

    #[test]
    fn the_admin_is_nobody_else() -> Result<(), BadCaller> {
        let mut callers = Callers::default();
        assert!(!callers.has_admin() && !callers.is_admin(&"x".parse()?));
        callers.set_admin("sk-admin".parse()?);
        assert!(callers.is_admin(&"sk-admin".parse()?));
        for other in ["sk-admim", "sk-admin2", "sk-admi"] {
            assert!(!callers.is_admin(&other.parse()?));
        }
        Ok(())
    }
}
