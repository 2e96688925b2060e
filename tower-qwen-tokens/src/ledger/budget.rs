use std::sync::{Mutex, MutexGuard};

use crate::{
    Basis,
    macros::opaque_debug,
    price::{Currency, Money},
    shared::{clock::WallClock, lock},
};

use super::{
    Amount, BudgetAlert, BudgetExceeded, Day, LedgerSink, Record,
    spent::{Spent, Today},
};

/// Sums up what a day costs, in money or in tokens, and reports when a threshold is reached.
///
/// A sink of a [`Ledger`](super::Ledger); days are those of UTC. It stops nothing by itself: call
/// [`Budget::check`] before you send. Calls that are running when a limit is reached still end, and
/// cost.
///
/// ```
/// use std::sync::Arc;
/// use tower_qwen_tokens::{Basis, End, Ledger, PriceBook, Usage, ledger::{Amount, Budget, Entry}};
///
/// let budget = Budget::per_day("5 USD".parse::<tower_qwen_tokens::Money>()?)
///     .notify_at("4 USD".parse::<tower_qwen_tokens::Money>()?)
///     .on_alert(|alert| eprintln!("{}: {} of {}", alert.day, alert.spent, alert.threshold));
/// let budget = Arc::new(budget);
/// let ledger = Ledger::new(PriceBook::builtin()).with_sink(budget.clone());
///
/// budget.check()?;
/// ledger.record(&Entry::new("qwen2", Usage::new(25_000_000, 0), Basis::Reported, End::Complete));
/// assert!(budget.is_exceeded());
/// assert_eq!(budget.spent().amount_like(Amount::Tokens(0)), Amount::Tokens(25_000_000));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Budget {
    thresholds: Vec<Threshold>,
    on_alert: Option<Box<OnAlert>>,
    clock: WallClock,
    today: Mutex<Today>,
}

type OnAlert = dyn Fn(&BudgetAlert) + Send + Sync;

#[derive(Debug, Clone, Copy)]
struct Threshold {
    amount: Amount,
    effect: Effect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Stop,
    Notify,
}

impl Budget {
    /// A budget that is exceeded once a day's spending reaches this amount. An amount of zero is exceeded from the start.
    #[must_use]
    pub fn per_day(limit: impl Into<Amount>) -> Self {
        let clock = WallClock::new();
        let budget = Self {
            thresholds: Vec::new(),
            on_alert: None,
            today: Mutex::new(Today::new(Day::of(clock.now()))),
            clock,
        };
        budget.threshold(limit, Effect::Stop)
    }

    /// Adds another limit: the budget is exceeded once any of them is reached. Default: the one it was made with.
    #[must_use]
    pub fn or(self, limit: impl Into<Amount>) -> Self {
        self.threshold(limit, Effect::Stop)
    }

    /// Adds a threshold that is reported but stops nothing. Default: none.
    #[must_use]
    pub fn notify_at(self, amount: impl Into<Amount>) -> Self {
        self.threshold(amount, Effect::Notify)
    }

    /// What is called when a threshold is reached, limits included: once per threshold and day, on
    /// the thread where the attempt ended that reached it. It must neither block nor panic.
    /// Default: nothing.
    #[must_use]
    pub fn on_alert(mut self, callback: impl Fn(&BudgetAlert) + Send + Sync + 'static) -> Self {
        self.on_alert = Some(Box::new(callback));
        self
    }

    /// Counts what was spent today before this process began. Thresholds that it reaches are not
    /// reported. Default: nothing.
    #[must_use]
    pub fn already_spent(self, amount: impl Into<Amount>) -> Self {
        let mut today = self.today();
        today.spent.add(amount.into());
        self.mark_reached(&mut today);
        drop(today);
        self
    }

    fn threshold(mut self, amount: impl Into<Amount>, effect: Effect) -> Self {
        let amount = amount.into();
        self.thresholds.push(Threshold { amount, effect });
        self.mark_reached(&mut self.today());
        self
    }

    /// Whether a limit is reached today.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.check().is_err()
    }

    /// Fails where a limit is reached today.
    ///
    /// # Errors
    ///
    /// [`BudgetExceeded`], with the limit and the end of the day.
    pub fn check(&self) -> Result<(), BudgetExceeded> {
        let today = self.today();
        let is_reached = |threshold: &&Threshold| {
            threshold.effect == Effect::Stop && today.spent.reaches(threshold.amount)
        };
        let reached = self.thresholds.iter().find(is_reached);
        match reached {
            Some(threshold) => Err(BudgetExceeded {
                limit: threshold.amount,
                spent: today.spent.amount_like(threshold.amount),
                until: today.spent.day.end(),
            }),
            None => Ok(()),
        }
    }

    /// What was spent today.
    #[must_use]
    pub fn spent(&self) -> Spent {
        self.today().spent.clone()
    }

    /// What is known of today: nothing yet where the day has changed.
    fn today(&self) -> MutexGuard<'_, Today> {
        let day = Day::of(self.clock.now());
        let mut today = lock(&self.today);
        // Only forward: a clock that is set back must not forget what was spent.
        if today.spent.day < day {
            *today = Today::new(day);
        }
        today
    }

    /// Marks what is reached as reported. Gives the alerts of what was not before.
    fn mark_reached(&self, today: &mut Today) -> Vec<BudgetAlert> {
        let mut alerts = Vec::new();
        for (index, threshold) in self.thresholds.iter().enumerate() {
            if today.spent.reaches(threshold.amount) && today.report(index) {
                alerts.push(BudgetAlert {
                    day: today.spent.day,
                    threshold: threshold.amount,
                    spent: today.spent.amount_like(threshold.amount),
                    is_limit: threshold.effect == Effect::Stop,
                });
            }
        }
        alerts
    }

    /// The currencies of the thresholds.
    fn currencies(&self) -> impl Iterator<Item = Currency> {
        let currency = |threshold: &Threshold| match threshold.amount {
            Amount::Money(money) => Some(money.currency()),
            Amount::Tokens(_) => None,
        };
        self.thresholds.iter().filter_map(currency)
    }
}

impl LedgerSink for Budget {
    fn record(&self, record: &Record<'_>) {
        let entry = &record.entry;
        let tokens = entry.usage.input_and_output();
        let is_unknown = entry.basis == Basis::Unknown && !entry.is_error_answer();
        // An error answer of unknown usage is most likely free, so it is not counted here.
        let counts_money = self.currencies().next().is_some();
        let is_counted = |cost: Money| self.currencies().any(|known| known == cost.currency());
        let is_uncounted = match record.cost {
            Some(cost) => counts_money && !is_counted(cost),
            None => is_unknown || (tokens.is_some() && counts_money),
        };
        let mut today = self.today();
        if let Some((input, output)) = tokens {
            let tokens = input.saturating_add(output);
            today.spent.add(Amount::Tokens(tokens));
        }
        if let Some(cost) = record.cost {
            today.spent.add(Amount::Money(cost));
        }
        if is_uncounted {
            today.spent.uncounted = today.spent.uncounted.saturating_add(1);
        }
        let alerts = self.mark_reached(&mut today);
        // The callback may use the budget, so the lock is released before.
        drop(today);
        if let Some(callback) = &self.on_alert {
            alerts.iter().for_each(callback);
        }
    }
}

opaque_debug!(Budget { thresholds }, impl std::fmt::Debug for Budget);
