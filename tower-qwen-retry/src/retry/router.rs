use std::{
    hash::{BuildHasher, Hash, Hasher},
    time::Duration,
};

use http::header::{AUTHORIZATION, HOST};
use tower_qwen_tokens::{AccountId, call::AccountOf, internal::clock::Instant};

use super::{replay::Replay, settings::Settings};
use crate::{
    Fallback,
    cool_down::{Access, Closed},
    fallback::{CallerParts, X_API_KEY},
    leave::Leave,
    pool::MOST_MEMBERS,
    state::model_of,
};

/// Finds the target of one call. Targets are numbered: 0 is the caller's own, 1 the first fallback.
pub(super) struct Router<'a> {
    settings: &'a Settings,
    original: &'a Replay,
    now: Instant,
}

/// Where a call goes.
pub(super) struct Chosen {
    pub(super) number: usize,
    /// `None` at the caller's own target.
    pub(super) redirected: Option<Box<Replay>>,
    /// Set where the call is the probe: why the target rests.
    pub(super) probe: Option<Leave>,
    /// Why the target before was left; `None` for the first one.
    pub(super) after: Option<Leave>,
}

/// The members of a pool that a call no longer goes to: one bit each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct MemberSet(u64);

// A pool has no more members than a set has bits.
const _: () = assert!(MOST_MEMBERS <= u64::BITS as usize);

impl MemberSet {
    pub(super) fn with(self, member: usize) -> Self {
        Self(self.0 | (1 << member))
    }

    fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn len(self) -> usize {
        self.0.count_ones() as usize
    }

    /// The member before which there are so many others.
    fn nth(self, others: usize) -> usize {
        // Taking one off clears the lowest bit.
        let rest = (0..others).fold(self.0, |bits, _| bits & bits.saturating_sub(1));
        rest.trailing_zeros() as usize
    }

    fn has(self, member: usize) -> bool {
        self.0 & (1 << member) != 0
    }
}

/// Which targets in cool-down a call has come by, where it found none that is open.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Resting {
    /// The first that opens of those that have failed.
    pub(super) failed: Option<Closed>,
    /// The first, by its number, of those that reject calls, and that this call has not tried.
    rejecting: Option<(usize, Closed)>,
}

impl Resting {
    fn add(&mut self, number: usize, closed: Closed) {
        if !closed.is_rejecting {
            self.failed = sooner(self.failed, closed);
        } else if self
            .rejecting
            .is_none_or(|(_, first)| closed.until < first.until)
        {
            self.rejecting = Some((number, closed));
        }
    }

    pub(super) fn and(mut self, other: Self) -> Self {
        if let Some(closed) = other.failed {
            self.failed = sooner(self.failed, closed);
        }
        if let Some((number, closed)) = other.rejecting {
            self.add(number, closed);
        }
        self
    }

    /// The one that is tried again first.
    pub(super) fn first(&self) -> Option<Closed> {
        match self.rejecting {
            Some((_, closed)) => sooner(self.failed, closed),
            None => self.failed,
        }
    }
}

/// The one that comes first of two targets in cool-down.
fn sooner(one: Option<Closed>, other: Closed) -> Option<Closed> {
    match one {
        Some(one) if one.until <= other.until => Some(one),
        _ => Some(other),
    }
}

impl<'a> Router<'a> {
    pub(super) fn new(settings: &'a Settings, original: &'a Replay, now: Instant) -> Self {
        Self {
            settings,
            original,
            now,
        }
    }

