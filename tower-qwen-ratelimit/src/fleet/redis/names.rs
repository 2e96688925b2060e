use tower_qwen_tokens::ledger::Day;

use super::slots::{HashSlot, slot_of};
use crate::{gate::Capacity, key::Key, quota::Quota};

/// The number of the format in which accounts are stored: what the scripts (`lua/`) write and read, and
/// what members say of themselves. A change that a process of the version before would misread takes the
/// next one.
// Format 1 had no number.
pub(super) const FORMAT: u32 = 2;

/// The names of the keys of one account.
///
/// They carry the number of the format, so that processes of different versions keep apart.
///
/// All keys of an account carry the same hash tag, so that a cluster keeps them in one slot.
#[derive(Debug, Clone)]
pub(super) struct Names {
    /// The gates.
    pub(super) account: String,
    /// The processes that live, and what each holds.
    pub(super) members: String,
    /// The formats in use, of processes of all versions.
    pub(super) formats: String,
    /// The gates in the format that had no number.
    pub(super) unnumbered: String,
    /// The slot of all of them in a cluster.
    pub(super) slot: HashSlot,
    stem: String,
}

impl Names {
    pub(super) fn new(namespace: &str, key: &Key) -> Self {
        let tag = tag_of(key);
        let all = format!("{namespace}:{{{tag}}}");
        let stem = format!("{all}:{FORMAT}");
        Self {
            slot: slot_of(&tag),
            formats: format!("{all}:formats"),
            unnumbered: format!("{all}:gates"),
            account: format!("{stem}:gates"),
            members: format!("{stem}:members"),
            stem,
        }
    }

    /// The key of a call that was booked.
    pub(super) fn call(&self, process: &str, id: u64) -> String {
        format!("{}:call:{process}-{id:x}", self.stem)
    }
}

/// The names of the keys of the whole fleet; all in one slot too.
#[derive(Debug, Clone)]
pub(super) struct DayNames {
    pub(super) slot: HashSlot,
    stem: String,
}

impl DayNames {
    pub(super) fn new(namespace: &str) -> Self {
        Self {
            slot: slot_of("usage"),
            stem: format!("{namespace}:{{usage}}"),
        }
    }

    pub(super) fn of(&self, day: Day) -> String {
        format!("{}:{day}", self.stem)
    }

    /// The processes that live, of all accounts.
    pub(super) fn processes(&self) -> String {
        format!("{}:processes", self.stem)
    }

    /// The mark by which a batch of usage counts once, however often it is sent.
    pub(super) fn mark(&self, process: &str, id: u64) -> String {
        format!("{}:told:{process}-{id:x}", self.stem)
    }
}

/// The hash tag of an account.
///
/// The model of a call is chosen by its caller, and may end like the name of an account. So the name of
/// the provider's account comes first, before a scheme, which never begins with a parenthesis.
fn tag_of(key: &Key) -> String {
    match key.account() {
        "" => without_braces(&key.to_string()),
        account => {
            let account = account.replace(')', "%29");
            let rest = key.clone().with_account("");
            without_braces(&format!("({account}) {rest}"))
        }
    }
}

/// A brace within a hash tag would end it early, one before it would begin another.
pub(super) fn without_braces(text: &str) -> String {
    text.replace('{', "%7B").replace('}', "%7D")
}

/// The quota as scripts read it.
pub(super) fn quota_arguments(quota: &Quota) -> [i64; 12] {
    let rates = [quota.requests(), quota.tokens()].map(|amount| quota.rate_of(amount));
    let [requests, tokens] = rates.map(|rate| Capacity::of(quota, rate));
    let day = quota.most_of_a_day();
    [
        signed(quota.usable(quota.requests())),
        signed(quota.usable(quota.tokens())),
        signed(micros(quota.window_nanos())),
        signed(rates[0]),
        signed(rates[1]),
        signed(requests.burst),
        signed(tokens.burst),
        signed(requests.credit),
        signed(tokens.credit),
        i64::from(quota.is_smooth()),
        if day == u64::MAX { -1 } else { signed(day) },
        i64::try_from(quota.day_begins_after().as_micros() % DAY_MICROS).unwrap_or_default(),
    ]
}

const DAY_MICROS: u128 = 86_400_000_000;
/// Doubles, in which scripts count, are exact up to 2^53; half of that, so that a sum is exact too.
const MOST: u64 = 1 << 52;

fn micros(nanos: u64) -> u64 {
    nanos.div_ceil(1_000)
}

fn signed(amount: u64) -> i64 {
    amount.min(MOST) as i64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn keys_of_an_account_share_one_hash_tag() {
        let names = Names::new("ns", &Key::new("https://h", "a{b}c"));
        assert_eq!(names.account, "ns:{https://h a%7Bb%7Dc}:2:gates");
        assert_eq!(names.members, "ns:{https://h a%7Bb%7Dc}:2:members");
        assert_eq!(names.formats, "ns:{https://h a%7Bb%7Dc}:formats");
        assert_eq!(names.unnumbered, "ns:{https://h a%7Bb%7Dc}:gates");
        assert_eq!(names.call("m", 255), "ns:{https://h a%7Bb%7Dc}:2:call:m-ff");
    }

    #[test]
    fn an_account_of_the_provider_has_keys_of_its_own() {
        let names = |key: &Key| Names::new("ns", key).account;
        let plain = Key::new("https://h", "m");
        let second = plain.clone().with_account("second");
        assert_eq!(names(&plain), "ns:{https://h m}:2:gates");
        assert_eq!(names(&second), "ns:{(second) https://h m}:2:gates");
        // A caller that names its model so does not get at the account.
        let shown_alike = Key::new("https://h", "m (second)");
        assert_eq!(shown_alike.to_string(), second.to_string());
        assert_ne!(names(&shown_alike), names(&second));
    }

    #[test]
    fn a_namespace_is_no_part_of_the_hash_tag() {
        let options = super::super::RedisOptions::new("redis://h").unwrap();
        let namespace = options.namespace("a{b}c").namespace;
        let names = Names::new(&namespace, &Key::new("https://h", "m"));
        assert_eq!(names.account, "a%7Bb%7Dc:{https://h m}:2:gates");
        assert_eq!(
            DayNames::new(&namespace).processes(),
            "a%7Bb%7Dc:{usage}:processes"
        );
    }

    #[test]
    fn quotas_as_scripts_read_them() {
        let quota = Quota::per_minute(600, 60_000).headroom(10);
        let minute = 60_000_000;
        assert_eq!(
            quota_arguments(&quota),
            [
                546, 54_600, minute, 540, 54_000, 4, 450, 180, 18_000, 1, -1, 0
            ]
        );
        let quota = quota
            .tokens_per_day(7)
            .day_begins(Duration::from_secs(86_401))
            .pacing(crate::Pacing::Window);
        assert_eq!(quota_arguments(&quota)[9..], [0, 7, 1_000_000]);
        let most = Quota::per_minute(u64::MAX, u64::MAX);
        assert!(quota_arguments(&most)[..9].iter().all(|&n| n > 0));
    }
}
