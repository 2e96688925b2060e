//! Who may call: keys and the callers behind them.

use std::{collections::HashMap, fmt, sync::Arc, time::SystemTime};

use tower_qwen_ratelimit::Priority;
use tower_qwen_tokens::ledger::Tenant;

use crate::{
    api_key::{ApiKey, BadKey, KeyHash, NamedKey},
    clock::wall,
};

/// A caller, as its calls need it. In the extensions of each of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Its name.
    pub name: Tenant,
    /// The models that it may call, by the names that callers use; `None`: all.
    pub models: Option<Box<[Box<str>]>>,
    /// How urgent its calls are.
    pub priority: Priority,
}

/// Who may call.
#[derive(Debug, Default)]
pub struct Callers {
    keys: HashMap<KeyHash, CallerKey>,
    admin: Option<KeyHash>,
}

#[derive(Debug)]
struct CallerKey {
    caller: Arc<Caller>,
    expires: Option<SystemTime>,
}

/// Another caller has this key, or the admin has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    caller: Tenant,
    /// `None`: the admin.
    other: Option<Tenant>,
}

/// What is wrong in which line of a file of keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadLine {
    line: usize,
    bad: BadKey,
}

impl Caller {
    /// Whether it may call a model.
    #[must_use]
    pub fn may_call(&self, model: &str) -> bool {
        let models = self.models.as_ref();
        models.is_none_or(|models| models.iter().any(|known| **known == *model))
    }
}

impl Callers {
    /// Takes a caller's key in. A caller may have several; each is valid until it expires.
    ///
    /// # Errors
    ///
    /// [`Taken`].
    pub fn add(
        &mut self,
        caller: &Arc<Caller>,
        key: KeyHash,
        expires: Option<SystemTime>,
    ) -> Result<(), Taken> {
        let taken = |other| Taken {
            caller: caller.name.clone(),
            other,
        };
        if self.admin == Some(key) {
            return Err(taken(None));
        }
        let known = self.keys.get(&key).map(|known| &known.caller.name);
        if let Some(other) = known.filter(|&other| *other != caller.name) {
            return Err(taken(Some(other.clone())));
        }
        let caller = caller.clone();
        self.keys.insert(key, CallerKey { caller, expires });
        Ok(())
    }

    /// Sets the key that may see everything. Before the callers come, so that none has it too.
    pub fn set_admin(&mut self, key: KeyHash) {
        self.admin = Some(key);
    }

    /// Whether nobody may call.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whose key it is, unless it has expired.
    #[must_use]
    pub fn caller(&self, key: &ApiKey) -> Option<&Arc<Caller>> {
        let known = self.keys.get(&KeyHash::of(key))?;
        // Few keys expire; the others do not ask for the time.
        let is_over = |expires: SystemTime| expires <= wall();
        (!known.expires.is_some_and(is_over)).then_some(&known.caller)
    }

    /// The models that callers may call, where that is said.
    pub fn models(&self) -> impl Iterator<Item = &Box<str>> {
        let callers = self.keys.values().map(|known| &known.caller);
        callers
            .filter_map(|caller| caller.models.as_ref())
            .flatten()
    }

    /// Whether there is a key that may see everything.
    #[must_use]
    pub fn has_admin(&self) -> bool {
        self.admin.is_some()
    }

    /// The key that may see everything.
    #[must_use]
    pub fn admin(&self) -> Option<KeyHash> {
        self.admin
    }

    /// Whether it is that key.
    #[must_use]
    pub fn is_admin(&self, key: &ApiKey) -> bool {
        // The time of the comparison says something of the hashes, and a hash nothing of its key.
        self.admin.is_some_and(|admin| admin == KeyHash::of(key))
    }
}

