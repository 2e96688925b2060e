use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use tokio::sync::Notify;

use crate::{
    Basis, Cause, End, Money, Usage,
    ledger::{Labels, Tenant},
    macros::opaque_debug,
    shared::{
        clock::{self, Instant},
        lock,
    },
};

/// What the layers of all three crates write down of one call while it goes on. A
/// [`CallReport`](super::CallReport) reads it.
// A leaf of the lock order: nothing is locked inside of it, and no foreign code runs.
#[derive(Default)]
pub struct CallFacts {
    facts: Mutex<Facts>,
    pub(super) ended: Notify,
}

#[derive(Default)]
pub(super) struct Facts {
    queued: Wait,
    backoff: Wait,
    layers: Layers,
    pub(super) target: Option<Arc<str>>,
    /// Of the latest attempt that has ended.
    pub(super) outcome: Option<AttemptOutcome>,
    /// Of all attempts, in the currency of the first that cost something.
    pub(super) cost: Option<Money>,
    /// The same in further currencies, which a fallback's prices may have.
    pub(super) other_costs: Vec<Money>,
    pub(super) tenant: Option<Tenant>,
    pub(super) labels: Labels,
    /// How many layers are at work on the call.
    running: u32,
    pub(super) has_ended: bool,
}

/// What one attempt has come to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AttemptOutcome {
    pub(crate) usage: Usage,
    pub(crate) basis: Basis,
    pub(crate) end: End,
    /// What the answer says of its failure, in its head or inside a stream.
    pub(crate) cause: Option<Cause>,
}

/// The waits of one kind.
#[derive(Debug, Default, Clone, Copy)]
struct Wait {
    /// Of those that are over.
    sum: Duration,
    /// How much of it the ledger's lines hold.
    recorded: Duration,
    /// When the present one began.
    since: Option<Instant>,
}

/// Why a call waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WaitKind {
    /// For quota: at Admission, or in the queue of a server.
    Queue,
    /// At Retry, before the next attempt.
    Backoff,
}

/// A layer that hands calls on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendingLayer {
    /// Nearest to the transport of the two that may keep a call to themselves.
    Admission,
    /// Hands each attempt on, to an Admission if there is one.
    Retry,
    /// Hands everything on. It counts where it is alone.
    Meter,
}

/// What each layer did with the call, by [`SendingLayer`].
type Layers = [LayerCounts; 3];

#[derive(Debug, Default, Clone, Copy)]
struct LayerCounts {
    /// How often the call came to the layer.
    entered: u32,
    /// How often the layer handed it on.
    sent: u32,
    /// How many of these the provider has provably never worked on.
    never_begun: u32,
    /// How many of these were answered with an error.
    failed: u32,
}

/// What was known of a call at one moment; see [`CallFacts::is_sent_since`].
#[derive(Debug, Clone, Copy)]
pub struct SendMark {
    layers: Layers,
    queued: Duration,
    backoff: Duration,
}

/// The call waits until this is dropped, at the latest.
#[must_use = "the wait ends when it is dropped"]
pub struct WaitingCall(Arc<CallFacts>, WaitKind);

/// What the ledger's line of an attempt says of its sends. Waits are those since the line before: so the waits of a call's
/// lines add up to the report's.
#[derive(Debug)]
pub(crate) struct AttemptSends {
    pub(crate) number: u32,
    pub(crate) target: Option<Arc<str>>,
    /// `None` without an Admission.
    pub(crate) queued: Option<Duration>,
    /// `None` without a Retry.
    pub(crate) retry_wait: Option<Duration>,
}

impl CallFacts {
    /// A layer begins to work on the call.
    pub(super) fn run(&self) {
        let mut facts = self.lock();
        facts.running = facts.running.saturating_add(1);
        facts.has_ended = false;
    }

    /// A layer is done with the call, which goes on.
    pub(super) fn pass_on(&self) {
        let mut facts = self.lock();
        facts.running = facts.running.saturating_sub(1);
    }

