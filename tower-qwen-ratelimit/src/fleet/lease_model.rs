//! What `lease.lua` does, in memory.

use std::collections::HashMap;

use crate::leased_amounts::{LeaseReply, LeaseReport, LeasedAmount, LeasedLimit};

/// A hash of which nobody holds anything is kept for so long, in microseconds.
const EMPTY_FOR: u64 = 60_000_000;
/// Limits are checked until so many members were read.
const MOST_CHECKED: usize = 1_000;
/// The oldest lives are taken as one, where there are more.
const MOST_LIVES: usize = 4;

#[derive(Debug, Default)]
pub(crate) struct LeaseModel {
    began: Option<u64>,
    limits: HashMap<String, ModelLimit>,
}

#[derive(Debug, Clone, Default)]
struct ModelLimit {
    life: u64,
    /// In their order.
    earlier_lives: Vec<EarlierLife>,
    sum: i64,
    /// When it is next checked which members are to be forgotten.
    check_at: u64,
    /// When the hash is forgotten; `None`: never.
    expires_at: Option<u64>,
    members: HashMap<String, ModelMember>,
}

/// What was granted before it and in it, as a member has read them there.
#[derive(Debug, Clone, Copy)]
struct EarlierLife {
    began: u64,
    before: i64,
    granted: i64,
}

/// What a member was granted, the number of its latest report, and when that came.
#[derive(Debug, Clone, Copy)]
struct ModelMember {
    granted: i64,
    number: u64,
    reported_at: u64,
}

/// A limit while a report is worked on.
struct Open<'a> {
    limit: &'a mut ModelLimit,
    most: i64,
    mine: i64,
    used: i64,
    takes: bool,
    largest: i64,
}

impl ModelLimit {
    fn new(term: u64, now: u64) -> Self {
        Self {
            life: now,
            check_at: now + term,
            ..Self::default()
        }
    }

    /// Forgets who has not reported for the term, but for the member itself, and sums up the others.
    fn check(&mut self, member: &str, term: u64, now: u64) {
        let is_kept = |name: &String, entry: &mut ModelMember| {
            entry.reported_at = entry.reported_at.min(now);
            name == member || entry.reported_at + term > now
        };
        self.members.retain(is_kept);
        let others = self.members.iter().filter(|(name, _)| *name != member);
        self.earlier_lives.clear();
        (self.sum, self.check_at) = (0, now);
        for (_, entry) in others {
            self.sum += entry.granted;
            self.check_at = self.check_at.min(entry.reported_at);
        }
        self.check_at += term;
    }

    fn add_life(&mut self, report: &LeasedLimit) {
        let life = EarlierLife {
            began: report.life,
            before: signed(report.earlier),
            granted: signed(report.all) - signed(report.earlier),
        };
        let lives = &mut self.earlier_lives;
        match lives.binary_search_by_key(&life.began, |life| life.began) {
            Ok(at) if lives[at].sum() < life.sum() => lives[at] = life,
            Ok(_) => {}
            Err(at) => lives.insert(at, life),
        }
        if lives.len() > MOST_LIVES {
            let oldest = lives.remove(0);
            lives[0].before = lives[0].before.max(oldest.sum());
        }
    }

    fn earlier(&self) -> i64 {
        let lives = self.earlier_lives.iter();
        lives.fold(0, |sum, life| sum.max(life.before) + life.granted)
    }

    /// What the member goes on with stands.
    fn begin_report(
        &mut self,
        (member, report): (&str, &LeasedLimit),
        checked: &mut usize,
        now: u64,
    ) {
        let term = term(report);
        self.check_at = self.check_at.min(now + term);
        let entry = self.members.get(member).map(|entry| entry.granted);
        let mut before = entry.unwrap_or(0);
        if report.life != self.life && (term == 0 || now < self.life + term) {
            if report.all > 0 {
                self.add_life(report);
            }
            before = entry.unwrap_or(signed(report.known));
            before = before.min(signed(report.granted));
        }
        if term > 0 && now >= self.check_at && *checked < MOST_CHECKED {
            // Four fields of the hash are no members.
            *checked += self.members.len() + 4;
            self.check(member, term, now);
            before = 0;
        }
        self.sum += signed(report.granted) - before;
    }
}

impl EarlierLife {
    fn sum(self) -> i64 {
        self.before + self.granted
    }
}

impl Open<'_> {
    fn left(&self) -> i64 {
        (self.most - self.limit.earlier() - self.limit.sum).max(0)
    }

    fn lacks(&self, need: i64) -> i64 {
        (self.used + need - self.mine).max(0)
    }

    fn grant(&mut self, more: i64) {
        self.mine += more;
        self.limit.sum += more;
    }
}

