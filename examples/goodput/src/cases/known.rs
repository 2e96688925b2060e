//! The limiter knows the quota.

use mock_qwen::{Config, Enforce, Growth};

use super::Case;
use crate::bound::Bound;
use crate::jobs::Size;
use crate::setup::Setup;

/// All windows but the first, which begins with an empty provider.
fn used(at_least: f64) -> Bound {
    Bound::Used {
        from: 2,
        to: 21,
        at_least,
    }
}

fn provider(change: impl FnOnce(&mut Config)) -> Setup {
    let mut setup = Setup::new(800);
    change(&mut setup.provider);
    setup
}

fn of_size(size: Size) -> Setup {
    Setup {
        size,
        ..Setup::new(800)
    }
}

/// Each second may take two sixtieths of a minute's quota.
fn counts_seconds(config: &mut Config) {
    config.per_second = true;
    config.slice_burst = 2.0;
}

/// Ten a minute, of which tokens take none.
fn requests_of_ten() -> Setup {
    Setup {
        size: Size::RequestsBind,
        ..Setup::new(10)
    }
}

pub(super) fn cases() -> Vec<Case> {
    let case = |name, about, setup, least, most| {
        let bounds = vec![used(least), Bound::Throttled(most)];
        Case::with_times(name, about, setup, 1, bounds)
    };
    vec![
        case(
            "known-requests",
            "jobs of half the size: requests bind",
            of_size(Size::RequestsBind),
            0.97,
            0.0,
        ),
        case(
            "known-tokens",
            "twice the requests: tokens bind",
            provider(|config| config.rpm *= 2),
            0.97,
            0.0,
        ),
        case(
            "known-both",
            "both bind in turns",
            Setup::new(800),
            0.955,
            0.0005,
        ),
        case(
            "known-both-fixed",
            "the same, a fixed window",
            provider(|config| config.enforce = Enforce::Fixed),
            0.955,
            0.0005,
        ),
        case(
            "known-both-slices",
            "the same, a bucket that counts seconds (twice a second's share)",
            provider(|config| {
                config.enforce = Enforce::Bucket;
                counts_seconds(config);
            }),
            0.96,
            0.0005,
        ),
        // No bound is set for the next three. Jobs of twice the size are few and differ more. A sliding second is harder to keep to than a bucket: a prompt of twice the mean rate
        // must find it empty.
        Case::with_times(
            "known-tokens-large",
            "jobs of twice the size: tokens bind",
            of_size(Size::TokensBind),
            1,
            Vec::new(),
        ),
        Case::with_times(
            "known-both-slices-sliding",
            "both, a sliding window that counts seconds as well",
            provider(counts_seconds),
            1,
            Vec::new(),
        ),
        Case::with_times(
            "known-both-growth",
            "both, growth is punished",
            provider(|config| config.growth = Some(Growth::default())),
            1,
            Vec::new(),
        ),
        // Three and ten a minute are what the provider gives: not one call less.
        case(
            "known-3",
            "3 requests a minute",
            Setup::new(3),
            0.99,
            0.0005,
        ),
        case("known-10", "10 a minute", requests_of_ten(), 0.99, 0.0005),
        case("known-60", "60 a minute", Setup::new(60), 0.87, 0.0005),
        case("known-200", "200 a minute", Setup::new(200), 0.92, 0.0005),
        case(
            "known-3000",
            "3,000 a minute",
            Setup::new(3_000),
            0.96,
            0.0005,
        ),
        Case {
            is_slow: true,
            ..case(
                "known-30000",
                "30,000 a minute",
                Setup::new(30_000),
                0.96,
                0.0005,
            )
        },
    ]
}
