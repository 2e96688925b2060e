use std::{
    collections::BTreeMap,
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use redis::{Cmd, Value};
use tokio::sync::oneshot;
use tower_qwen_tokens::{
    Money,
    internal::clock::WallClock,
    ledger::{Day, LedgerSink, Record, Tenant},
};

use super::{StoreError, names::DayNames, script::Script};
use crate::fleet::{
    Handle, Op, UsageBatch,
    usage::{UsageOfDay, UsageSums},
};

/// How long a day is stored: a month and some days, for monthly bills. Unit: milliseconds.
const STORED: i64 = 40 * 86_400_000;
/// How long a repeat of a batch is recognised: longer than any outage that is worth waiting for.
/// Unit: milliseconds.
const REPEATED: i64 = 86_400_000;

/// Sums up what the whole fleet uses, by day (UTC), tenant and model: a sink of each process's
/// [`Ledger`](tower_qwen_tokens::Ledger). Kept for 40 days.
///
/// ```no_run
/// use std::sync::Arc;
///
/// use tower_qwen_ratelimit::fleet::redis::RedisStore;
/// use tower_qwen_tokens::{internal::clock::WallClock, ledger::Day, Ledger, PriceBook};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let (store, driver) = RedisStore::connect("redis://127.0.0.1:6379").await?;
/// tokio::spawn(driver);
/// let ledger = Ledger::new(PriceBook::builtin()).with_sink(Arc::new(store.ledger()));
/// // ... calls ...
/// for used in store.usage(Day::of(WallClock::new().now())).await? {
///     println!("{} {} {}", used.tenant, used.model, used.sums.input_tokens);
/// }
/// # Ok(())
/// # }
/// ```
///
/// Sums go along with other operations, or after five seconds;
/// [`RedisStore::flush`](super::RedisStore::flush) waits for them too. A batch that is sent twice,
/// because an answer was lost, counts once.
///
/// Sums saturate at the server: counts at 2^63 - 1, money at as many pico-units, which is 9.2
/// million of the currency per tenant, model and day.
#[derive(Debug, Clone)]
pub struct FleetLedger {
    link: Handle,
    wall: WallClock,
}

/// Waits for the usage of a day; see [`RedisStore::usage`](super::RedisStore::usage).
#[derive(Debug)]
#[must_use = "futures do nothing unless polled"]
pub struct ReadUsage {
    reply: oneshot::Receiver<Vec<UsageOfDay>>,
}

impl FleetLedger {
    pub(super) fn new(link: Handle) -> Self {
        Self {
            link,
            wall: WallClock::new(),
        }
    }
}

impl LedgerSink for FleetLedger {
    fn record(&self, record: &Record<'_>) {
        let entry = &record.entry;
        let day = Day::of(record.at.unwrap_or_else(|| self.wall.now()));
        let tenant = entry.tenant.as_ref().map_or("", Tenant::as_str);
        let input_tokens = entry.usage.input_tokens.unwrap_or_default();
        let all = entry.usage.total().unwrap_or_default();
        let sums = UsageSums {
            calls: 1,
            input_tokens,
            cached_tokens: entry.usage.cached_tokens.unwrap_or_default(),
            output_tokens: entry
                .usage
                .output_tokens
                .unwrap_or_else(|| all.saturating_sub(input_tokens)),
            cost: record.cost.into_iter().collect(),
        };
        self.link.add_usage(day, tenant, &entry.model, sums);
    }
}

impl ReadUsage {
    pub(super) fn new(link: &Handle, day: Day) -> Self {
        let (query, reply) = oneshot::channel();
        if !link.is_away() {
            link.push(Op::ReadUsage { day, query });
        }
        Self { reply }
    }
}

impl Future for ReadUsage {
    type Output = Result<Vec<UsageOfDay>, StoreError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = Pin::new(&mut self.reply).poll(cx);
        answer.map_err(|_| StoreError::too_slow())
    }
}

/// The command that adds a batch.
pub(super) fn add(names: &DayNames, process: &str, batch: &UsageBatch) -> Cmd {
    let keys = [names.of(batch.day), names.mark(process, batch.id)];
    let mut command = Script::Usage.run(&keys, (STORED, REPEATED));
    for ((tenant, model), sums) in &batch.sums {
        for (kind, amount) in parts(sums) {
            if amount != 0 {
                command.arg(field(tenant, model, &kind)).arg(amount);
            }
        }
    }
    command
}

/// The command that reads a day.
pub(super) fn read(names: &DayNames, day: Day) -> Cmd {
    let mut command = redis::cmd("HGETALL");
    command.arg(names.of(day));
    command
}

