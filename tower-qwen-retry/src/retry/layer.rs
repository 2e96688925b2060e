use std::sync::Arc;

use tower_layer::Layer;
use tower_qwen_tokens::{call::ReadOptions, internal::clock::WallClock};

use super::{Retry, settings::Settings};
use crate::{RetryPolicy, cool_down::CoolDowns, pool::PoolState};

/// Applies [`Retry`] to a service. See the [module docs](crate::retry).
#[derive(Debug, Clone)]
#[must_use]
pub struct RetryLayer {
    settings: Arc<Settings>,
}

impl RetryLayer {
    /// A layer that retries by this policy. Its clones, and all services that it makes, share what they
    /// know of targets ([cool-down](crate::retry#cool-down)); other layers of the same policy do not.
    pub fn new(policy: RetryPolicy) -> Self {
        let members = policy.members.as_ref().map_or(0, |members| members.count);
        let settings = Settings {
            cool_downs: Arc::new(CoolDowns::new()),
            pool: Arc::new(PoolState::new(members)),
            policy,
            read_options: ReadOptions::default(),
            clock: WallClock::new(),
        };
        Self {
            settings: Arc::new(settings),
        }
    }

    /// How to read a request that no layer outside has read. Default: [`ReadOptions::default`]
    /// (bodies of up to 32 MiB).
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        // Copies the settings only if a service of this layer exists already; its own stay as they
        // are.
        Arc::make_mut(&mut self.settings).read_options = options;
        self
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retry<S>;

    fn layer(&self, inner: S) -> Retry<S> {
        Retry::new(inner, Arc::clone(&self.settings))
    }
}
