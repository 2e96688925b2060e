use std::{collections::BTreeMap, num::NonZeroU64, time::Duration};

use tower_qwen_ratelimit::Quota;

use super::{
    section::{Places, Section},
    values::Length,
};
use crate::{
    api_key::{ApiKey, BadKey, is_name},
    target::Target,
};

/// A provider or model server behind, as the file writes it.
#[derive(Debug, Clone, Default)]
pub struct UpstreamEntry {
    /// Its name.
    pub name: String,
    /// Where its OpenAI-compatible API stands.
    pub base_url: Option<Target>,
    /// The gateway's key there.
    pub api_key: Option<ApiKey>,
    /// The models that it has; `None`: any.
    pub models: Option<Vec<String>>,
    /// Names that callers use, each with the model's name there.
    pub aliases: BTreeMap<String, String>,
    /// What it grants, per model.
    pub quota: Option<Quota>,
    /// Whether it comes after the others, for calls that they cannot serve.
    pub is_fallback: bool,
    /// How long a call waits elsewhere before it comes here; a fallback alone.
    pub after_wait: Option<Duration>,
    /// Where all that stands in the file.
    pub places: Places,
}

impl UpstreamEntry {
    /// Reads it from its table.
    pub(super) fn read(mut section: Section<'_, '_>) -> Self {
        let mut entry = Self {
            name: section.value("name").unwrap_or_default(),
            base_url: section.value("base_url"),
            api_key: section.secret("api_key", &BadKey::Key.to_string()),
            models: section.value("models"),
            aliases: section.value("aliases").unwrap_or_default(),
            is_fallback: section.value("fallback").unwrap_or_default(),
            after_wait: section.value("after_wait").map(|Length(wait)| wait),
            ..Self::default()
        };
        let mut faults = Vec::new();
        if let Some(variable) = section.value::<String>("api_key_env") {
            let key = std::env::var(&variable).ok();
            match key.and_then(|key| key.trim().parse().ok()) {
                Some(_) if entry.api_key.is_some() => {
                    faults.push((
                        "api_key_env",
                        "either `api_key` or `api_key_env`, not both".to_owned(),
                    ));
                }
                Some(key) => entry.api_key = Some(key),
                None => faults.push((
                    "api_key_env",
                    format!("no key is in the environment variable {variable}"),
                )),
            }
        }
        let requests = section.value::<NonZeroU64>("requests_per_minute");
        let tokens = section.value::<NonZeroU64>("tokens_per_minute");
        let discovers = section.value("discover").unwrap_or_default();
        let concurrency = section.value::<NonZeroU64>("concurrency");
        entry.quota = quota(requests, tokens, discovers);
        if let Some(calls) = concurrency {
            let known = entry.quota.unwrap_or(Quota::per_minute(ANY, ANY));
            entry.quota = Some(known.concurrency(calls.get()));
        }
        if !is_name(&entry.name) {
            faults.push(("name", BadKey::Name.to_string()));
        }
        if entry.base_url.is_none() {
            faults.push(("base_url", "an upstream needs a `base_url`".to_owned()));
        }
        if discovers && requests.is_some() != tokens.is_some() {
            let message = "`discover` starts with both `requests_per_minute` and `tokens_per_minute`, or with neither";
            faults.push(("discover", message.to_owned()));
        }
        if entry.after_wait.is_some() && !entry.is_fallback {
            faults.push((
                "after_wait",
                "`after_wait` is for an upstream with `fallback = true`".to_owned(),
            ));
        }
        for (key, message) in faults {
            section.note(key, message);
        }
        entry.places = section.end();
        entry
    }

    /// What this upstream calls a model that callers know by this name; `None` where it has none.
    #[must_use]
    pub fn model<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let listed = || match &self.models {
            Some(models) => models.iter().any(|model| model == name),
            None => true,
        };
        match self.aliases.get(name) {
            Some(model) => Some(model),
            None => listed().then_some(name),
        }
    }

    /// The names by which callers know its models; not all where it has any.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let models = self.models.iter().flatten();
        models.chain(self.aliases.keys()).map(String::as_str)
    }
}

/// Far beyond any host, and still no overflow: throttles slow it down all the same.
pub(crate) const ANY: u64 = 1 << 40;

fn quota(
    requests: Option<NonZeroU64>,
    tokens: Option<NonZeroU64>,
    discovers: bool,
) -> Option<Quota> {
    let amount = |amount: Option<NonZeroU64>| amount.map_or(ANY, NonZeroU64::get);
    match (requests, tokens) {
        (None, None) if discovers => Some(Quota::discover()),
        (Some(requests), Some(tokens)) if discovers => {
            Some(Quota::at_least(requests.get(), tokens.get()))
        }
        (None, None) => None,
        _ => Some(Quota::per_minute(amount(requests), amount(tokens))),
    }
}
