use metrics::{Label, SharedString, Unit, counter, describe_counter, describe_gauge, gauge};
use tower_qwen_tokens::internal::LabelValues;

use crate::budget::{Amount, BudgetEvent, BudgetObserver, BudgetOwner, BudgetsSnapshot};

// Metric names are part of the public interface: dashboards depend on them.
const SPENT: &str = "tower_qwen.budget.spent";
const RESERVED: &str = "tower_qwen.budget.reserved";
const LIMIT: &str = "tower_qwen.budget.limit";
const REJECTED: &str = "tower_qwen.budget.rejected";
const LINES: &str = "tower_qwen.budget.lines_reached";
const UNPRICED: &str = "tower_qwen.budget.unpriced";

/// An observer of budgets that reports to the recorder of the [`metrics`] facade.
///
/// | metric | kind, unit | labels beside the owner's |
/// |---|---|---|
/// | `tower_qwen.budget.rejected` | counter, calls | `reason`: `exceeded`, `no_rate` or `no_price`; `shadow` |
/// | `tower_qwen.budget.lines_reached` | counter | |
/// | `tower_qwen.budget.unpriced` | counter, calls without a price that were let through | |
///
/// The state of limits ([`BudgetMetrics::record`]):
///
/// | metric | kind, unit | labels beside the owner's |
/// |---|---|---|
/// | `tower_qwen.budget.spent` | gauge, money or tokens | `period`, `unit`: a currency or `tokens` |
/// | `tower_qwen.budget.reserved` | gauge, money or tokens | the same |
/// | `tower_qwen.budget.limit` | gauge, money or tokens | the same |
///
/// The owner's labels are `owner` (its name; of the first three the owner of the budget that rejects, of
/// `unpriced` the tenant) and `kind`: `tenant`, `group` or `overflow`. Names come from outside, so the
/// first 1,024 are used as they are; all further ones, and those of more than 256 bytes, become
/// `(other)`. A gauge of `(other)` shows the limit that was recorded last.
///
/// ```
/// use tower_qwen_ratelimit::{Budgets, observe::BudgetMetrics};
/// use tower_qwen_tokens::PriceBook;
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let metrics = BudgetMetrics::new();
/// let budgets = Budgets::builder(PriceBook::builtin()).observe(metrics.clone()).build()?;
/// // Before each scrape:
/// metrics.record(&budgets.snapshot());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct BudgetMetrics {
    owners: LabelValues,
}

impl BudgetMetrics {
    /// An observer for the recorder that is installed whenever something happens. Describes its metrics
    /// to the one that is installed now.
    #[must_use]
    pub fn new() -> Self {
        describe_counter!(REJECTED, Unit::Count, "Calls that a budget rejects");
        describe_counter!(LINES, Unit::Count, "Lines of budgets that were reached");
        describe_counter!(UNPRICED, Unit::Count, "Calls without a price, let through");
        describe_gauge!(SPENT, "Spent in the current period");
        describe_gauge!(RESERVED, "Held by calls under way");
        describe_gauge!(LIMIT, "The most of a period");
        Self {
            owners: LabelValues::new(),
        }
    }

    /// Records the state of limits: call it every few seconds with
    /// [`Budgets::snapshot`](crate::Budgets::snapshot).
    pub fn record(&self, snapshot: &BudgetsSnapshot) {
        for limit in &snapshot.limits {
            let mut labels = self.labels(limit.owner.name(), limit.owner.kind());
            labels.push(Label::new("period", limit.period.clone()));
            labels.push(Label::new("unit", unit(limit.limit)));
            gauge!(SPENT, labels.clone()).set(figure(limit.spent));
            gauge!(RESERVED, labels.clone()).set(figure(limit.reserved));
            gauge!(LIMIT, labels).set(figure(limit.limit));
        }
    }

    fn of(&self, owner: &BudgetOwner) -> Vec<Label> {
        self.labels(owner.name(), owner.kind())
    }

    fn labels(&self, name: &str, kind: &'static str) -> Vec<Label> {
        let name = SharedString::from_shared(self.owners.get(name));
        vec![
            Label::new("owner", name),
            Label::from_static_parts("kind", kind),
        ]
    }
}

impl Default for BudgetMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl BudgetObserver for BudgetMetrics {
    fn on_event(&self, event: &BudgetEvent<'_>) {
        match event {
            BudgetEvent::Rejected {
                error, is_shadow, ..
            } => {
                let mut labels = self.of(error.owner());
                labels.push(Label::from_static_parts("reason", error.as_str()));
                let shadow = if *is_shadow { "true" } else { "false" };
                labels.push(Label::from_static_parts("shadow", shadow));
                counter!(REJECTED, labels).increment(1);
            }
            BudgetEvent::LineReached { owner, .. } => {
                counter!(LINES, self.of(owner)).increment(1);
            }
            BudgetEvent::Unpriced { tenant, .. } => {
                counter!(UNPRICED, self.labels(tenant, "tenant")).increment(1);
            }
        }
    }
}

/// Tokens, requests, or units of money.
#[allow(
    clippy::cast_precision_loss,
    reason = "a gauge is a float; the snapshot has the exact amount"
)]
fn figure(amount: Amount) -> f64 {
    /// Pico-units of one unit.
    const UNIT: f64 = 1e12;
    match amount {
        Amount::Money(money) => money.pico() as f64 / UNIT,
        Amount::Tokens(count)
        | Amount::InputTokens(count)
        | Amount::OutputTokens(count)
        | Amount::Requests(count) => count as f64,
    }
}

fn unit(amount: Amount) -> String {
    amount.unit().name().into_owned()
}
