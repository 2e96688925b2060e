//! One account.

use http::{HeaderValue, Request, header::AUTHORIZATION};
use tower_qwen_tokens::{
    AccountId, PriceBook, data::Region, protocol::header::X_DASHSCOPE_WORKSPACE,
};

use crate::{
    advice::{KeyKind, Target},
    base_url::{BadUrl, BaseUrl},
    provider::Provider,
    request::{BadKey, bearer},
};

/// Where calls go, with which key, and what is known of the quota there.
#[derive(Debug, Clone)]
pub struct Account {
    id: AccountId,
    base: BaseUrl,
    /// Where its calls really go, where another server stands for `base`.
    stand_in: Option<BaseUrl>,
    /// Marked as a secret, so that `Debug` does not show it.
    authorization: Option<HeaderValue>,
    key: KeyKind,
    workspace: Option<HeaderValue>,
    models: Option<Vec<String>>,
    limits: AccountLimits,
}

/// What an account may use of each model in a minute, where its owner says so.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AccountLimits {
    /// Requests.
    pub requests: Option<u64>,
    /// Tokens, prompt and answer together.
    pub tokens: Option<u64>,
}

impl Account {
    /// An account at this address, without a key. The name must not be a secret; it may be empty where there is no other.
    #[must_use]
    pub fn new(name: &str, base: BaseUrl) -> Self {
        Self {
            id: AccountId::new(name),
            base,
            stand_in: None,
            authorization: None,
            key: KeyKind::None,
            workspace: None,
            models: None,
            limits: AccountLimits::default(),
        }
    }

    /// Its calls go to another server, which stands for the one of its address.
    #[must_use]
    pub fn stand_in(mut self, server: Option<BaseUrl>) -> Self {
        self.stand_in = server;
        self
    }

    /// The same account with this address.
    #[must_use]
    pub fn at(mut self, base: BaseUrl) -> Self {
        self.base = base;
        self
    }

    /// Its key.
    ///
    /// # Errors
    ///
    /// [`BadKey`] where no header can carry it.
    pub fn key(mut self, key: &str) -> Result<Self, BadKey> {
        self.authorization = Some(bearer(key)?);
        self.key = KeyKind::of(Some(key));
        Ok(self)
    }

    /// The workspace that its calls are for.
    #[must_use]
    pub fn workspace(mut self, workspace: Option<HeaderValue>) -> Self {
        self.workspace = workspace;
        self
    }

    /// The only models that it is for.
    #[must_use]
    pub fn models(mut self, models: Option<Vec<String>>) -> Self {
        self.models = models;
        self
    }

    /// What it may use.
    #[must_use]
    pub fn limits(mut self, limits: AccountLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.id.as_str()
    }

    /// Its name in Admission.
    #[must_use]
    pub fn id(&self) -> &AccountId {
        &self.id
    }

    /// The address by which prices and quotas are known.
    #[must_use]
    pub fn base(&self) -> &BaseUrl {
        &self.base
    }

    /// The address that its calls, and nothing else of its, go to.
    #[must_use]
    pub fn address(&self) -> &BaseUrl {
        self.stand_in.as_ref().unwrap_or(&self.base)
    }

    /// The header with its key.
    #[must_use]
    pub fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

    /// The header with its workspace.
    #[must_use]
    pub fn workspace_header(&self) -> Option<&HeaderValue> {
        self.workspace.as_ref()
    }

    /// What kind of key it has.
    #[must_use]
    pub fn key_kind(&self) -> KeyKind {
        self.key
    }

    /// What its owner says that it may use.
    #[must_use]
    pub fn own_limits(&self) -> AccountLimits {
        self.limits
    }

    /// Whether it is for this model.
    #[must_use]
    pub fn serves(&self, model: &str) -> bool {
        self.models
            .as_ref()
            .is_none_or(|models| models.iter().any(|known| known == model))
    }

    /// The name of its provider in the lines of the output.
    #[must_use]
    pub fn provider(&self) -> String {
        Provider::Remote(self.address().clone()).name()
    }

    /// The prices of its region; the international ones where the region is not known.
    #[must_use]
    pub fn prices(&self) -> PriceBook {
        let region = Region::of_host(self.base.host());
        PriceBook::builtin().region(region.unwrap_or_default())
    }

    /// Whom its calls go to, for sentences.
    #[must_use]
    pub fn target(&self) -> Target {
        Target {
            key: self.key,
            ..Target::remote(self.address().origin(), None)
        }
    }

    /// Makes a call to this path one of the account. A key that was there before is taken away.
    ///
    /// # Errors
    ///
    /// [`BadUrl`] where address and path together are none.
    pub fn address_to<B>(&self, request: &mut Request<B>, path: &str) -> Result<(), BadUrl> {
        *request.uri_mut() = self.address().join(path)?;
        let headers = request.headers_mut();
        match &self.authorization {
            Some(key) => headers.insert(AUTHORIZATION, key.clone()),
            None => headers.remove(AUTHORIZATION),
        };
        match &self.workspace {
            Some(workspace) => headers.insert(X_DASHSCOPE_WORKSPACE, workspace.clone()),
            None => headers.remove(X_DASHSCOPE_WORKSPACE),
        };
        Ok(())
    }
}
