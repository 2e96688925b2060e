use std::{fmt, sync::Arc, time::Duration};

use http::{
    HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, HOST},
    request::Parts,
    uri::PathAndQuery,
};
use tower_qwen_tokens::{AccountId, Cause};

use crate::leave::{Leave, is_of_target};

// The header for keys in the Anthropic dialect.
pub(crate) const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");
// A base URL ends with it in every dialect; the path of the operation follows.
const VERSION: &str = "/v1";

/// Another target for a call: another model, another key, another base URL, or all of them.
///
/// What is not set stays as the caller wrote it.
///
/// # Accounts
///
/// A target with another key has an account of its own in an Admission inside, named like the target
/// ([`AccountId`]), so its calls do not wait for the quota of the caller's key. Keys of one root account
/// share that account's quota: set [`same_account`](Self::same_account) for them, or give several
/// targets one [`account`](Self::account).
///
/// ```
/// use tower_qwen_retry::{Fallback, InvalidFallback, RetryPolicy};
///
/// # fn main() -> Result<(), InvalidFallback> {
/// let policy = RetryPolicy::default()
///     .fallback(Fallback::new("second key").key("sk-2")?)
///     .fallback(
///         Fallback::new("Singapore, smaller")
///             .base_url("https://dashscope-intl.aliyuncs.com/compatible-mode/v1")?
///             .key("sk-3")?
///             .model("qwen-flash")
///             .after_retries(),
///     );
/// # let _ = policy;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct Fallback {
    // Shared with the reports of calls.
    pub(crate) name: Arc<str>,
    pub(crate) model: Option<String>,
    key: Option<Key>,
    base: Option<Uri>,
    account: Account,
    causes: Vec<Cause>,
    after_retries: bool,
    pub(crate) after_wait: Option<Duration>,
}

/// Which account of the provider the target uses.
#[derive(Debug, Clone)]
enum Account {
    /// One named like the target, if that has a key of its own.
    OfKey(AccountId),
    Named(AccountId),
    /// The one that the call names.
    OfCaller,
}

/// A key, bare and as `Authorization` has it.
#[derive(Clone)]
struct Key {
    bare: HeaderValue,
    bearer: HeaderValue,
}

/// Why a [`Fallback`] is invalid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidFallback {
    /// The key contains bytes that are not allowed in a header.
    #[error("the key contains bytes that are not allowed in a header")]
    Key,
    /// The base URL has no scheme or no host.
    #[error("the base URL has no scheme or no host")]
    BaseUrl,
}

impl Fallback {
    /// A target with this name, which events and metrics show. It must not be a secret.
    pub fn new(name: impl Into<String>) -> Self {
        let name: String = name.into();
        let causes = Cause::ALL.iter().copied();
        Self {
            account: Account::OfKey(AccountId::new(name.as_str())),
            name: name.into(),
            model: None,
            key: None,
            base: None,
            causes: causes.filter(|&cause| is_of_target(cause)).collect(),
            after_retries: false,
            after_wait: None,
        }
    }

    /// Another model. A call whose body was not read, or is signed or encoded, cannot be rewritten
    /// and skips this target.
    pub fn model(mut self, model: impl Into<String>) -> Self {
        self.model = Some(model.into());
        self
    }

    /// Another key: in `x-api-key` if the caller uses that header, otherwise as
    /// `Authorization: Bearer`.
    ///
    /// # Errors
    ///
    /// [`InvalidFallback::Key`] if it contains bytes that are not allowed in a header.
    pub fn key(mut self, key: &str) -> Result<Self, InvalidFallback> {
        let value = |text: &str| {
            let mut value = HeaderValue::from_str(text).map_err(|_| InvalidFallback::Key)?;
            value.set_sensitive(true);
            Ok(value)
        };
        self.key = Some(Key {
            bare: value(key)?,
            bearer: value(&format!("Bearer {key}"))?,
        });
        Ok(self)
    }

