use std::{
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{Basis, Money, internal::clock::WallClock};

use super::{
    Amount, BudgetAlert, BudgetExceeded, Day, LedgerSink, Record,
    spent::{Spent, Today},
};

/// Watches what a day costs, in money or in tokens, and tells when a line is reached.
///
/// A sink of a [`Ledger`](super::Ledger); days are those of UTC. It refuses nothing by itself: whoever is about to send
/// asks [`Budget::check`]. Calls that are under way when the line is reached still end, and cost.
///
/// ```
/// use std::sync::Arc;
/// use tower_qwen_tokens::{Basis, End, Ledger, PriceBook, Usage, ledger::{Amount, Budget, Entry}};
///
/// let budget = Budget::per_day("5 USD".parse::<tower_qwen_tokens::Money>()?)
///     .notify_at("4 USD".parse::<tower_qwen_tokens::Money>()?)
///     .on_alert(|passed| eprintln!("{}: {} of {}", passed.day, passed.spent, passed.line));
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
    lines: Vec<Line>,
    on_alert: Option<Box<OnAlert>>,
    clock: WallClock,
    today: Mutex<Today>,
}

type OnAlert = dyn Fn(&BudgetAlert) + Send + Sync;

#[derive(Debug, Clone, Copy)]
struct Line {
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
            lines: Vec::new(),
            on_alert: None,
            today: Mutex::new(Today::new(Day::of(clock.now()))),
            clock,
        };
        budget.line(limit, Effect::Stop)
    }

    /// Adds another limit: the budget is exceeded once any of them is reached. Default: the one it was made with.
    #[must_use]
    pub fn or(self, limit: impl Into<Amount>) -> Self {
        self.line(limit, Effect::Stop)
    }

    /// Adds a line that is only told of. Default: none.
    #[must_use]
    pub fn notify_at(self, amount: impl Into<Amount>) -> Self {
        self.line(amount, Effect::Notify)
    }

    /// What is called when a line is reached, limits included: once per line and day, by whoever ended the attempt that
    /// reached it. It must neither block nor panic. Default: nothing.
    #[must_use]
    pub fn on_alert(mut self, callback: impl Fn(&BudgetAlert) + Send + Sync + 'static) -> Self {
        self.on_alert = Some(Box::new(callback));
        self
    }

    /// Counts what was spent today before this process began. Lines that it reaches are not told of. Default: nothing.
    #[must_use]
    pub fn already_spent(self, amount: impl Into<Amount>) -> Self {
        let amount = amount.into();
        self.today().spent.add(amount);
        self.mark_reached();
        self
    }

    fn line(mut self, amount: impl Into<Amount>, effect: Effect) -> Self {
        let amount = amount.into();
        self.lines.push(Line { amount, effect });
        self.mark_reached();
        self
    }

    /// Whether a limit is reached today.
    #[must_use]
    pub fn is_exceeded(&self) -> bool {
        self.check().is_err()
    }

    /// Refuses where a limit is reached today.
    ///
    /// # Errors
    ///
    /// [`BudgetExceeded`], with the limit and the end of the day.
    pub fn check(&self) -> Result<(), BudgetExceeded> {
        let today = self.today();
        let reached = self.lines.iter().find(|line| {
            line.effect == Effect::Stop && today.spent.amount_like(line.amount).reaches(line.amount)
        });
        match reached {
            Some(line) => Err(BudgetExceeded {
                limit: line.amount,
                spent: today.spent.amount_like(line.amount),
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

    /// The state of today: a new one where the day has changed.
    fn today(&self) -> MutexGuard<'_, Today> {
        let day = Day::of(self.clock.now());
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if today.spent.day < day {
            *today = Today::new(day);
        }
        today
    }

    fn mark_reached(&self) {
        let mut today = self.today();
        for (index, line) in self.lines.iter().enumerate() {
            if today.spent.amount_like(line.amount).reaches(line.amount) {
                today.tell(index);
            }
        }
    }

    /// Whether a line counts this amount.
    fn counts(&self, cost: Money) -> bool {
        self.lines.iter().any(|line| match line.amount {
            Amount::Money(money) => money.currency() == cost.currency(),
            Amount::Tokens(_) => false,
        })
    }

    fn counts_money(&self) -> bool {
        let is_money = |line: &Line| matches!(line.amount, Amount::Money(_));
        self.lines.iter().any(is_money)
    }
}

impl LedgerSink for Budget {
    fn record(&self, record: &Record<'_>) {
        let entry = &record.entry;
        let tokens = entry.usage.input_and_output();
        let is_unknown = entry.basis == Basis::Unknown && !entry.is_error_answer();
        let is_uncounted = match record.cost {
            Some(cost) => self.counts_money() && !self.counts(cost),
            None => is_unknown || (tokens.is_some() && self.counts_money()),
        };
        let mut passed = Vec::new();
        let mut today = self.today();
        if let Some((input, output)) = tokens {
            today
                .spent
                .add(Amount::Tokens(input.saturating_add(output)));
        }
        if let Some(cost) = record.cost {
            today.spent.add(Amount::Money(cost));
        }
        if is_uncounted {
            today.spent.uncounted = today.spent.uncounted.saturating_add(1);
        }
        for (index, line) in self.lines.iter().enumerate() {
            let spent = today.spent.amount_like(line.amount);
            if spent.reaches(line.amount) && today.tell(index) {
                passed.push(BudgetAlert {
                    day: today.spent.day,
                    line: line.amount,
                    spent,
                    is_limit: line.effect == Effect::Stop,
                });
            }
        }
        drop(today);
        if let Some(callback) = &self.on_alert {
            passed.iter().for_each(callback);
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budget")
            .field("lines", &self.lines)
            .finish_non_exhaustive()
    }
}
