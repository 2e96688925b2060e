use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{
    BudgetError, BudgetReservation,
    granted::Granted,
    lease_wait::{LeaseWait, Reserving},
};

pin_project! {
    /// Waits for what a call is expected to cost; see [`Budgets::acquire`](super::Budgets::acquire).
    ///
    /// # Cancel safety
    ///
    /// Dropped before it is ready, nothing is reserved.
    #[must_use = "futures do nothing unless polled"]
    pub struct AcquireBudget {
        #[pin]
        kind: AcquireKind,
    }
}

pin_project! {
    #[project = AcquireKindProj]
    enum AcquireKind {
        Done { result: Option<Result<Granted, BudgetError>> },
        Waiting { #[pin] wait: LeaseWait },
    }
}

impl AcquireBudget {
    pub(super) fn new(reserving: Reserving) -> Self {
        let kind = match reserving {
            Reserving::Done(result) => AcquireKind::Done {
                result: Some(result),
            },
            Reserving::Waits(wait) => AcquireKind::Waiting { wait },
        };
        Self { kind }
    }
}

impl Future for AcquireBudget {
    type Output = Result<BudgetReservation, BudgetError>;

    /// # Panics
    ///
    /// Panics when polled after it was ready.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = match self.project().kind.project() {
            AcquireKindProj::Done { result } => result.take().expect("polled after it was ready"),
            AcquireKindProj::Waiting { wait } => ready!(wait.poll(cx)),
        };
        Poll::Ready(result.map(|granted| granted.reservation))
    }
}

opaque_debug!(AcquireBudget, impl std::fmt::Debug for AcquireBudget);