    /// Another base URL, such as `https://host/compatible-mode/v1`.
    ///
    /// What follows the last `/v1` of the caller's path is appended to it. If this URL has no path,
    /// or the caller's path no `/v1`, only scheme and host are replaced.
    ///
    /// # Errors
    ///
    /// [`InvalidFallback::BaseUrl`] if it has no scheme or no host.
    pub fn base_url(mut self, url: &str) -> Result<Self, InvalidFallback> {
        let base: Uri = url.parse().map_err(|_| InvalidFallback::BaseUrl)?;
        if base.scheme().is_none() || base.authority().is_none() {
            return Err(InvalidFallback::BaseUrl);
        }
        self.base = Some(base);
        Ok(self)
    }

    /// The account of the provider that this target uses, in an Admission inside. Default: one named
    /// like the target if it has a [key](Self::key) of its own, else the caller's.
    pub fn account(mut self, account: AccountId) -> Self {
        self.account = Account::Named(account);
        self
    }

    /// This target uses the account that the call names, or none: for a key of the same root account,
    /// with which it shares the quota.
    pub fn same_account(mut self) -> Self {
        self.account = Account::OfCaller;
        self
    }

    /// The causes after which a call goes to this target. Default: [`Cause::FreeTier`],
    /// [`Cause::Account`], [`Cause::Unauthorized`], [`Cause::Forbidden`] and [`Cause::NotFound`],
    /// which do not go away by waiting.
    ///
    /// A throttle for longer than [`max_retry_after`](crate::RetryPolicy::max_retry_after) always
    /// counts as such a cause.
    pub fn after(mut self, causes: impl IntoIterator<Item = Cause>) -> Self {
        self.causes = causes.into_iter().collect();
        self
    }

    /// A call goes to this target also after its last retry: no attempts, retry budget or patience
    /// left, or a wait that would end after its deadline, be it in Retry or in an Admission inside.
    /// Default: not.
    pub fn after_retries(mut self) -> Self {
        self.after_retries = true;
        self
    }

    /// A call waits for at most this long at the target before, then it goes to this one. Default: it
    /// waits as long as it takes.
    ///
    /// Both waits count: for quota in an Admission inside, and before a retry. A wait that would end
    /// later than this, counted from the call's arrival at the target before, is not begun: the call
    /// goes on at once. An Admission inside predicts it ([`MaxWait`](tower_qwen_tokens::call::MaxWait)),
    /// so nothing is sent and no attempt is counted. An attempt that is under way is not interrupted.
    ///
    /// A call that Admission rejects for another reason (a full queue, the deadline, its size) goes to
    /// this target as well. One that no target takes waits where it is.
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_qwen_retry::{Fallback, RetryPolicy};
    ///
    /// let smaller = Fallback::new("smaller").model("qwen-flash").after_wait(Duration::from_secs(10));
    /// let policy = RetryPolicy::default().fallback(smaller);
    /// # let _ = policy;
    /// ```
    pub fn after_wait(mut self, longest: Duration) -> Self {
        self.after_wait = Some(longest);
        self
    }

    /// Whether a call that leaves the target before for this reason goes to this one.
    pub(crate) fn takes(&self, leave: Leave) -> bool {
        match leave {
            Leave::Permanent(cause) => self.causes.contains(&cause),
            // As good as permanent: any other target may help.
            Leave::LongHint(_) => true,
            Leave::Retries(_) => self.after_retries,
            Leave::LongWait(_) => self.after_wait.is_some(),
            Leave::NotSent(cause) => {
                self.after_wait.is_some()
                    || match cause {
                        Some(cause) => self.causes.contains(&cause),
                        None => self.after_retries,
                    }
            }
        }
    }

    /// What of a call's own head still names the target: whether its origin, its key and its account do.
    pub(crate) fn caller_parts(&self) -> CallerParts {
        CallerParts {
            origin: self.base.is_none(),
            key: self.key.is_none(),
            account: self.account_id().is_none(),
        }
    }

