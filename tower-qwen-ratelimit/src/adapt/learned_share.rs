#[cfg(feature = "redis")]
use super::belief::{Belief, Since};
use crate::units::{Fraction, Nanos};

/// All of the quota that was told. Finer than a [`Fraction`], so that growth in steps loses nothing.
const WHOLE: u64 = 1 << 32;
/// The least that is ever believed of a quota, and the most of one that is not a ceiling.
// A sixty-five-thousandth either way: a told quota can hardly be further off, and products with an
// amount fit 128 bits.
const LEAST: u64 = WHOLE >> 16;
const MOST: u64 = WHOLE << 16;
/// What is believed of what was measured, in thousandths.
// A window holds 990 of them: 985 of what was accepted when the provider refused. Calls do not reach
// it in the order and at the distances of their sends.
const OF_MEASURED: u64 = 995;
/// From this part of what may be held on, a refusal is what was to be expected. Percent.
const EXPLAINED: u64 = 97;
/// One refusal leaves at least this part of what was believed.
// What an idle process has sent says little: others may have used up the quota.
const LEFT: u64 = 16;
/// What was still accepted when a window had drained is measured only above this part of what was
/// believed: below, it was an outage.
const DRAINED: u64 = 4;
/// Growth goes in this many steps a window: about one a second, so that the rate does not jump.
const STEPS: u32 = 64;
/// By what each step grows, in 65,536ths, in the first window after the limit was met, the second
/// and so on; the last entry holds for all later ones.
// The shape of CUBIC: a limit that stays is met seldom and gently, one that went is left behind
// within four windows. 0, 4, 40 and 100 percent a window (docs/design.md, "Feedback").
const GROWTH: [u64; 4] = [0, 40, 345, 714];
/// From here on growth is at its fastest.
const FASTEST: u32 = (GROWTH.len() as u32 - 1) * STEPS;

/// What the provider is believed to grant of a quota, as a multiple of what was told.
///
/// What was accepted within the latest window when the provider refuses *is* its limit. It is held
/// for a window, and then looked for anew, faster and faster: up to what was told, or beyond it
/// where the quota was told as a beginning.
#[derive(Debug)]
pub(crate) struct LearnedShare {
    share: u64,
    most: u64,
    /// Steps since the limit was last met.
    steps: u32,
    /// Growth is counted up to here.
    at: Nanos,
    step: u64,
    window: u64,
    /// When a refusal was last one that was to be expected.
    explained_at: Option<Nanos>,
    #[cfg(feature = "redis")]
    met: Met,
}

/// When the limit was last met, by this process or by another one of its fleet.
#[cfg(feature = "redis")]
#[derive(Debug, Clone, Copy)]
enum Met {
    /// By this process, and the store has not said when that was by its clock.
    Here(Nanos),
    /// By the store's clock, in microseconds; 0: never.
    Store(u64),
}

/// What was accepted within the latest window when a call was refused, the call itself included, and
/// what might have been.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) before: u64,
    pub(crate) with_it: u64,
    pub(crate) allowed: u64,
    /// The quota that was told.
    pub(crate) told: u64,
}

impl Held {
    /// Whether our own count says that there was no room left.
    pub(crate) fn is_full(self) -> bool {
        u128::from(self.with_it) * 100 >= u128::from(self.allowed) * u128::from(EXPLAINED)
    }

    /// How full the window was, in 65,536ths.
    pub(crate) fn fill(self) -> u64 {
        let fill = (u128::from(self.with_it) << 16) / u128::from(self.allowed.max(1));
        u64::try_from(fill).unwrap_or(u64::MAX)
    }

    /// The limit that the provider shows, as a multiple of what was told.
    fn measured(self) -> u64 {
        let held = u128::from(self.before) * u128::from(WHOLE) / u128::from(self.told.max(1));
        u64::try_from(held * u128::from(OF_MEASURED) / 1_000).unwrap_or(MOST)
    }
}

impl LearnedShare {
    /// The whole of what was told, which is a ceiling unless `is_start`.
    pub(crate) fn new(is_start: bool, window: u64, now: Nanos) -> Self {
        Self {
            share: WHOLE,
            most: if is_start { MOST } else { WHOLE },
            steps: FASTEST,
            at: now,
            step: (window / u64::from(STEPS)).max(1),
            window,
            explained_at: None,
            #[cfg(feature = "redis")]
            met: Met::Store(0),
        }
    }

