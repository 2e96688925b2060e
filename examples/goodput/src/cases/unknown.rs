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
    let too_high = |name, about, setup, times, least| {
        let most = if times == 2 { 0.002 } else { 0.003 };
        let bounds = vec![used(2, least), Bound::Throttled(most)];
        Case::with_times(name, about, setup, times, bounds)
    };
    vec![
        too_high(
            "told-2x-requests",
            "told twice, requests bind",
            of_size(Size::RequestsBind),
            2,
            0.96,
        ),
        too_high(
            "told-2x-tokens",
            "told twice, tokens bind",
            tokens_bind(),
            2,
            0.96,
        ),
        too_high("told-2x-both", "told twice, both", Setup::new(800), 2, 0.94),
        too_high(
            "told-10x-requests",
            "told ten times, requests bind",
            of_size(Size::RequestsBind),
            10,
            0.96,
        ),
        too_high(
            "told-10x-tokens",
            "told ten times, tokens bind",
            tokens_bind(),
            10,
            0.96,
        ),
        too_high(
            "told-10x-both",
            "told ten times, both",
            Setup::new(800),
            10,
            0.94,
        ),
        too_high(
            "told-10x-both-hints",
            "the same, with `Retry-After`",
            with_hints(),
            10,
            0.94,
        ),
        too_high(
            "told-10x-both-fixed",
            "the same, a fixed window",
            enforced(Enforce::Fixed),
            10,
            0.94,
        ),
        too_high(
            "told-10x-both-bucket",
            "the same, a bucket",
            enforced(Enforce::Bucket),
            10,
            0.94,
        ),
        // No bound is set: growth and seconds are unknown to the limiter as well as the quota.
        Case::with_times(
            "told-10x-both-slices",
            "the same, a bucket that counts seconds",
            counts_seconds(),
            10,
            Vec::new(),
        ),
        Case::with_times(
            "told-10x-both-growth",
            "the same, growth is punished",
            with_growth(),
            10,
            Vec::new(),
        ),
        Case::with_times(
            "told-10x-60",
            "told ten times, 60 a minute",
            Setup::new(60),
            10,
            Vec::new(),
        ),
        finds_out(
            "at-least-10x-low",
            "`at_least`, a tenth of it",
            Setup::new(800),
            Quota::at_least(80, 80_000),
        ),
        // Of so few calls each look for more costs a larger share: how much is used is bounded alone.
        uses(
            "discover-60",
            "`discover`, 60 a minute",
            Setup::new(60),
            Quota::discover(),
        ),
        uses(
            "discover-200",
            "`discover`, 200",
            Setup::new(200),
            Quota::discover(),
        ),
        finds_out(
            "discover-800",
            "`discover`, 800",
            Setup::new(800),
            Quota::discover(),
        ),
        finds_out(
            "discover-800-fixed",
            "the same, a fixed window",
            enforced(Enforce::Fixed),
            Quota::discover(),
        ),
        finds_out(
            "discover-800-bucket",
            "the same, a bucket",
            enforced(Enforce::Bucket),
            Quota::discover(),
        ),
        Case {
            bounds: vec![used(8, 0.9), Bound::Throttled(0.01)],
            ..finds_out(
                "discover-800-growth",
                "the same, growth is punished",
                with_growth(),
                Quota::discover(),
            )
        },
        finds_out(
            "discover-3000",
            "`discover`, 3,000",
            Setup::new(3_000),
            Quota::discover(),
        ),
        Case {
            is_slow: true,
            ..finds_out(
                "discover-30000",
                "`discover`, 30,000",
                Setup::new(30_000),
                Quota::discover(),
            )
        },
    ]
}

/// The same, of a small quota.
fn uses(name: &'static str, about: &'static str, setup: Setup, quota: Quota) -> Case {
    Case::with_quota(name, about, setup, quota, vec![used(8, 0.9)])
}

/// A limiter that looks for more than it was given.
fn finds_out(name: &'static str, about: &'static str, setup: Setup, quota: Quota) -> Case {
    Case::with_quota(
        name,
        about,
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

fn counts_seconds() -> Setup {
    let mut setup = enforced(Enforce::Bucket);
    setup.provider.per_second = true;
    setup
}
