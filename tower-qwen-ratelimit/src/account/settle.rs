//! What becomes of an admitted call: it is sent, settled, and ends.

use tower_qwen_tokens::internal::clock::{self, Instant};

use super::{Account, Charge, Outcome};
use crate::{observe::LimiterEvent, queue::Wakes};

impl Account {
    /// Dates a charge anew: the call goes out now and not, as was assumed, when it was admitted.
    pub(crate) fn send(&self, charge: &mut Charge, now: Instant) {
        let at = self.nanos(now);
        if at < charge.dated_until {
            charge.at = charge.at.max(at);
            return;
        }
        self.advanced(now).redate(charge);
        #[cfg(feature = "redis")]
        self.report_send(*charge);
    }

    /// Settles a charge. Called once per charge.
    pub(crate) fn settle(&self, charge: Charge, outcome: Outcome, now: Instant) {
        let settled = self.change(now, |state| state.settle_with_queue(charge, outcome));
        self.settled(charge, outcome, settled);
    }

    /// Settles a charge whose call has ended. Called once per charge.
    pub(crate) fn settle_ended(&self, charge: Charge, outcome: Outcome, now: Instant) {
        let settled = self.change(now, |state| {
            let settled = state.settle_with_queue(charge, outcome);
            state.end(charge);
            settled
        });
        self.settled(charge, outcome, settled);
    }

    /// The body of a settled call's answer has ended.
    pub(crate) fn end(&self, charge: Charge) {
        if charge.is_timed {
            self.change(clock::now(), |state| state.end(charge));
        }
    }

    fn settled(&self, charge: Charge, outcome: Outcome, (used, wakes): (u64, Wakes)) {
        wakes.wake();
        #[cfg(feature = "redis")]
        self.report_outcome(charge, outcome);
        self.emit(&LimiterEvent::Settled {
            key: &self.key,
            reserved: charge.total(),
            used,
            known: matches!(outcome, Outcome::Known { .. }),
        });
    }
}
