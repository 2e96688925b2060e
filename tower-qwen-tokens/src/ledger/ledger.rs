use std::{
    collections::HashSet,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::SystemTime,
};

use crate::{
    Money, Usage,
    data::RetirementBook,
    macros::opaque_debug,
    price::{Billing, PriceBook},
    shared::lock,
};

use super::{Entry, LedgerSink, ModelNotice, Record, Snapshot, snapshot::MAX_NAMES};

/// Sums of usage and cost by model, tenant and label. Clones share everything.
#[derive(Clone)]
pub struct Ledger {
    inner: Arc<SharedLedger>,
}

struct SharedLedger {
    setup: RwLock<Arc<Setup>>,
    sums: Mutex<Snapshot>,
    /// The models of which the sinks know already, and whether of an impossible usage. The sums forget theirs when they
    /// are taken.
    noticed: Mutex<HashSet<(Arc<str>, bool)>>,
    #[cfg(feature = "http")]
    clock: crate::shared::clock::WallClock,
}

/// What can be replaced while calls are running.
#[derive(Clone)]
struct Setup {
    prices: Arc<PriceBook>,
    retired: Arc<RetirementBook>,
    sinks: Vec<Arc<dyn LedgerSink>>,
    /// Whose models have lines of their own; `None`: all.
    allowed: Option<Arc<Allowed>>,
}

type Allowed = dyn Fn(&Entry) -> bool + Send + Sync;

impl Ledger {
    /// An empty ledger that prices calls by this book.
    #[must_use]
    pub fn new(prices: PriceBook) -> Self {
        let setup = Setup {
            prices: Arc::new(prices),
            retired: Arc::new(RetirementBook::builtin()),
            sinks: Vec::new(),
            allowed: None,
        };
        Self {
            inner: Arc::new(SharedLedger {
                setup: RwLock::new(Arc::new(setup)),
                sums: Mutex::default(),
                noticed: Mutex::default(),
                #[cfg(feature = "http")]
                clock: crate::shared::clock::WallClock::new(),
            }),
        }
    }

    /// Adds a sink that gets every attempt from now on, of all clones. Default: none; the sums are kept in any case.
    #[must_use]
    pub fn with_sink(self, sink: Arc<dyn LedgerSink>) -> Self {
        self.change(|setup| setup.sinks.push(sink));
        self
    }

    /// Sums up the models of these attempts alone by their names, in all clones; those of all others are `(other)`. Whoever lets
    /// strangers name models keeps so the 1,024 lines for those that exist. Default: by all names.
    ///
    /// It is asked once for each attempt, before that is added or a sink gets it; also by [`Ledger::restore`].
    ///
    /// ```
    /// use tower_qwen_tokens::{Ledger, Usage, ledger::{Basis, End, Entry}};
    ///
    /// let ledger = Ledger::default().only_models(|entry| &*entry.model == "qwen-plus");
    /// for model in ["qwen-plus", "invented"] {
    ///     ledger.record(&Entry::new(model, Usage::new(1, 1), Basis::Reported, End::Complete));
    /// }
    /// assert!(ledger.snapshot().models.keys().eq(["(other)", "qwen-plus"]));
    /// ```
    #[must_use]
    pub fn only_models(self, allowed: impl Fn(&Entry) -> bool + Send + Sync + 'static) -> Self {
        self.change(|setup| setup.allowed = Some(Arc::new(allowed)));
        self
    }

    /// Prices calls by another book from now on, of all clones. What is recorded already stays as
    /// it is.
    pub fn set_prices(&self, prices: PriceBook) {
        self.change(|setup| setup.prices = Arc::new(prices));
    }

    /// Warns of the retired models of another book from now on, in all clones. Default: the built-in one.
    pub fn set_retired(&self, retired: RetirementBook) {
        self.change(|setup| setup.retired = Arc::new(retired));
    }

    /// The prices in use.
    #[must_use]
    pub fn prices(&self) -> Arc<PriceBook> {
        Arc::clone(&self.setup().prices)
    }

    /// Records one attempt. It is priced as of when it was sent, which is its duration ago.
    pub fn record(&self, entry: &Entry) {
        self.record_and_price(entry);
    }