/// What a day's hash says; fields that make no sense are left out.
pub(super) fn usage(value: &Value) -> Vec<UsageOfDay> {
    let pairs: Vec<(&Value, &Value)> = match value {
        Value::Array(values) => {
            let pairs = values.chunks_exact(2);
            pairs.map(|pair| (&pair[0], &pair[1])).collect()
        }
        // By RESP3.
        Value::Map(pairs) => pairs.iter().map(|(field, value)| (field, value)).collect(),
        _ => Vec::new(),
    };
    let mut all = BTreeMap::<_, UsageSums>::new();
    for pair in pairs {
        let (Value::BulkString(field), Value::BulkString(amount)) = pair else {
            continue;
        };
        let (Ok(field), Ok(amount)) = (str::from_utf8(field), str::from_utf8(amount)) else {
            continue;
        };
        let parts: Vec<&str> = field.split('\n').collect();
        let ([tenant, model, kind], Ok(amount)) = (&parts[..], amount.parse::<i64>()) else {
            continue;
        };
        let sums = all
            .entry((unescaped(tenant), unescaped(model)))
            .or_default();
        let count = u64::try_from(amount).unwrap_or_default();
        match *kind {
            "calls" => sums.calls = count,
            "input" => sums.input_tokens = count,
            "cached" => sums.cached_tokens = count,
            "output" => sums.output_tokens = count,
            kind => {
                if let Some(Ok(currency)) = kind.strip_prefix(COST).map(str::parse) {
                    sums.cost.push(Money::from_pico(amount.into(), currency));
                }
            }
        }
    }
    all.into_iter()
        .map(|((tenant, model), mut sums)| {
            sums.cost.sort_by_key(|cost| cost.currency());
            UsageOfDay {
                tenant,
                model,
                sums,
            }
        })
        .collect()
}

/// Before the code of a currency.
const COST: &str = "cost ";

/// Each kind of sum, in whole units: calls, tokens, pico-units of a currency.
fn parts(sums: &UsageSums) -> impl Iterator<Item = (String, i64)> {
    let counts = [
        ("calls", sums.calls),
        ("input", sums.input_tokens),
        ("cached", sums.cached_tokens),
        ("output", sums.output_tokens),
    ];
    let counts = counts
        .map(|(kind, count)| (kind.to_owned(), i64::try_from(count).unwrap_or(i64::MAX)))
        .into_iter();
    counts.chain(sums.cost.iter().map(|cost| {
        let pico = i64::try_from(cost.pico()).unwrap_or(i64::MAX);
        (format!("{COST}{}", cost.currency()), pico)
    }))
}

/// Lines apart, which therefore are in no part.
fn field(tenant: &str, model: &str, kind: &str) -> String {
    let escaped = |text: &str| text.replace('%', "%25").replace('\n', "%0A");
    format!("{}\n{}\n{kind}", escaped(tenant), escaped(model))
}

fn unescaped(text: &str) -> String {
    text.replace("%0A", "\n").replace("%25", "%")
}

#[cfg(test)]
mod tests {
    use tower_qwen_tokens::price::Currency;

    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let cost = vec![
            Money::from_pico(6, Currency::CNY),
            Money::from_pico(5, Currency::USD),
        ];
        let whom = [
            ("", "qwen-plus", cost.clone()),
            ("a\nb%0A", "m%25", cost),
            // As written by versions that did not report money.
            ("acme", "qwen\nmax", Vec::new()),
        ];
        let expected = whom.map(|(tenant, model, cost)| UsageOfDay {
            tenant: tenant.to_owned(),
            model: model.to_owned(),
            sums: UsageSums {
                calls: 1,
                input_tokens: 2,
                cached_tokens: 3,
                output_tokens: 4,
                cost,
            },
        });
        let mut values = Vec::new();
        let mut push = |field: String, amount: i64| {
            values.push(Value::BulkString(field.into()));
            values.push(Value::BulkString(amount.to_string().into()));
        };
        for used in &expected {
            for (kind, amount) in parts(&used.sums) {
                push(field(&used.tenant, &used.model, &kind), amount);
            }
        }
        push("nonsense".to_owned(), 1);
        push(field("acme", "qwen\nmax", "cost in gold"), 1);
        let pairs = values
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect();
        assert_eq!(usage(&Value::Map(pairs)), expected, "RESP3");
        assert_eq!(usage(&Value::Array(values)), expected, "RESP2");
        assert!(usage(&Value::Nil).is_empty());
    }
}
