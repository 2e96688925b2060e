//! Reads the file of `--accounts`.

use std::{collections::HashMap, fmt, fs, num::NonZeroU64, path::Path};

use http::HeaderValue;
use serde::{Deserialize, Deserializer, de};
use toml::Spanned;

use super::{Account, AccountLimits};
use crate::base_url::BaseUrl;

/// Retry shares the calls among so many at most.
const MOST_ACCOUNTS: usize = 64;
/// A name stands in sentences, tables and lines of JSON.
const LONGEST_NAME: usize = 64;

/// All that is wrong in the file, each with its line and column. Never says a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadFile(Vec<String>);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    version: Option<Spanned<u64>>,
    #[serde(default)]
    accounts: Vec<Spanned<Entry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: Spanned<String>,
    api_key: Option<Spanned<Secret>>,
    api_key_env: Option<Spanned<String>>,
    base_url: Option<Spanned<String>>,
    workspace: Option<Spanned<String>>,
    requests_per_minute: Option<NonZeroU64>,
    tokens_per_minute: Option<NonZeroU64>,
    models: Option<Vec<String>>,
}

/// A key. The errors of reading it do not repeat it.
struct Secret(String);

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match toml::Value::deserialize(deserializer) {
            Ok(toml::Value::String(key)) => Ok(Self(key)),
            _ => Err(de::Error::custom("a key is a text in quotes")),
        }
    }
}

/// Address, key and workspace.
type Whose = (String, [Option<HeaderValue>; 2]);

/// The text, and what is wrong in it so far.
struct Check<'a> {
    path: &'a Path,
    text: &'a str,
    problems: Vec<String>,
    /// The accounts so far by address, key and workspace, which two cannot have in common: they share a quota.
    known: HashMap<Whose, String>,
}

