//! A call that waits until the store has answered what its process is to have.

use super::{BudgetError, granted::Granted};

#[cfg(feature = "redis")]
pub(crate) use shared::LeaseWait;

/// What has become of a call that waited for the store.
pub(crate) type LeaseAnswer = Result<Granted, BudgetError>;

/// A call that is reserved for, or waits for the store of its fleet.
#[derive(Debug)]
#[allow(
    clippy::large_enum_variant,
    reason = "it is moved once, into a future of the call"
)]
pub(crate) enum Reserving {
    Done(LeaseAnswer),
    #[cfg_attr(
        not(feature = "redis"),
        expect(dead_code, reason = "without a store no call waits")
    )]
    Waits(LeaseWait),
}

/// Without a store no call waits.
#[cfg(not(feature = "redis"))]
#[derive(Debug)]
pub(crate) enum LeaseWait {}

#[cfg(not(feature = "redis"))]
impl std::future::Future for LeaseWait {
    type Output = Result<Granted, BudgetError>;

    fn poll(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Self::Output> {
        match *self {}
    }
}

#[cfg(feature = "redis")]
mod shared {
    use std::{
        future::Future,
        pin::Pin,
        sync::Arc,
        task::{Context, Poll},
    };

    use pin_project_lite::pin_project;
    use tokio::{
        sync::oneshot,
        time::{Sleep, sleep},
    };

    use crate::budget::{
        BudgetError,
        call::BudgetedCall,
        granted::Granted,
        prices::Prices,
        reports::{BudgetFleet, WaitingCall},
        shared::SharedBudgets,
    };

    pin_project! {
        /// Waits for the store's answer; for one that comes too late it does not wait: then the call goes
        /// by the outage policy.
        pub(crate) struct LeaseWait {
            reply: oneshot::Receiver<Result<Granted, BudgetError>>,
            #[pin]
            late: Sleep,
            budgets: Arc<SharedBudgets>,
            fleet: Arc<BudgetFleet>,
            tenant: Arc<str>,
            call: Option<(BudgetedCall, Arc<Prices>)>,
            is_shadow: bool,
        }
    }

    impl LeaseWait {
        pub(in crate::budget) fn new(
            budgets: &Arc<SharedBudgets>,
            fleet: &Arc<BudgetFleet>,
            tenant: Arc<str>,
            call: BudgetedCall,
            prices: Arc<Prices>,
            is_shadow: bool,
        ) -> Self {
            let (sender, reply) = oneshot::channel();
            fleet.wait(WaitingCall {
                tenant: tenant.clone(),
                call: call.clone(),
                prices: prices.clone(),
                is_shadow,
                reply: sender,
            });
            Self {
                reply,
                late: sleep(fleet.patience()),
                budgets: budgets.clone(),
                fleet: fleet.clone(),
                tenant,
                call: Some((call, prices)),
                is_shadow,
            }
        }
    }

    impl Future for LeaseWait {
        type Output = Result<Granted, BudgetError>;

        fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
            let this = self.project();
            match Pin::new(this.reply).poll(cx) {
                Poll::Ready(Ok(granted)) => return Poll::Ready(granted),
                // Too many calls wait.
                Poll::Ready(Err(_)) => {}
                Poll::Pending if this.late.poll(cx).is_pending() => return Poll::Pending,
                Poll::Pending => this.fleet.store_is_late(this.budgets),
            }
            let (call, prices) = this.call.take().expect("polled after it was ready");
            let (budgets, is_shadow) = (this.budgets, *this.is_shadow);
            let (need, rates) = (&call.need, &prices.rates);
            let fit = budgets.reserve(this.tenant, need, rates, is_shadow, budgets.now());
            Poll::Ready(budgets.finish(fit, (this.tenant, call), prices, is_shadow))
        }
    }

    opaque_debug!(LeaseWait, impl std::fmt::Debug for LeaseWait);
}