    /// A layer is done with the call, which ends with the last one.
    pub(super) fn stop(&self) {
        let mut facts = self.lock();
        facts.running = facts.running.saturating_sub(1);
        let has_ended = facts.running == 0;
        facts.has_ended = has_ended;
        drop(facts);
        if has_ended {
            self.ended.notify_waiters();
        }
    }

    /// The call came to a layer that may keep it to itself.
    pub fn enter(&self, layer: SendingLayer) {
        bump(&mut self.lock().layers[layer as usize].entered);
    }

    /// The layer hands the call on.
    pub fn sent(&self, layer: SendingLayer) {
        bump(&mut self.lock().layers[layer as usize].sent);
    }

    /// What the layer handed on the provider has provably never worked on.
    pub fn never_begun(&self, layer: SendingLayer) {
        bump(&mut self.lock().layers[layer as usize].never_begun);
    }

    /// What the layer handed on was answered with an error.
    pub fn failed(&self, layer: SendingLayer) {
        bump(&mut self.lock().layers[layer as usize].failed);
    }

    /// What the layer handed on was rejected further in, before it was sent.
    pub fn not_sent(&self, layer: SendingLayer) {
        let sent = &mut self.lock().layers[layer as usize].sent;
        *sent = sent.saturating_sub(1);
    }

    /// The call goes to another target; `None` for the caller's own.
    pub fn redirect(&self, target: Option<Arc<str>>) {
        self.lock().target = target;
    }

    /// Begins a wait.
    pub fn wait(self: &Arc<Self>, kind: WaitKind) -> WaitingCall {
        let now = clock::now();
        self.lock().wait_mut(kind).since = Some(now);
        WaitingCall(Arc::clone(self), kind)
    }

    /// What is known now.
    #[must_use]
    pub fn send_mark(&self) -> SendMark {
        let facts = self.lock();
        SendMark {
            layers: facts.layers,
            queued: facts.queued.sum,
            backoff: facts.backoff.sum,
        }
    }

    /// Whether the provider may have worked on the call since then. Not if a layer further in has kept it to itself, or every
    /// attempt has provably never begun.
    ///
    /// For a layer that holds something for the call: if it is dropped, or the call fails, it gives back what was not used.
    /// Without a layer further in that can tell, the call counts as sent.
    #[must_use]
    pub fn is_sent_since(&self, mark: SendMark) -> bool {
        let layers = self.lock().layers;
        // No layer further in: whoever is there may have sent it on.
        mark.inner(&layers)
            .is_none_or(|(now, before)| now.begun() > before.begun())
    }

    /// Whether the call may have cost something since then: it was sent, and not every attempt was answered with an error. For
    /// a call whose caller has left.
    #[must_use]
    pub fn may_cost_since(&self, mark: SendMark) -> bool {
        self.is_unanswered_since(mark).unwrap_or(true)
    }

    /// The same; `None` where no layer further in can tell.
    pub(crate) fn is_unanswered_since(&self, mark: SendMark) -> Option<bool> {
        let layers = self.lock().layers;
        let (now, before) = mark.inner(&layers)?;
        Some(now.may_cost() > before.may_cost())
    }

    /// For the ledger's line of the attempt that ends, which began after the mark.
    pub(crate) fn take_sends(&self, mark: &SendMark) -> AttemptSends {
        let mut facts = self.lock();
        let has = |layer: SendingLayer| facts.layers[layer as usize].entered > 0;
        let (is_queued, is_retried) = (has(SendingLayer::Admission), has(SendingLayer::Retry));
        let is_outer = mark.inner(&facts.layers).is_some();
        // Of a Meter outside of them an attempt is the whole call, with all that it waits meanwhile. A Meter inside sees no
        // wait at all: they come before its attempts.
        let waited = |wait: &mut Wait, before: Duration| match is_outer {
            true => wait.sum.saturating_sub(before),
            false => wait.take_unrecorded(),
        };
        AttemptSends {
            number: facts.sends(),
            target: facts.target.clone(),
            queued: is_queued.then(|| waited(&mut facts.queued, mark.queued)),
            retry_wait: is_retried.then(|| waited(&mut facts.backoff, mark.backoff)),
        }
    }

