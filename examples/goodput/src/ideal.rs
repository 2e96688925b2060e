//! The most that first come, first served can use of a quota.

use std::collections::VecDeque;
use std::time::Duration;

use crate::jobs::Jobs;
use crate::measure::Share;
use crate::schedule::Schedule;
use crate::setup::Setup;

/// What a client uses that knows each job's tokens beforehand and sends each job, in order, as soon as no stretch of one window holds
/// more than the quota: the mean of all windows but the first. A call that does not fit holds up all behind it, so where
/// requests and tokens bind in turns this is below 1. `None` where the limits change.
#[must_use]
pub fn used(setup: &Setup, seed: u64) -> Option<f64> {
    if setup.schedule != Schedule::default() {
        return None;
    }
    let (rpm, tpm) = (setup.provider.rpm, setup.provider.tpm);
    let window = setup.provider.window;
    let mut jobs = Jobs::new(seed, setup.size, tpm);
    let mut sent: VecDeque<(Duration, u64)> = VecDeque::new();
    let (mut now, mut held) = (Duration::ZERO, 0);
    let (mut requests, mut tokens) = (0, 0);
    loop {
        let job = jobs.next_job();
        let cost = job.prompt + job.output;
        while sent.len() as u64 >= rpm || held + cost > tpm {
            let (at, oldest) = sent.pop_front()?;
            held -= oldest;
            now = now.max(at + window);
        }
        if now >= window * setup.windows {
            break;
        }
        sent.push_back((now, cost));
        held += cost;
        if now >= window {
            requests += 1;
            tokens += cost;
        }
    }
    let windows = f64::from(setup.windows - 1);
    let share = Share {
        requests: requests as f64 / rpm as f64 / windows,
        tokens: tokens as f64 / tpm as f64 / windows,
    };
    Some(share.larger())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jobs::Size;

    #[test]
    fn all_is_used_where_requests_bind_and_nearly_all_where_both_do() {
        let of = |size| {
            let setup = Setup {
                size,
                ..Setup::new(800)
            };
            used(&setup, 1)
        };
        assert_eq!(of(Size::RequestsBind), Some(1.0));
        let both = of(Size::BothBind).unwrap_or_default();
        assert!((0.96..1.0).contains(&both), "{both}");
    }
}