impl LeaseModel {
    /// `None` where a later report has overtaken it.
    pub(crate) fn report(
        &mut self,
        member: &str,
        report: &LeaseReport,
        now: u64,
    ) -> Option<LeaseReply> {
        let overtakes = |limit: &LeasedLimit| {
            let known = self.limits.get(&limit.name)?;
            let entry = known.members.get(member)?;
            (entry.number >= report.number).then_some(())
        };
        if report.limits.iter().any(|limit| overtakes(limit).is_some()) {
            return None;
        }
        let mut checked = 0;
        // Taken out, since each is changed while calls take from several.
        let mut limits: Vec<ModelLimit> = Vec::new();
        for limit in &report.limits {
            let known = self.limits.remove(&limit.name);
            let mut known = known.unwrap_or_else(|| ModelLimit::new(term(limit), now));
            known.begin_report((member, limit), &mut checked, now);
            limits.push(known);
        }
        let opened = report.limits.iter().zip(&mut limits);
        let mut open: Vec<Open<'_>> = opened
            .map(|(report, limit)| Open {
                limit,
                most: signed(report.limit),
                mine: signed(report.granted),
                used: signed(report.used),
                takes: report.runs_low,
                largest: 0,
            })
            .collect();
        let fits = report.calls.iter().map(|call| fits(&mut open, call));
        let fits = fits.collect();
        let began = *self.began.get_or_insert(now);
        let amounts = report.limits.iter().zip(&mut open).map(|(limit, open)| {
            let beforehand = open.left() / signed(report.parts);
            if open.takes && beforehand >= open.largest {
                open.grant(beforehand);
            }
            end_report(open, (member, report.number), limit, now)
        });
        let amounts = amounts.collect();
        drop(open);
        let names = report.limits.iter().map(|limit| limit.name.clone());
        self.limits.extend(names.zip(limits));
        Some(LeaseReply {
            began,
            limits: amounts,
            fits,
        })
    }

    /// Forgets the hashes whose time is over. Apart, since a server does it by its own clock.
    pub(crate) fn expire(&mut self, now: u64) {
        let lives = |limit: &ModelLimit| limit.expires_at.is_none_or(|at| at > now);
        self.limits.retain(|_, limit| lives(limit));
    }

    /// What all members were granted of a limit.
    pub(crate) fn all(&self, is_it: impl Fn(&str) -> bool) -> i64 {
        let limits = self.limits.iter().filter(|(name, _)| is_it(name));
        limits.map(|(_, limit)| limit.earlier() + limit.sum).sum()
    }
}

/// Takes what a call needs, or nothing.
fn fits(open: &mut [Open<'_>], call: &[(usize, u64)]) -> bool {
    let fits = call
        .iter()
        .all(|(at, need)| open[*at].lacks(signed(*need)) <= open[*at].left());
    for (at, need) in call.iter().filter(|_| fits) {
        let limit = &mut open[*at];
        let more = limit.lacks(signed(*need));
        limit.used += signed(*need);
        limit.grant(more);
        limit.takes |= more > 0;
        limit.largest = limit.largest.max(signed(*need));
    }
    fits
}

fn end_report(
    open: &mut Open<'_>,
    (member, number): (&str, u64),
    report: &LeasedLimit,
    now: u64,
) -> LeasedAmount {
    let entry = ModelMember {
        granted: open.mine,
        number,
        reported_at: now,
    };
    let members = &mut open.limit.members;
    members.insert(member.to_owned(), entry);
    if open.mine == 0 && report.known == 0 && open.limit.earlier_lives.is_empty() {
        members.remove(member);
    }
    let earlier = open.limit.earlier();
    let all = earlier + open.limit.sum;
    let kept = report.stored_for.map(|kept| micros(kept.as_micros()));
    let kept = if all == 0 { Some(EMPTY_FOR) } else { kept };
    open.limit.expires_at = kept.map(|kept| now + kept);
    LeasedAmount {
        granted: open.mine.unsigned_abs(),
        all: all.max(0).unsigned_abs(),
        earlier: earlier.unsigned_abs(),
        life: open.limit.life,
    }
}

fn term(report: &LeasedLimit) -> u64 {
    let term = report.forgotten_after.unwrap_or_default();
    micros(term.as_millis() * 1_000)
}

fn micros(count: u128) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX >> 12)
}

fn signed(amount: u64) -> i64 {
    i64::try_from(amount).unwrap_or(i64::MAX)
}