    /// An attempt has ended that began after the mark.
    pub(crate) fn attempt_ended(
        &self,
        mark: &SendMark,
        outcome: AttemptOutcome,
        cost: Option<Money>,
        tenant: Option<Tenant>,
        labels: Labels,
    ) {
        let mut facts = self.lock();
        let meter = SendingLayer::Meter as usize;
        // Of two Meters the inner one has written the same, attempt by attempt.
        if facts.layers[meter].entered > mark.layers[meter].entered {
            return;
        }
        facts.outcome = Some(outcome);
        (facts.tenant, facts.labels) = (tenant, labels);
        let Some(cost) = cost else { return };
        match facts.cost {
            None => facts.cost = Some(cost),
            Some(sum) => match sum.plus(cost) {
                Some(sum) => facts.cost = Some(sum),
                None => cost.add_to(&mut facts.other_costs),
            },
        }
    }

    /// Why the latest attempt that has ended failed, where its answer says it.
    #[must_use]
    pub fn cause(&self) -> Option<Cause> {
        self.lock().outcome.and_then(|outcome| outcome.cause)
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Facts> {
        lock(&self.facts)
    }
}

impl Facts {
    pub(super) fn queued(&self) -> Duration {
        self.queued.until_now()
    }

    pub(super) fn backoff(&self) -> Duration {
        self.backoff.until_now()
    }

    /// How often the call was handed to the transport.
    pub(super) fn sends(&self) -> u32 {
        self.innermost().sent
    }

    pub(super) fn is_sent(&self) -> bool {
        self.innermost().begun() > 0
    }

    /// The counts of the layer that is the nearest to the transport, of those that know.
    fn innermost(&self) -> LayerCounts {
        let mut layers = self.layers.into_iter();
        layers.find(|counts| counts.entered > 0).unwrap_or_default()
    }

    fn wait_mut(&mut self, kind: WaitKind) -> &mut Wait {
        match kind {
            WaitKind::Queue => &mut self.queued,
            WaitKind::Backoff => &mut self.backoff,
        }
    }
}

impl SendMark {
    /// The counts of a layer that the call came to since, now and then: of the one that is the nearest to the transport.
    fn inner(&self, layers: &Layers) -> Option<(LayerCounts, LayerCounts)> {
        let of = |layer: SendingLayer| (layers[layer as usize], self.layers[layer as usize]);
        [SendingLayer::Admission, SendingLayer::Retry]
            .into_iter()
            .map(of)
            .find(|(now, before)| now.entered > before.entered)
    }
}

impl LayerCounts {
    fn begun(self) -> u32 {
        self.sent.saturating_sub(self.never_begun)
    }

    fn may_cost(self) -> u32 {
        self.begun().saturating_sub(self.failed)
    }
}

impl Wait {
    fn until_now(&self) -> Duration {
        match self.since {
            Some(since) => self.sum.saturating_add(age(since)),
            None => self.sum,
        }
    }

    fn end(&mut self) {
        if let Some(since) = self.since.take() {
            self.sum = self.sum.saturating_add(age(since));
        }
    }

    fn take_unrecorded(&mut self) -> Duration {
        let recorded = mem::replace(&mut self.recorded, self.sum);
        self.sum.saturating_sub(recorded)
    }
}

impl Drop for WaitingCall {
    fn drop(&mut self) {
        self.0.lock().wait_mut(self.1).end();
    }
}

fn age(since: Instant) -> Duration {
    clock::now().saturating_duration_since(since)
}

fn bump(count: &mut u32) {
    *count = count.saturating_add(1);
}

opaque_debug!(CallFacts, impl std::fmt::Debug for CallFacts);
opaque_debug!(WaitingCall, impl std::fmt::Debug for WaitingCall);