    /// Scheme and host of the target, where they are its own.
    pub(crate) fn origin(&self) -> Option<(&str, &str)> {
        let base = self.base.as_ref()?;
        Some((base.scheme_str()?, base.authority()?.as_str()))
    }

    /// The account of the target, where it is its own.
    pub(crate) fn account_id(&self) -> Option<&AccountId> {
        match &self.account {
            Account::OfKey(account) => self.key.as_ref().map(|_| account),
            Account::Named(account) => Some(account),
            Account::OfCaller => None,
        }
    }

    /// Changes a request's head for this target; `None` if that gives no valid address.
    pub(crate) fn apply_to(&self, parts: &mut Parts) -> Option<()> {
        if let Some(key) = &self.key {
            if parts.headers.contains_key(X_API_KEY) {
                parts.headers.insert(X_API_KEY, key.bare.clone());
            } else {
                parts.headers.insert(AUTHORIZATION, key.bearer.clone());
            }
        }
        if let Some(account) = self.account_id() {
            parts.extensions.insert(account.clone());
        }
        if let Some(base) = &self.base {
            parts.uri = with_base(base, &parts.uri)?;
            // Only a caller that sets `Host` itself has it here; clients set it later, from the
            // URI.
            if let Some(host) = parts.headers.get_mut(HOST) {
                *host = HeaderValue::from_str(parts.uri.authority()?.as_str()).ok()?;
            }
        }
        Some(())
    }
}

/// Which parts of a call stay as its caller wrote them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CallerParts {
    pub(crate) origin: bool,
    pub(crate) key: bool,
    pub(crate) account: bool,
}

impl CallerParts {
    /// Of the caller's own target.
    pub(crate) const ALL: Self = Self {
        origin: true,
        key: true,
        account: true,
    };
}

/// The address of the operation of `uri` at another base URL.
fn with_base(base: &Uri, uri: &Uri) -> Option<Uri> {
    let path = uri.path();
    let operation = path
        .rmatch_indices(VERSION)
        .map(|(at, _)| &path[at + VERSION.len()..])
        // A whole segment: `/v10` is no version of ours.
        .find(|rest| rest.is_empty() || rest.starts_with('/'));
    let path = match (base.path().trim_end_matches('/'), operation) {
        ("", _) | (_, None) => path.to_owned(),
        (base, Some(operation)) => format!("{base}{operation}"),
    };
    let path = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path,
    };
    let mut parts = base.clone().into_parts();
    parts.path_and_query = Some(PathAndQuery::try_from(path).ok()?);
    Uri::from_parts(parts).ok()
}

