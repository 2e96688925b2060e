use std::io::{self, BufRead};

use tower_qwen_tokens::ledger::{Record, Tenant, read_line};

use super::{
    BudgetLimitSnapshot, Budgets, BudgetsSnapshot, Rates, SpentPart,
    need::Need,
    sums::{since_1970, time},
};
use crate::units::Nanos;

/// What was read of a ledger.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Restored {
    /// Lines that were counted.
    pub lines: u64,
    /// Lines that are none of a ledger, such as a last one that is torn: they were skipped.
    pub invalid: u64,
}

/// What outlives a process.
impl Budgets {
    /// All limits as they are now: of groups, of tenants that the table names, and of those that have
    /// something reserved or spent. It is also what [`Budgets::restore`] takes.
    #[must_use]
    pub fn snapshot(&self) -> BudgetsSnapshot {
        let now = self.inner.now();
        let mut limits = Vec::new();
        self.inner.accounts().visit(now, |account| {
            for counter in &account.counters {
                let total = counter.total();
                let amount = |count| counter.unit.amount(count);
                let part = |(at, count): (Nanos, u128)| SpentPart {
                    at: time(at),
                    amount: amount(count),
                };
                limits.push(BudgetLimitSnapshot {
                    owner: account.owner.clone(),
                    limit: amount(counter.limit()),
                    period: counter.period.to_string(),
                    spent: amount(total.spent),
                    reserved: amount(total.reserved),
                    resets_at: counter.resets_at(),
                    unpriced: account.unpriced,
                    rejected: account.rejected,
                    parts: counter.parts().into_iter().map(part).collect(),
                });
            }
        });
        BudgetsSnapshot { limits }
    }

    /// Goes on from a snapshot of an earlier process: call it once, before the first call. What was
    /// reserved then counts as spent, since nobody knows what became of those calls. Returns how many
    /// limits of the snapshot have no limit here (of the same owner, unit and period): they were
    /// skipped. In a fleet all are: the store knows what was spent.
    #[must_use = "limits that were skipped begin with nothing spent"]
    pub fn restore(&self, snapshot: &BudgetsSnapshot) -> usize {
        #[cfg(feature = "redis")]
        if self.fleet.is_some() {
            return snapshot.limits.len();
        }
        let now = self.inner.now();
        let mut accounts = self.inner.accounts();
        let mut skipped = 0;
        for limit in &snapshot.limits {
            let mut is_known = true;
            for part in &limit.parts {
                let spent = (part.amount, limit.period.as_str());
                is_known &= accounts.restore_part(&limit.owner, spent, (since_1970(part.at), now));
            }
            skipped += usize::from(!is_known);
        }
        skipped
    }

    /// Goes on from the lines of a ledger (what
    /// [`JsonLines`](tower_qwen_tokens::ledger::JsonLines) writes): call it once, before the first call.
    /// Each line counts in the period in which its call was sent, with the cost that it states; a line
    /// without tokens counts nothing. In a fleet none counts, since the store knows what was spent. Calls that were under way when the process ended have no line.
    ///
    /// # Errors
    ///
    /// When the lines cannot be read. What came before is counted.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn restore(budgets: &tower_qwen_ratelimit::Budgets) -> std::io::Result<()> {
    /// let ledger = std::fs::File::open("ledger.jsonl")?;
    /// let restored = budgets.restore_ledger(std::io::BufReader::new(ledger))?;
    /// println!("{} lines", restored.lines);
    /// # Ok(())
    /// # }
    /// ```
    pub fn restore_ledger(&self, mut lines: impl BufRead) -> io::Result<Restored> {
        #[cfg(feature = "redis")]
        if self.fleet.is_some() {
            return Ok(Restored::default());
        }
        let now = self.inner.now();
        let prices = self.inner.prices();
        let mut restored = Restored::default();
        let mut text = Vec::new();
        while lines.read_until(b'\n', &mut text)? > 0 {
            let record = std::str::from_utf8(&text).ok().map(read_line);
            // Locked for each line: a file of a month has millions, and calls may come.
            match record {
                Some(Ok(record)) => {
                    restored.lines += 1;
                    self.count_record(&record, &prices.rates, now);
                }
                Some(Err(_)) | None => restored.invalid += 1,
            }
            text.clear();
        }
        Ok(restored)
    }

    /// Goes on from one record of a ledger, as [`Budgets::restore_ledger`] does from each line: for a program that reads its
    /// ledger itself. In a fleet it counts nothing.
    ///
    /// ```
    /// use tower_qwen_ratelimit::Budgets;
    /// use tower_qwen_tokens::{Ledger, ledger::{InvalidLine, read_line}};
    ///
    /// /// One pass over a file for budgets and sums.
    /// fn restore(lines: &str, budgets: &Budgets, ledger: &Ledger) -> Result<(), InvalidLine> {
    ///     for line in lines.lines() {
    ///         let record = read_line(line)?;
    ///         budgets.restore_record(&record);
    ///         ledger.restore(&record);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    pub fn restore_record(&self, record: &Record<'_>) {
        #[cfg(feature = "redis")]
        if self.fleet.is_some() {
            return;
        }
        let prices = self.inner.prices();
        self.count_record(record, &prices.rates, self.inner.now());
    }

    fn count_record(&self, record: &Record<'_>, rates: &Rates, now: Nanos) {
        let entry = &record.entry;
        let Some((input, output)) = entry.usage.input_and_output() else {
            return;
        };
        let spent = Need::of_request(input, output, record.cost);
        // It was recorded at its end, and counts where it was sent.
        let sent = record
            .at
            .and_then(|at| at.checked_sub(entry.duration.unwrap_or_default()));
        let at = sent.map_or(now, since_1970);
        let tenant = entry.tenant.as_ref().map_or("", Tenant::as_str);
        self.inner
            .accounts()
            .restore(tenant, &spent, rates, (at, now));
    }
}
