//! The limiter is given a wrong quota.

use mock_qwen::{Enforce, RetryAfter};

use super::Case;
use crate::bound::Bound;
use crate::jobs::Size;
use crate::setup::Setup;

fn used(from: u32, at_least: f64) -> Bound {
    Bound::Used {
        from,
        to: 21,
        at_least,
    }
}

fn of_size(size: Size) -> Setup {
    Setup {
        size,
        ..Setup::new(800)
    }
}

fn tokens_bind() -> Setup {
    let mut setup = Setup::new(800);
    setup.provider.rpm *= 2;
    setup
}

fn enforced(enforce: Enforce) -> Setup {
    let mut setup = Setup::new(800);
    setup.provider.enforce = enforce;
    setup
}

fn with_hints() -> Setup {
    let mut setup = Setup::new(800);
    setup.provider.retry_after = RetryAfter::Seconds;
    setup
}

pub(super) fn cases() -> Vec<Case> {
    let too_high = |name, setup, times, least| {
        let most = if times == 2 { 0.002 } else { 0.003 };
        let bounds = vec![used(2, least), Bound::Throttled(most)];
        Case::with_times(name, setup, times, bounds)
    };
    vec![
        too_high("told-2x-requests", of_size(Size::RequestsBind), 2, 0.96),
        too_high("told-2x-tokens", tokens_bind(), 2, 0.96),
        too_high("told-2x-both", Setup::new(800), 2, 0.94),
        too_high("told-10x-requests", of_size(Size::RequestsBind), 10, 0.96),
        too_high("told-10x-tokens", tokens_bind(), 10, 0.96),
        too_high("told-10x-both", Setup::new(800), 10, 0.94),
        too_high("told-10x-both-hints", with_hints(), 10, 0.94),
        too_high("told-10x-both-fixed", enforced(Enforce::Fixed), 10, 0.94),
        too_high("told-10x-both-bucket", enforced(Enforce::Bucket), 10, 0.94),
        // A limiter that looks for more than it was given, or is given nothing:
        // used(8, 0.9) and Bound::Throttled(0.005), under a growth rule 0.01.
    ]
}