/// The accounts of a file. An account without an address has this one; keys may stand in the environment, by `variable`.
///
/// # Errors
///
/// [`BadFile`].
pub fn read_file(
    path: &Path,
    base: &BaseUrl,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Account>, BadFile> {
    let text = fs::read_to_string(path)
        .map_err(|error| BadFile(vec![format!("--accounts {}: {error}", path.display())]))?;
    read(path, &text, base, variable)
}

fn read(
    path: &Path,
    text: &str,
    base: &BaseUrl,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Vec<Account>, BadFile> {
    let mut check = Check {
        path,
        text,
        problems: Vec::new(),
        known: HashMap::new(),
    };
    let file: File = match toml::from_str(text) {
        Ok(file) => file,
        Err(error) => {
            // Not the error as a whole, which shows the line: it may hold a key.
            let at = error.span().map_or(0, |span| span.start);
            check.note(at, error.message().trim_end());
            return Err(BadFile(check.problems));
        }
    };
    match &file.version {
        Some(version) if *version.get_ref() == 1 => {}
        Some(version) => check.note(version.span().start, "this release reads `version = 1`"),
        None => check.note(0, "the file begins with `version = 1`"),
    }
    if file.accounts.is_empty() {
        check.note(text.len(), "an account is missing: write `[[accounts]]`");
    }
    if let Some(one_more) = file.accounts.get(MOST_ACCOUNTS) {
        let at = one_more.span().start;
        check.note(at, &format!("there are {MOST_ACCOUNTS} accounts at most"));
    }
    let entries = file.accounts.into_iter();
    let accounts: Vec<Account> = entries
        .filter_map(|entry| check.account(entry, base, &variable))
        .collect();
    match check.problems.is_empty() {
        true => Ok(accounts),
        false => Err(BadFile(check.problems)),
    }
}

impl Check<'_> {
    fn note(&mut self, offset: usize, message: &str) {
        let before = self.text.get(..offset).unwrap_or(self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        let path = self.path.display();
        self.problems
            .push(format!("{path}:{line}:{column}: {message}"));
    }

    /// `None` where something is wrong, which is noted.
    fn account(
        &mut self,
        entry: Spanned<Entry>,
        base: &BaseUrl,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Option<Account> {
        let place = entry.span().start;
        let entry = entry.into_inner();
        let before = self.problems.len();
        let (name, name_at) = (entry.name.get_ref(), entry.name.span().start);
        if let Err(message) = check_name(name) {
            self.note(name_at, message);
        }
        let base = match &entry.base_url {
            None => base.clone(),
            Some(url) => match url.get_ref().parse() {
                Ok(base) => base,
                Err(bad) => {
                    self.note(url.span().start, &format!("`base_url`: {bad}"));
                    return None;
                }
            },
        };
        let mut account = Account::new(name, base);
        if let Some((key, at)) = self.key(&entry, variable) {
            account = match account.key(&key) {
                Ok(account) => account,
                Err(bad) => {
                    self.note(at, &bad.to_string());
                    return None;
                }
            };
        }
        let workspace = entry.workspace.as_ref().and_then(|workspace| {
            let value = HeaderValue::try_from(workspace.get_ref().trim()).ok();
            let value = value.filter(|value| !value.is_empty());
            if value.is_none() {
                self.note(workspace.span().start, "`workspace` is an id");
            }
            value
        });
        let account = account.workspace(workspace);
        self.check_alone(&account, name_at, place);
        (self.problems.len() == before).then(|| {
            account.models(entry.models).limits(AccountLimits {
                requests: entry.requests_per_minute.map(NonZeroU64::get),
                tokens: entry.tokens_per_minute.map(NonZeroU64::get),
            })
        })
    }

    /// The key of an account, if it has one, and where it stands.
    fn key(
        &mut self,
        entry: &Entry,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Option<(String, usize)> {
        match (&entry.api_key, &entry.api_key_env) {
            (Some(_), Some(name)) => {
                let message = "either `api_key` or `api_key_env`, not both";
                self.note(name.span().start, message);
                None
            }
            (Some(key), None) => Some((key.get_ref().0.clone(), key.span().start)),
            (None, Some(name)) => {
                let key = variable(name.get_ref());
                if key.is_none() {
                    let name_of = name.get_ref();
                    let message = format!("no key is in the environment variable {name_of}");
                    self.note(name.span().start, &message);
                }
                key.map(|key| (key, name.span().start))
            }
            (None, None) => None,
        }
    }

    /// Notes a name or a key that an account before has.
    fn check_alone(&mut self, account: &Account, name_at: usize, place: usize) {
        if self.known.values().any(|name| name == account.name()) {
            let message = format!("two accounts are named {:?}", account.name());
            self.note(name_at, &message);
            return;
        }
        let parts = [account.authorization(), account.workspace_header()];
        let whose = (account.provider(), parts.map(Option::<&_>::cloned));
        if let Some(other) = self.known.get(&whose) {
            let message =
                format!("it has the key and the address of {other:?}, so both are one account");
            self.note(place, &message);
        }
        self.known.insert(whose, account.name().to_owned());
    }
}

/// Whether a text can name an account.
///
/// # Errors
///
/// What it can be, in words.
pub(super) fn check_name(name: &str) -> Result<(), &'static str> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    match name {
        // It stands in tables and lines of progress.
        name if name.starts_with("sk-") => Err("`name` looks like a key: names are shown"),
        name if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(is_plain) => {
            Err("`name` has 1 to 64 characters: letters, digits, `-`, `_` and `.`")
        }
        _ => Ok(()),
    }
}

impl fmt::Display for BadFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for BadFile {}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Account>, String> {
        let base = BaseUrl::DASHSCOPE.parse().expect("an address");
        let variable = |name: &str| (name == "KEY_B").then(|| "sk-b-secret".to_owned());
        super::read(Path::new("a.toml"), text, &base, variable).map_err(|bad| bad.to_string())
    }

    #[test]
    fn accounts_are_read_with_all_they_have() -> Result<(), String> {
        let accounts = read(
            "version = 1\n[[accounts]]\nname = \"a\"\napi_key = \"sk-a-secret\"\nworkspace = \"ws\"\n\
             requests_per_minute = 60\nmodels = [\"qwen-plus\"]\n\
             [[accounts]]\nname = \"b\"\napi_key_env = \"KEY_B\"\nbase_url = \"http://h:1/v1\"\n",
        )?;
        let [a, b] = &accounts[..] else {
            return Err("two accounts".to_owned());
        };
        assert_eq!((a.name(), b.name()), ("a", "b"));
        assert_eq!(a.provider(), "https://dashscope.aliyuncs.com");
        assert_eq!(b.provider(), "http://h:1");
        assert!(a.serves("qwen-plus") && !a.serves("qwen-max") && b.serves("qwen-max"));
        assert_eq!(a.own_limits().requests, Some(60));
        assert_eq!(a.own_limits().tokens, None);
        assert!(!format!("{accounts:?}").contains("secret"));
        Ok(())
    }

    #[test]
    fn the_key_goes_to_the_address_of_its_account_alone() -> Result<(), String> {
        let accounts = read(
            "version = 1\n[[accounts]]\nname = \"a\"\napi_key = \"sk-a\"\nbase_url = \"http://a/v1\"\nworkspace = \"w\"\n\
             [[accounts]]\nname = \"b\"\nbase_url = \"http://b/v1\"\n",
        )?;
        let mut request = http::Request::new(());
        let mut sent = Vec::new();
        for account in accounts.iter().chain(&accounts) {
            let placed = account.address_to(&mut request, "/v1/chat/completions");
            placed.map_err(|bad| bad.to_string())?;
            let headers = request.headers();
            let host = request.uri().host().unwrap_or_default().to_owned();
            let has_workspace = headers.contains_key("x-dashscope-workspace");
            sent.push((host, headers.contains_key("authorization"), has_workspace));
        }
        let (a, b) = (("a".to_owned(), true, true), ("b".to_owned(), false, false));
        assert_eq!(sent, [a.clone(), b.clone(), a, b]);
        Ok(())
    }

    #[test]
    fn what_is_wrong_is_told_with_its_place_and_without_a_key() {
        let begin = "version = 1\n[[accounts]]\nname = \"a\"\n";
        let of = |rest: &str| format!("{begin}{rest}");
        for (text, expected) in [
            (
                String::new(),
                "a.toml:1:1: the file begins with `version = 1`",
            ),
            (
                "version = 2".to_owned(),
                "a.toml:1:11: this release reads `version = 1`",
            ),
            (
                "version = 1\n".to_owned(),
                "a.toml:2:1: an account is missing",
            ),
            (of("nmae = \"b\"\n"), "a.toml:4:1: unknown field `nmae`"),
            (
                of("api_key = 12345678\n"),
                "a.toml:4:11: a key is a text in quotes",
            ),
            (of("api_key = sk-secret\n"), "a.toml:4:11: "),
            (
                of("api_key = \"sk-secret\\u0007\"\n"),
                "a.toml:4:11: the key has characters",
            ),
            (
                of("api_key = \"sk-secret\"\napi_key_env = \"KEY_B\"\n"),
                "a.toml:5:15: either `api_key`",
            ),
            (
                of("api_key_env = \"NO\"\n"),
                "a.toml:4:15: no key is in the environment variable NO",
            ),
            (
                of("base_url = \"h/v1\"\n"),
                "a.toml:4:12: `base_url`: it needs https://",
            ),
            (
                of("workspace = \" \"\n"),
                "a.toml:4:13: `workspace` is an id",
            ),
            (of("requests_per_minute = 0\n"), "a.toml:4:23: "),
            (of("models = \"m\"\n"), "a.toml:4:10: "),
            (
                of("[[accounts]]\nname = \"a\"\napi_key = \"sk-secret\"\n"),
                "a.toml:5:8: two accounts are named \"a\"",
            ),
            (
                of("[[accounts]]\nname = \"b\"\n"),
                "a.toml:4:1: it has the key and the address of \"a\"",
            ),
            (
                "version = 1\n[[accounts]]\nname = \"sk-secret\"\n".to_owned(),
                "a.toml:3:8: `name` looks like a key",
            ),
            (
                "version = 1\n[[accounts]]\nname = \"a b\"\n".to_owned(),
                "a.toml:3:8: `name` has 1 to 64",
            ),
        ] {
            let said = read(&text).expect_err(expected);
            assert!(said.contains(expected), "{said}\n{expected}");
            assert!(
                !said.contains("secret") && !said.contains("12345678"),
                "{said}"
            );
        }
    }

    #[test]
    fn all_problems_of_the_values_are_told_at_once() {
        let said = read(
            "version = 1\n[[accounts]]\nname = \"\"\nbase_url = \"ftp://h\"\n[[accounts]]\nname = \"b\"\napi_key_env = \"NO\"\n",
        )
        .expect_err("three problems");
        assert_eq!(said.lines().count(), 3, "{said}");
    }
}