    /// Goes on to `now`. Beyond what was told it grows only where all of it is used. Returns whether
    /// it changed.
    #[inline]
    pub(crate) fn advance(&mut self, now: Nanos, is_used: bool) -> bool {
        if self.share >= self.most {
            self.at = self.at.max(now);
            return false;
        }
        let elapsed = now.saturating_sub(self.at) / self.step;
        elapsed > 0 && self.grow(elapsed, is_used)
    }

    fn grow(&mut self, elapsed: u64, is_used: bool) -> bool {
        let before = self.share;
        self.at = self.at.saturating_add(elapsed.saturating_mul(self.step));
        for _ in 0..elapsed {
            let most = if is_used { self.most } else { WHOLE };
            if self.share >= most {
                break;
            }
            let window = usize::try_from(self.steps / STEPS).unwrap_or(usize::MAX);
            let gain = (self.share >> 16) * GROWTH[window.min(GROWTH.len() - 1)];
            self.share = self.share.saturating_add(gain).min(most);
            self.steps = self.steps.saturating_add(1);
        }
        self.share != before
    }

    /// A call was refused, and none before it since another was accepted. Returns whether the share
    /// changed.
    pub(crate) fn on_refusal(&mut self, held: Held, now: Nanos) -> bool {
        self.meet(now);
        // Calls arrive a little sooner or later than they should; twice in a window is no accident.
        let is_recent = |at: Nanos| now.saturating_sub(at) <= self.window;
        if held.is_full() && !self.explained_at.replace(now).is_some_and(is_recent) {
            return false;
        }
        self.lower_to(held.measured().max(self.share / LEFT))
    }

    /// A call was accepted after several refusals in a row, the last of which found this much.
    pub(crate) fn on_drained(&mut self, held: Held, now: Nanos) -> bool {
        self.meet(now);
        let measured = held.measured();
        measured >= self.share / DRAINED && self.lower_to(measured)
    }

    /// Growth begins anew.
    fn meet(&mut self, now: Nanos) {
        self.steps = 0;
        self.at = now;
        #[cfg(feature = "redis")]
        {
            self.met = Met::Here(now);
        }
    }

    /// What this process tells its fleet.
    #[cfg(feature = "redis")]
    pub(crate) fn belief(&self, now: Nanos) -> Belief {
        Belief {
            since: match self.met {
                Met::Here(at) => Since::Ago(now.saturating_sub(at)),
                Met::Store(micros) => Since::Store(micros),
            },
            steps: self.steps,
            share: self.share,
        }
    }

    /// Takes over what the fleet believes, as the answer to what was sent at `sent_at`, and grows on
    /// from there. Returns whether the share changed.
    // From the steps of the others and not from an instant: clocks are not compared, and who is a step
    // behind is put right by the next heartbeat.
    #[cfg(feature = "redis")]
    pub(crate) fn take_over(&mut self, belief: Belief, sent_at: Nanos, now: Nanos) -> bool {
        let Since::Store(micros) = belief.since else {
            return false;
        };
        let is_known = match self.met {
            // The store has still to learn of it.
            Met::Here(at) => at > sent_at,
            Met::Store(own) => (micros, belief.steps) <= (own, self.steps),
        };
        if is_known {
            return false;
        }
        let before = self.share;
        self.met = Met::Store(micros);
        self.share = belief.share.clamp(LEAST, self.most);
        self.steps = belief.steps;
        self.at = now;
        self.share != before
    }

    fn lower_to(&mut self, measured: u64) -> bool {
        let before = self.share;
        self.share = self.share.min(measured).max(LEAST);
        self.share != before
    }

    /// This multiple of `amount`, at least 1 of anything.
    #[inline]
    pub(crate) fn of(&self, amount: u64) -> u64 {
        // By far the most frequent case.
        if self.share == WHOLE {
            return amount;
        }
        let part = u128::from(amount) * u128::from(self.share) / u128::from(WHOLE);
        u64::try_from(part).unwrap_or(u64::MAX).max(amount.min(1))
    }

    /// The same, at most the whole.
    pub(crate) fn fraction(&self) -> Fraction {
        u32::try_from(self.share >> 16).map_or(Fraction::WHOLE, Fraction::from_parts)
    }
}
