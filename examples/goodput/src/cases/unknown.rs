//! The limiter is given a wrong quota.

use mock_qwen::{Enforce, Growth, RetryAfter};
use tower_qwen_ratelimit::Quota;

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
        finds_out(
            "at-least-10x-low",
            Setup::new(800),
            Quota::at_least(80, 80_000),
        ),
        // Of so few calls each look for more costs a larger share: how much is used is bounded alone.
        uses("discover-60", Setup::new(60), Quota::discover()),
        uses("discover-200", Setup::new(200), Quota::discover()),
        finds_out("discover-800", Setup::new(800), Quota::discover()),
        finds_out(
            "discover-800-fixed",
            enforced(Enforce::Fixed),
            Quota::discover(),
        ),
        finds_out(
            "discover-800-bucket",
            enforced(Enforce::Bucket),
            Quota::discover(),
        ),
        Case {
            bounds: vec![used(8, 0.9), Bound::Throttled(0.01)],
            ..finds_out("discover-800-growth", with_growth(), Quota::discover())
        },
        finds_out("discover-3000", Setup::new(3_000), Quota::discover()),
        Case {
            is_slow: true,
            ..finds_out("discover-30000", Setup::new(30_000), Quota::discover())
        },
    ]
}

/// The same, of a small quota.
fn uses(name: &'static str, setup: Setup, quota: Quota) -> Case {
    Case::with_quota(name, setup, quota, vec![used(8, 0.9)])
}

/// A limiter that looks for more than it was given.
fn finds_out(name: &'static str, setup: Setup, quota: Quota) -> Case {
    Case::with_quota(
        name,
        setup,
        quota,
        vec![used(8, 0.9), Bound::Throttled(0.005)],
    )
}

fn with_growth() -> Setup {
    let mut setup = Setup::new(800);
    setup.provider.growth = Some(Growth::default());
    setup
}
