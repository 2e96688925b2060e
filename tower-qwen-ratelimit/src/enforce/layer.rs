use std::sync::Arc;

use tower_layer::Layer;
use tower_qwen_tokens::call::ReadOptions;

use super::{
    BudgetStatus, CallerQueue, Enforce, EnforceCounts, HeaderFamily, Rejection,
    caller_queue::SharedQueue, settings::Settings,
};
use crate::{budget::Budgets, key::KeyOf, limiter::Limiter};

/// Layer of [`Enforce`]; see the [module docs](super).
///
/// Clones of the layer, and all services that it makes, share accounts and counts.
#[derive(Debug, Clone)]
#[must_use]
pub struct EnforceLayer {
    settings: Arc<Settings>,
}

impl EnforceLayer {
    /// Grants the limiter's quota to each caller, as `key_of` identifies it.
    pub fn new(limiter: Limiter, key_of: KeyOf) -> Self {
        Self {
            settings: Arc::new(Settings::new(limiter, key_of)),
        }
    }

    /// Reserves each call in these budgets too: quota and budgets together, or nothing. Default: none.
    ///
    /// Whose budget it is: the request's [`Tenant`](tower_qwen_tokens::ledger::Tenant), else the name that
    /// `key_of` finds by an extension, path or closure. Callers without a name share the tenant `""`.
    pub fn budgets(mut self, budgets: Budgets) -> Self {
        Arc::make_mut(&mut self.settings).budgets = Some(budgets);
        self
    }

    /// The status of calls that a budget rejects. Default: [`BudgetStatus::TooManyRequests`].
    pub fn budget_status(mut self, status: BudgetStatus) -> Self {
        Arc::make_mut(&mut self.settings).budget_status = status;
        self
    }

    /// Lets calls wait for their caller's quota that would be rejected; see the [module docs](super#queue). Default: none.
    pub fn queue(mut self, queue: CallerQueue) -> Self {
        Arc::make_mut(&mut self.settings).queue = Some(Arc::new(SharedQueue::new(queue)));
        self
    }

    /// Takes the request of a call before its body is read. Default: together with its tokens, once the body was read.
    ///
    /// A caller without requests left is rejected unread, and a body that cannot be read (too long, broken, no JSON) costs its
    /// request: so no caller has more bodies under way than requests. A call that is rejected for its tokens or a budget
    /// costs its request too. Without effect in shadow mode, with a [`queue`](Self::queue), and for a call that a layer above
    /// has read.
    pub fn charge_before_read(mut self) -> Self {
        Arc::make_mut(&mut self.settings).charge_before_read = true;
        self
    }

    /// Rejects nothing: only counts and reports what would be rejected. Default: off.
    pub fn shadow(mut self) -> Self {
        Arc::make_mut(&mut self.settings).shadow = true;
        self
    }

    /// Omits a family of response headers. Default: both are written; in shadow mode none.
    pub fn without_headers(mut self, family: HeaderFamily) -> Self {
        let headers = &mut Arc::make_mut(&mut self.settings).headers;
        match family {
            HeaderFamily::Ietf => headers.ietf = false,
            HeaderFamily::XRatelimit => headers.x_ratelimit = false,
        }
        self
    }

    /// Adds the parameter `pk` to the IETF draft's headers, which says whose quota it is: a salted
    /// hash of the key, which differs between processes. Default: omitted.
    pub fn with_partition_key(mut self) -> Self {
        Arc::make_mut(&mut self.settings).headers.partition_key = true;
        self
    }

    /// Calls this closure with every rejection, in shadow mode too. It must neither block nor
    /// panic. Default: none.
    pub fn on_rejection(mut self, observer: impl Fn(&Rejection) + Send + Sync + 'static) -> Self {
        Arc::make_mut(&mut self.settings).on_rejection = Some(Arc::new(observer));
        self
    }

    /// How requests are read that no layer above has read. Default: [`ReadOptions::default`], at
    /// most 32 MiB.
    pub fn read_options(mut self, options: ReadOptions) -> Self {
        Arc::make_mut(&mut self.settings).read_options = options;
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