/// The callers of a file: a line `NAME=KEY` for each key; `#` begins a comment.
///
/// # Errors
///
/// [`BadLine`]: the first line that cannot be read.
pub fn read_lines(text: &str) -> Result<Vec<NamedKey>, BadLine> {
    let lines = text.lines().enumerate();
    let lines = lines.map(|(at, line)| (at + 1, line.trim()));
    lines
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
        .map(|(line, text)| text.parse().map_err(|bad| BadLine { line, bad }))
        .collect()
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.other {
            Some(other) => write!(f, "the key of {} is the key of {other} too", self.caller),
            None => write!(f, "the admin's key is the key of {} too", self.caller),
        }
    }
}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.bad)
    }
}

impl std::error::Error for Taken {}
impl std::error::Error for BadLine {}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn caller(name: &str) -> Arc<Caller> {
        Arc::new(Caller {
            name: Tenant::new(name),
            models: Some(["qwen-plus".into()].into()),
            priority: Priority::Normal,
        })
    }

    fn key(text: &str) -> ApiKey {
        text.parse().expect("a key")
    }

    #[test]
    fn callers_come_from_a_file() -> Result<(), BadLine> {
        let known = read_lines("# ours\n\nacme = sk-1\nacme=sk-2\r\nzed=a=b\n")?;
        let known = known.iter().map(|it| (it.name.as_str(), it.key.secret()));
        let expected = [("acme", "sk-1"), ("acme", "sk-2"), ("zed", "a=b")];
        assert!(known.eq(expected));
        Ok(())
    }

    #[test]
    fn a_bad_line_is_named_and_its_key_is_not() {
        for (text, expected) in [
            ("acme=sk-1\nsecret", "line 2: expected NAME=KEY"),
            ("a b=secret", "line 1: a name"),
            ("=secret", "line 1: a name"),
            ("acme=", "line 1: a key"),
            ("acme=sec ret", "line 1: a key"),
        ] {
            let bad = read_lines(text).map(drop).expect_err("no callers");
            assert!(bad.to_string().starts_with(expected), "{bad}");
            assert!(!format!("{bad} {bad:?}").contains("sec"), "{bad:?}");
        }
    }

    #[test]
    fn a_key_is_of_one_caller_until_it_expires() -> Result<(), Taken> {
        let mut callers = Callers::default();
        let hash = |text: &str| KeyHash::of(&key(text));
        let now = wall();
        callers.add(&caller("acme"), hash("sk-1"), None)?;
        callers.add(&caller("acme"), hash("sk-2"), Some(now))?;
        let later = now + Duration::from_secs(3_600);
        callers.add(&caller("acme"), hash("sk-3"), Some(later))?;
        let name = |text: &str| callers.caller(&key(text)).map(|it| it.name.to_string());
        assert_eq!(name("sk-1").as_deref(), Some("acme"));
        assert_eq!(name("sk-2"), None);
        assert_eq!(name("sk-3").as_deref(), Some("acme"));
        assert_eq!(name("sk-4"), None);
        let taken = callers.add(&caller("zed"), hash("sk-1"), None);
        let taken = taken.map_err(|taken| taken.to_string());
        assert_eq!(
            taken,
            Err("the key of zed is the key of acme too".to_owned())
        );
        Ok(())
    }

    #[test]
    fn the_admin_is_nobody_else() -> Result<(), Taken> {
        let mut callers = Callers::default();
        assert!(!callers.has_admin() && !callers.is_admin(&key("x")));
        callers.set_admin(KeyHash::of(&key("sk-admin")));
        assert!(callers.is_admin(&key("sk-admin")));
        for other in ["sk-admim", "sk-admin2", "sk-admi"] {
            assert!(!callers.is_admin(&key(other)));
        }
        let taken = callers.add(&caller("acme"), KeyHash::of(&key("sk-admin")), None);
        let taken = taken.map_err(|taken| taken.to_string());
        assert_eq!(
            taken,
            Err("the admin's key is the key of acme too".to_owned())
        );
        Ok(())
    }

    #[test]
    fn a_caller_may_call_what_is_listed() {
        let caller = caller("acme");
        assert!(caller.may_call("qwen-plus") && !caller.may_call("qwen-max"));
        let any = Caller {
            models: None,
            ..Caller::clone(&caller)
        };
        assert!(any.may_call("qwen-max"));
    }
}
