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
    let case = |name, setup, least, most| {
        Case::with_times(name, setup, 1, vec![used(least), Bound::Throttled(most)])
    };
    vec![
        case("known-requests", of_size(Size::RequestsBind), 0.97, 0.0),
        case(
            "known-tokens",
            provider(|config| config.rpm *= 2),
            0.97,
            0.0,
        ),
        case("known-both", Setup::new(800), 0.955, 0.0005),
        case(
            "known-both-fixed",
            provider(|config| config.enforce = Enforce::Fixed),
            0.955,
            0.0005,
        ),
        case(
            "known-both-slices",
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
            of_size(Size::TokensBind),
            1,
            Vec::new(),
        ),
        Case::with_times(
            "known-both-slices-sliding",
            provider(counts_seconds),
            1,
            Vec::new(),
        ),
        Case::with_times(
            "known-both-growth",
            provider(|config| config.growth = Some(Growth::default())),
            1,
            Vec::new(),
        ),
        // Three and ten a minute are what the provider gives: not one call less.
        case("known-3", Setup::new(3), 0.99, 0.0005),
        case("known-10", requests_of_ten(), 0.99, 0.0005),
        case("known-60", Setup::new(60), 0.87, 0.0005),
        case("known-200", Setup::new(200), 0.92, 0.0005),
        case("known-3000", Setup::new(3_000), 0.96, 0.0005),
        Case {
            is_slow: true,
            ..case("known-30000", Setup::new(30_000), 0.96, 0.0005)
        },
    ]
}