    /// Counts an attempt of an earlier process, such as [`read_line`](super::read_line) gives it: in the sums alone, at the cost
    /// that the record states. No sink gets it.
    ///
    /// ```
    /// use tower_qwen_tokens::{Ledger, ledger::read_line};
    ///
    /// let line = r#"{"model":"qwen-plus","v":2,"tenant":"search","end":"complete","basis":"reported",
    ///     "input_tokens":1000,"output_tokens":200,"cost":{"amount":"0.5","currency":"USD"}}"#;
    /// let ledger = Ledger::default();
    /// ledger.restore(&read_line(line)?);
    /// assert_eq!(ledger.snapshot().tenants["search"].cost[0].to_string(), "0.5 USD");
    /// # Ok::<(), tower_qwen_tokens::ledger::InvalidLine>(())
    /// ```
    pub fn restore(&self, record: &Record<'_>) {
        let has_line = self.setup().has_line(&record.entry);
        self.sums().add(&record.entry, record.cost, has_line);
    }

    /// Records one attempt and gives what it cost; `None` where its model has no price or its usage is unknown.
    pub(crate) fn record_and_price(&self, entry: &Entry) -> Option<Money> {
        let setup = self.setup();
        let now = self.now();
        let sent = now.and_then(|now| now.checked_sub(entry.duration.unwrap_or_default()));
        let billing = Billing {
            batch: entry.batch,
            at: sent,
            service_tier: entry.service_tier.as_deref(),
        };
        let cost = setup.prices.cost_of(&entry.model, &entry.usage, &billing);
        // Lock order: none is held while another is taken. The sums are free again before a sink
        // runs, which may be slow or ask for a snapshot.
        let has_line = setup.has_line(entry);
        let is_first = self.sums().add(entry, cost, has_line);
        if setup.sinks.is_empty() {
            return cost;
        }
        if is_first {
            self.notice(&setup, &entry.model, None);
        }
        if entry.impossible.is_some() {
            self.notice(&setup, &entry.model, entry.impossible);
        }
        let record = Record::new(entry, cost, now);
        for sink in &setup.sinks {
            sink.record(&record);
        }
        cost
    }

    fn notice(&self, setup: &Setup, model: &Arc<str>, impossible: Option<Usage>) {
        let notice = ModelNotice {
            model,
            is_priced: setup.prices.price(model).is_some(),
            retirement: setup.retired.retirement(model),
            impossible,
        };
        let is_ordinary = notice.is_priced && notice.retirement.is_none() && impossible.is_none();
        // A request whose body was not read has no model.
        if model.is_empty() || is_ordinary {
            return;
        }
        let mut noticed = lock(&self.inner.noticed);
        // Names come from outside on a server: they must not grow the memory.
        let is_new =
            noticed.len() < MAX_NAMES && noticed.insert((Arc::clone(model), impossible.is_some()));
        drop(noticed);
        if is_new {
            for sink in &setup.sinks {
                sink.notice(&notice);
            }
        }
    }

    /// The sums so far.
    ///
    /// ```
    /// use tower_qwen_tokens::{Ledger, Usage, ledger::{Basis, End, Entry}};
    ///
    /// let ledger = Ledger::default();
    /// ledger.record(&Entry::new("qwen-plus", Usage::new(1_000, 200), Basis::Reported, End::Complete));
    ///
    /// let sums = ledger.snapshot();
    /// assert_eq!(sums.models["qwen-plus"].output_tokens, 200);
    /// assert_eq!(sums.total.cost[0].to_string(), "0.00064 USD");
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        self.sums().clone()
    }

    /// The sums so far, and begins anew. An attempt that is recorded meanwhile is either in what was taken or in what
    /// follows, never in both or in neither.
    #[must_use = "what is taken is no longer in the ledger"]
    pub fn take(&self) -> Snapshot {
        mem::take(&mut *self.sums())
    }

    fn now(&self) -> Option<SystemTime> {
        #[cfg(feature = "http")]
        return Some(self.inner.clock.now());
        #[cfg(not(feature = "http"))]
        return None;
    }

    fn setup(&self) -> Arc<Setup> {
        // Cloned out of the lock: sinks and prices are used without it.
        let setup = self.inner.setup.read();
        Arc::clone(&setup.unwrap_or_else(PoisonError::into_inner))
    }

    fn change(&self, change: impl FnOnce(&mut Setup)) {
        let setup = self.inner.setup.write();
        // Attempts that are being recorded keep the setup that they began with.
        change(Arc::make_mut(
            &mut setup.unwrap_or_else(PoisonError::into_inner),
        ));
    }

    fn sums(&self) -> MutexGuard<'_, Snapshot> {
        lock(&self.inner.sums)
    }
}

impl Setup {
    fn has_line(&self, entry: &Entry) -> bool {
        let allowed = self.allowed.as_ref();
        allowed.is_none_or(|allowed| allowed(entry))
    }
}

impl Default for Ledger {
    fn default() -> Self {
        Self::new(PriceBook::builtin())
    }
}

opaque_debug!(Ledger, impl std::fmt::Debug for Ledger);