    /// The first target of a call; else those that rest.
    ///
    /// That is the best member of the pool, or the caller's own target; then the fallbacks in their
    /// order, as if each target in cool-down had just failed for the reason for which it rests.
    pub(super) fn first(&self) -> Result<Chosen, Resting> {
        let own = |probe| Chosen {
            number: 0,
            redirected: None,
            probe,
            after: None,
        };
        let policy = &self.settings.policy;
        let found = match policy.members {
            Some(_) => self.best_member(MemberSet::default(), None),
            None => self.access(0).map(own).map_err(|closed| {
                let mut resting = Resting::default();
                resting.add(0, closed);
                resting
            }),
        };
        let resting = match found {
            Ok(chosen) => return Ok(chosen),
            Err(resting) => resting,
        };
        // Cannot be: the caller's own target is always a member.
        let Some(closed) = resting.first() else {
            return Ok(own(None));
        };
        match self.in_order(policy.first_fallback(), closed.leave) {
            Ok(chosen) => Ok(chosen),
            // No other target would take the call, so this one is as good as it gets.
            Err(others) if others.first().is_none() && policy.members.is_none() => Ok(own(None)),
            Err(others) => Err(resting.and(others)),
        }
    }

    /// Where a call goes that no target is open to: to one that has rejected calls. Those may have been at fault
    /// themselves, and rejections are no sign of overload.
    pub(super) fn in_spite_of_rejections(&self, resting: &Resting) -> Option<Chosen> {
        let (number, closed) = resting.rejecting?;
        let is_fallback = number > self.settings.policy.first_fallback();
        Some(Chosen {
            number,
            redirected: self.redirected(number)?,
            probe: Some(closed.leave),
            after: is_fallback.then_some(closed.leave),
        })
    }

    /// The member at which the call would wait for the shortest time, and for less than `below`. Else
    /// those that rest.
    pub(super) fn best_member(
        &self,
        left: MemberSet,
        below: Option<Duration>,
    ) -> Result<Chosen, Resting> {
        let members = self
            .settings
            .policy
            .members
            .as_ref()
            .map_or(1, |it| it.count);
        let mut left = left;
        loop {
            let mut resting = Resting::default();
            let mut least = below;
            let mut best = MemberSet::default();
            for number in 0..members {
                if left.has(number) {
                    // Not sent to, but it may be the first that opens.
                    if let Some(closed) = self.closed(number).filter(|it| !it.is_rejecting) {
                        resting.add(number, closed);
                    }
                    continue;
                }
                match self.access(number) {
                    Err(closed) => resting.add(number, closed),
                    // First: without a probe it would never come back.
                    Ok(probe @ Some(_)) => {
                        if let Some(redirected) = self.redirected(number) {
                            return Ok(Chosen {
                                number,
                                redirected,
                                probe,
                                after: None,
                            });
                        }
                    }
                    Ok(None) => {
                        let wait = self.predicted(number);
                        if least.is_none_or(|least| wait < least) {
                            (least, best) = (Some(wait), MemberSet::default().with(number));
                        } else if least == Some(wait) && !best.is_empty() {
                            best = best.with(number);
                        }
                    }
                }
            }
            if best.is_empty() {
                return Err(resting);
            }
            let number = best.nth(self.settings.pool.next_of(best.len()));
            if let Some(redirected) = self.redirected(number) {
                return Ok(Chosen {
                    number,
                    redirected,
                    probe: None,
                    after: None,
                });
            }
            // A call that cannot be rewritten (signed, encoded, not read) may still suit another one.
            left = left.with(number);
        }
    }

    /// The next fallback, from this one on, that takes a call that leaves its target so. Else those
    /// that rest.
    pub(super) fn in_order(&self, from: usize, leave: Leave) -> Result<Chosen, Resting> {
        let mut leave = leave;
        let mut resting = Resting::default();
        let fallbacks = self.settings.policy.fallbacks.iter().enumerate();
        for (index, fallback) in fallbacks.skip(from) {
            if !fallback.takes(leave) {
                continue;
            }
            let number = index + 1;
            match self.access(number) {
                Err(closed) => {
                    leave = closed.leave;
                    resting.add(number, closed);
                }
                Ok(probe) => {
                    if let Some(redirected) = self.redirected(number) {
                        return Ok(Chosen {
                            number,
                            redirected,
                            probe,
                            after: Some(leave),
                        });
                    }
                }
            }
        }
        Err(resting)
    }

