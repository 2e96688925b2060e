use std::sync::Arc;

use super::{
    BudgetError, BudgetEvent, BudgetReservation,
    accounts::{Fault, Fit},
    call::{BudgetCall, BudgetedCall},
    need::Uncounted,
    prices::Prices,
    shared::SharedBudgets,
    sums::since_1970,
};

/// A call that goes, and why it would not have gone in shadow mode.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) reservation: BudgetReservation,
    pub(crate) over: Option<BudgetError>,
}

impl SharedBudgets {
    /// Reserves for a call that may have been read from a request. In shadow mode it always does.
    pub(super) fn reserve_call(
        self: &Arc<Self>,
        tenant: &str,
        call: BudgetCall,
        is_shadow: bool,
    ) -> Result<Granted, BudgetError> {
        let prices = self.prices();
        let at = self.clock.now();
        let call = self.estimate((tenant, call), &prices, at);
        let now = since_1970(at);
        let fit = self.reserve(tenant, &call.need, &prices.rates, is_shadow, now);
        self.finish(fit, (tenant, call), prices, is_shadow)
    }

    /// The reservation of a call, or why there is none; observers get what there is to say.
    pub(super) fn finish(
        self: &Arc<Self>,
        fit: Result<Fit, Fault>,
        (tenant, call): (&str, BudgetedCall),
        prices: Arc<Prices>,
        is_shadow: bool,
    ) -> Result<Granted, BudgetError> {
        let report = |fault| {
            let error = error(fault, &call);
            self.observers.emit(&BudgetEvent::Rejected {
                tenant,
                error: &error,
                is_shadow,
            });
            error
        };
        let Fit {
            taken,
            over,
            is_unpriced,
        } = fit.map_err(report)?;
        let over = over.map(report);
        if is_unpriced {
            let model = &call.model;
            self.observers
                .emit(&BudgetEvent::Unpriced { tenant, model });
        }
        let reservation = BudgetReservation::new(self.clone(), prices, taken, call);
        Ok(Granted { reservation, over })
    }
}

fn error(fault: Fault, call: &BudgetedCall) -> BudgetError {
    let model = call.model.clone();
    match fault {
        Fault::Exceeded(exceeded) => BudgetError::Exceeded(exceeded),
        // Nobody waits for the store.
        #[cfg(feature = "redis")]
        Fault::Unleased(exceeded) => BudgetError::Exceeded(exceeded),
        #[cfg(feature = "redis")]
        Fault::StoreAway(owner) => BudgetError::StoreAway { owner },
        Fault::Uncounted(owner, Uncounted::NoPrice { budget }) => BudgetError::NoPrice {
            owner,
            model,
            budget,
        },
        Fault::Uncounted(owner, Uncounted::NoRate { priced, budget }) => BudgetError::NoRate {
            owner,
            model,
            priced,
            budget,
        },
    }
}
