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
/// A fall to less than this part of what was believed needs a second proof: an outage looks alike, and
/// so does one call that is refused for what it is. Percent.
const SMALL_FALL: u64 = 75;
/// The second proof comes within so many windows,
const PROOF_WINDOWS: u64 = 2;
/// and finds the limit within this part of the first.
const ALIKE: u64 = 2;
/// One refusal leaves at least this part of what was believed.
// What an idle process has sent says little: others may have used up the quota.
const LEFT: u64 = 16;
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
    /// The last refusal that claims a large fall.
    claim: Option<Claim>,
}

/// A limit that is far below what is believed.
#[derive(Debug, Clone, Copy)]
struct Claim {
    measured: u64,
    at: Nanos,
    refusal: Refusal,
}

/// Which call was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// When it arrived, which all its attempts have in common.
    pub(crate) arrived: Nanos,
    /// The number of the refusals in a row to which it belongs.
    pub(crate) streak: u32,
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
            claim: None,
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

    /// As if the provider had just refused at `amount`.
    pub(crate) fn believe(&mut self, amount: u64, told: u64, now: Nanos) {
        let share = (u128::from(amount) * u128::from(WHOLE)).div_ceil(u128::from(told.max(1)));
        let share = u64::try_from(share).unwrap_or(MOST);
        self.share = share.clamp(LEAST, self.most);
        self.steps = 0;
        self.at = now;
    }

    /// A call was refused, and none before it since another was accepted. Returns whether the limit is
    /// known now.
    pub(crate) fn on_refusal(&mut self, held: Held, refusal: Refusal, now: Nanos) -> bool {
        self.hold(now);
        // Calls arrive a little sooner or later than they should; twice in a window is no accident.
        let is_recent = |at: Nanos| now.saturating_sub(at) <= self.window;
        if held.is_full() && !self.explained_at.replace(now).is_some_and(is_recent) {
            return true;
        }
        self.lower_to(held.measured(), refusal, now)
    }

    /// A call was accepted after several refusals in a row, the last of which found this much.
    pub(crate) fn on_drained(&mut self, held: Held, refusal: Refusal, now: Nanos) {
        self.hold(now);
        self.lower_to(held.measured(), refusal, now);
    }

    fn hold(&mut self, now: Nanos) {
        self.steps = 0;
        self.at = now;
    }

    fn lower_to(&mut self, measured: u64, refusal: Refusal, now: Nanos) -> bool {
        let before = self.share;
        if measured < before / 100 * SMALL_FALL && !self.is_proven(measured, refusal, now) {
            return false;
        }
        self.share = before.min(measured).max(before / LEFT).max(LEAST);
        true
    }

    /// Whether another call, in other refusals in a row, has just met about the same limit.
    fn is_proven(&mut self, measured: u64, refusal: Refusal, now: Nanos) -> bool {
        let claim = Claim {
            measured,
            at: now,
            refusal,
        };
        let first = match self.claim {
            // The first claim of these refusals stays: later ones are of what had drained.
            Some(first) if first.refusal.streak == refusal.streak => return false,
            first => first,
        };
        self.claim = Some(claim);
        first.is_some_and(|first| {
            let (least, most) = (first.measured.min(measured), first.measured.max(measured));
            now.saturating_sub(first.at) <= self.window.saturating_mul(PROOF_WINDOWS)
                && first.refusal.arrived != refusal.arrived
                && most / ALIKE <= least
        })
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