impl fmt::Debug for Fallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fallback")
            .field("name", &self.name)
            .field("model", &self.model)
            .field("has_key", &self.key.is_some())
            .field("account", &self.account)
            .field("causes", &self.causes)
            .field("after_retries", &self.after_retries)
            .field("after_wait", &self.after_wait)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn applied(fallback: &Fallback, uri: &str, headers: &[(&'static str, &str)]) -> Parts {
        let mut request = Request::post(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (mut parts, ()) = request.body(()).expect("a request").into_parts();
        fallback.apply_to(&mut parts).expect("a valid address");
        parts
    }

    #[test]
    fn the_operation_is_appended_to_the_base_url() {
        let rows = [
            (
                "https://a/compatible-mode/v1",
                "http://h/v1/chat/completions",
                "https://a/compatible-mode/v1/chat/completions",
            ),
            (
                "https://a/v1/",
                "http://h/api/v2/apps/protocols/compatible-mode/v1/responses?x=1",
                "https://a/v1/responses?x=1",
            ),
            (
                "https://a:8443/api/v1",
                "http://h/api/v1/services/aigc/text-generation/generation",
                "https://a:8443/api/v1/services/aigc/text-generation/generation",
            ),
            (
                "https://a",
                "http://h/compatible-mode/v1/embeddings",
                "https://a/compatible-mode/v1/embeddings",
            ),
            ("https://a/v1", "http://h/generate", "https://a/generate"),
            (
                "https://a/v1",
                "http://h/v10/v1x/chat",
                "https://a/v10/v1x/chat",
            ),
        ];
        for (base, uri, expected) in rows {
            let fallback = Fallback::new("x").base_url(base).expect("a base");
            let parts = applied(&fallback, uri, &[("host", "h")]);
            assert_eq!(parts.uri, expected, "{base} {uri}");
            assert_eq!(
                parts.headers["host"],
                parts.uri.authority().expect("a host").as_str()
            );
        }
        for url in ["/v1", "host/v1", "", "https://"] {
            let invalid = Fallback::new("x").base_url(url).expect_err(url);
            assert_eq!(invalid, InvalidFallback::BaseUrl);
        }
    }

    #[test]
    fn a_key_replaces_the_callers_and_is_not_shown() {
        let fallback = Fallback::new("x").key("sk-2").expect("a key");
        let chat = "http://h/v1/chat/completions";
        let parts = applied(&fallback, chat, &[("authorization", "Bearer sk-1")]);
        assert_eq!(parts.headers["authorization"], "Bearer sk-2");
        let parts = applied(&fallback, chat, &[("x-api-key", "sk-1")]);
        assert_eq!(parts.headers["x-api-key"], "sk-2");
        assert!(!parts.headers.contains_key("authorization"));
        assert!(!format!("{fallback:?}{:?}", parts.headers).contains("sk-2"));
        let invalid = Fallback::new("x").key("a\nb").expect_err("no header");
        assert_eq!(invalid, InvalidFallback::Key);
    }

    #[test]
    fn a_target_with_a_key_has_an_account_of_its_own() {
        let keyed = || Fallback::new("second").key("sk-2").expect("a key");
        let named = |fallback: &Fallback| {
            let parts = applied(fallback, "http://h/v1/chat/completions", &[]);
            let account = parts.extensions.get::<AccountId>();
            account.map(|account| account.as_str().to_owned())
        };
        assert_eq!(named(&keyed()), Some("second".to_owned()));
        assert_eq!(named(&keyed().same_account()), None);
        let shared = keyed().account(AccountId::new("root 7"));
        assert_eq!(named(&shared), Some("root 7".to_owned()));
        assert_eq!(named(&Fallback::new("smaller").model("qwen-flash")), None);
    }

    #[test]
    fn defaults_are_as_documented() {
        let fallback = Fallback::new("x");
        for &cause in Cause::ALL {
            let expected = matches!(
                cause,
                Cause::FreeTier
                    | Cause::Account
                    | Cause::Unauthorized
                    | Cause::Forbidden
                    | Cause::NotFound
            );
            let takes = |leave| fallback.takes(leave);
            assert_eq!(takes(Leave::Permanent(cause)), expected, "{cause}");
            assert_eq!(takes(Leave::NotSent(Some(cause))), expected, "{cause}");
            assert!(takes(Leave::LongHint(cause)), "{cause}");
            assert!(!takes(Leave::Retries(cause)) && !takes(Leave::LongWait(cause)));
        }
        assert!(!fallback.takes(Leave::NotSent(None)));
        let timeout = fallback.clone().after([Cause::Timeout]);
        assert!(timeout.takes(Leave::Permanent(Cause::Timeout)));
        let (retries, wait) = (
            Leave::Retries(Cause::Timeout),
            Leave::LongWait(Cause::Timeout),
        );
        let willing = fallback.clone().after_retries();
        assert!(willing.takes(retries) && willing.takes(Leave::NotSent(None)));
        assert!(!willing.takes(wait));
        let hasty = fallback.after_wait(Duration::from_secs(1));
        assert!(hasty.takes(wait) && hasty.takes(Leave::NotSent(None)));
        assert!(!hasty.takes(retries));
    }
}