    /// How long the call would wait at a member; the longest time if it would be rejected.
    pub(super) fn predicted(&self, number: usize) -> Duration {
        let members = self.settings.policy.members.as_ref();
        let Some(predictor) = members.and_then(|members| members.predictor.as_ref()) else {
            return Duration::ZERO;
        };
        let parts = &self.original.parts;
        let fallback = self.fallback(number);
        let own = || {
            let authority = parts.uri.authority().map(|authority| authority.as_str());
            let host = || parts.headers.get(HOST)?.to_str().ok();
            let scheme = parts.uri.scheme_str().unwrap_or_default();
            (scheme, authority.or_else(host).unwrap_or_default())
        };
        let (scheme, authority) = fallback.and_then(Fallback::origin).unwrap_or_else(own);
        let model = fallback.and_then(|fallback| fallback.model.as_deref());
        let model = model.unwrap_or_else(|| model_of(self.original.call()));
        let account = fallback.and_then(Fallback::account_id);
        let account = account.or_else(|| parts.extensions.get());
        let account = AccountOf::new(
            scheme,
            authority,
            model,
            account.map_or("", AccountId::as_str),
        );
        let call = self.original.call().map(AsRef::as_ref);
        let wait = predictor.predicted_wait(&account, call);
        wait.unwrap_or(Duration::MAX)
    }

    /// What stands for a target in the list of cool-downs.
    ///
    /// All that makes its answers: what is its own (by its number), and what the call brings along.
    /// A gateway's callers bring keys of their own, and one bad key says nothing of another.
    pub(super) fn id(&self, number: usize) -> u64 {
        let parts = &self.original.parts;
        let fallback = self.fallback(number);
        let own = fallback.map_or(CallerParts::ALL, Fallback::caller_parts);
        let mut hasher = self.settings.cool_downs.hasher.build_hasher();
        (number, parts.uri.path()).hash(&mut hasher);
        if own.origin {
            let host = parts.headers.get(HOST);
            (parts.uri.scheme(), parts.uri.authority(), host).hash(&mut hasher);
        }
        if own.key {
            let keys = [AUTHORIZATION, X_API_KEY].map(|name| parts.headers.get(name));
            keys.hash(&mut hasher);
        }
        if own.account {
            parts.extensions.get::<AccountId>().hash(&mut hasher);
        }
        if fallback.is_none_or(|fallback| fallback.model.is_none()) {
            model_of(self.original.call()).hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Whether the call may go there, and whether as the probe.
    fn access(&self, number: usize) -> Result<Option<Leave>, Closed> {
        let cool_downs = &self.settings.cool_downs;
        if cool_downs.is_empty() {
            return Ok(None);
        }
        let id = self.id(number);
        loop {
            match cool_downs.access(id, self.now) {
                Access::Open => return Ok(None),
                Access::Closed(closed) => return Err(closed),
                // Another call may have become the probe in between; then it is closed.
                Access::Probe(leave) if cool_downs.take_probe(id, self.now) => {
                    return Ok(Some(leave));
                }
                Access::Probe(_) => {}
            }
        }
    }

    /// Whether the target rests; takes no probe.
    fn closed(&self, number: usize) -> Option<Closed> {
        match self.settings.cool_downs.access(self.id(number), self.now) {
            Access::Closed(closed) => Some(closed),
            Access::Open | Access::Probe(_) => None,
        }
    }

    /// The call as it goes to a target; `None` if it cannot be rewritten for it.
    fn redirected(&self, number: usize) -> Option<Option<Box<Replay>>> {
        match self.fallback(number) {
            None => Some(None),
            Some(fallback) => self.original.to(fallback).map(|it| Some(Box::new(it))),
        }
    }

    fn fallback(&self, number: usize) -> Option<&'a Fallback> {
        self.settings.policy.target(number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_of_a_set_are_numbered() {
        let set = MemberSet::default().with(0).with(3).with(63);
        assert_eq!((set.len(), set.is_empty()), (3, false));
        assert_eq!([0, 1, 2].map(|others| set.nth(others)), [0, 3, 63]);
        assert!(set.has(3) && !set.has(4) && MemberSet::default().is_empty());
    }
}
