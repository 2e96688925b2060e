use std::{fmt, sync::Arc};

use tower_layer::Layer;
use tower_qwen_tokens::{call::ReadOptions, internal::clock::WallClock};

use super::{Enforce, EnforceCounts, HeaderFamily, Rejection, counts::Counters, headers::Families};
use crate::{key::KeyOf, limiter::Limiter};

/// Puts [`Enforce`] before a service; see the [module](super). Cloning and layering anew share accounts and counts.
#[derive(Debug, Clone)]
#[must_use]
pub struct EnforceLayer {
    settings: Arc<Settings>,
}

/// What the services of a layer share.
#[derive(Clone)]
pub(super) struct Settings {
    pub(super) limiter: Limiter,
    pub(super) key_of: KeyOf,
    pub(super) shadow: bool,
    pub(super) families: Families,
    pub(super) on_rejection: Option<Arc<RejectionFn>>,
    pub(super) counters: Arc<Counters>,
    pub(super) read: ReadOptions,
    pub(super) wall: WallClock,
}

type RejectionFn = dyn Fn(&Rejection) + Send + Sync;

impl EnforceLayer {
    /// Grants each caller, told apart by `key_of`, the quota of the limiter.
    pub fn new(limiter: Limiter, key_of: KeyOf) -> Self {
        Self {
            settings: Arc::new(Settings {
                limiter,
                key_of,
                shadow: false,
                families: Families::ALL,
                on_rejection: None,
                counters: Arc::default(),
                read: ReadOptions::default(),
                wall: WallClock::new(),
            }),
        }
    }

    /// Only counts and reports what it would refuse. Default: refuses.
    pub fn shadow(mut self) -> Self {
        Arc::make_mut(&mut self.settings).shadow = true;
        self
    }

    /// Leaves a family of headers out. Default: both are written, in shadow mode none.
    pub fn without_headers(mut self, family: HeaderFamily) -> Self {
        let settings = Arc::make_mut(&mut self.settings);
        settings.families = settings.families.without(family);
        self
    }

    /// Says in the draft's headers whose quota it is: the parameter `pk`, a salted hash of the key, which is another one
    /// in every process. Default: left out.
    pub fn with_partition_key(mut self) -> Self {
        Arc::make_mut(&mut self.settings).families.partition_key = true;
        self
    }

    /// What hears of every refusal, in shadow mode too. It must neither block nor panic. Default: nothing.
    pub fn on_rejection(mut self, hear: impl Fn(&Rejection) + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.settings).on_rejection = Some(Arc::new(hear));
        self
    }

    /// How requests are read where no outer layer did. Default: [`ReadOptions::default`].
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        Arc::make_mut(&mut self.settings).read = options;
        self
    }

    /// What the layer, its clones and its services have done so far.
    #[must_use]
    pub fn counts(&self) -> EnforceCounts {
        self.settings.counters.now()
    }
}

impl<S> Layer<S> for EnforceLayer {
    type Service = Enforce<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Enforce::new(inner, self.settings.clone())
    }
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("limiter", &self.limiter)
            .field("key_of", &self.key_of)
            .field("shadow", &self.shadow)
            .field("families", &self.families)
            .finish_non_exhaustive()
    }
}
