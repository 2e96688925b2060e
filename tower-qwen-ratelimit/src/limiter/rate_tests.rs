use std::time::Duration;

use proptest::prelude::*;
use tower_qwen_tokens::internal::clock;

use super::rate::{Cell, RequestRate};
use crate::{account::QuotaStatus, quota::Quota};

const SECOND: Duration = Duration::from_secs(1);

fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

fn status(rate: &RequestRate, cell: &Cell) -> QuotaStatus {
    rate.status(cell, clock::now()).unwrap()
}

fn wait(rate: &RequestRate, cell: &Cell) -> Duration {
    rate.wait(cell, clock::now())
}

#[tokio::test(start_paused = true)]
async fn the_whole_quota_at_once_then_evenly() {
    let rate = RequestRate::new(&Quota::per_minute(60, 1), clock::now());
    let cell = Cell::default();
    let all = QuotaStatus {
        limit: 60,
        remaining: 60,
        more_in: Duration::ZERO,
        full_in: Duration::ZERO,
    };
    assert_eq!(status(&rate, &cell), all);
    for taken in 1..=60 {
        assert_eq!(rate.take(&cell), Ok(()));
        assert_eq!(status(&rate, &cell).remaining, 60 - taken);
        assert_eq!(status(&rate, &cell).more_in, SECOND);
    }
    assert_eq!(rate.take(&cell), Err(SECOND));
    assert_eq!(wait(&rate, &cell), SECOND);
    assert_eq!(status(&rate, &cell).full_in, 60 * SECOND);
    tokio::time::advance(SECOND).await;
    assert_eq!(rate.take(&cell), Ok(()));
    assert_eq!(rate.take(&cell), Err(SECOND));
    tokio::time::advance(60 * SECOND).await;
    assert_eq!(status(&rate, &cell), all);
}

#[tokio::test(start_paused = true)]
async fn cells_do_not_share() {
    let rate = RequestRate::new(&Quota::per_minute(1, 1), clock::now());
    let (cell, other) = (Cell::default(), Cell::default());
    assert_eq!(rate.take(&cell), Ok(()));
    assert_eq!(rate.take(&cell.clone()), Err(60 * SECOND));
    assert_eq!(rate.take(&other), Ok(()));
    assert!(cell == cell.clone() && cell != other);
}

#[tokio::test(start_paused = true)]
async fn no_limit_and_no_requests() {
    let unlimited = RequestRate::new(&Quota::per_minute(u64::MAX, 1), clock::now());
    let cell = Cell::default();
    assert!(unlimited.status(&cell, clock::now()).is_none() && !unlimited.is_closed());
    assert_eq!(unlimited.take(&cell), Ok(()));
    let closed = RequestRate::new(&Quota::per_minute(0, 1), clock::now());
    assert!(closed.is_closed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_status_predicts_what_can_be_taken(
        requests in 1..200u64, window in 1..100_000u64, steps in prop::collection::vec((0..3_000u64, 1..20u8), 1..30)
    ) {
        paused(async move {
            let quota = Quota::per_minute(requests, 1).window(Duration::from_millis(window));
            let rate = RequestRate::new(&quota, clock::now());
            let cell = Cell::default();
            for (rest, calls) in steps {
                tokio::time::advance(Duration::from_micros(rest * window / 1_000)).await;
                for _ in 0..calls {
                    let (before, wait) = (status(&rate, &cell), wait(&rate, &cell));
                    let taken = rate.take(&cell);
                    prop_assert_eq!(taken.is_ok(), before.remaining > 0);
                    prop_assert_eq!(taken.err().unwrap_or_default(), wait);
                    let after = status(&rate, &cell);
                    prop_assert_eq!(after.remaining, before.remaining.saturating_sub(1));
                }
                let before = status(&rate, &cell);
                if before.more_in.is_zero() {
                    prop_assert_eq!(before.remaining, requests);
                    continue;
                }
                tokio::time::advance(before.more_in - Duration::from_nanos(1)).await;
                prop_assert_eq!(status(&rate, &cell).remaining, before.remaining);
                tokio::time::advance(Duration::from_nanos(1)).await;
                prop_assert_eq!(status(&rate, &cell).remaining, before.remaining + 1);
                tokio::time::advance(before.full_in - before.more_in).await;
                prop_assert_eq!(status(&rate, &cell).remaining, requests);
            }
            Ok(())
        })?;
    }

    #[test]
    fn never_faster_than_the_quota(requests: u32, window in 1..u64::MAX) {
        paused(async move {
            let quota = Quota::per_minute(requests.into(), 1).window(Duration::from_nanos(window));
            let rate = RequestRate::new(&quota, clock::now());
            let cell = Cell::default();
            if let Some(governor) = &rate.governor {
                let whole = u128::from(governor.interval) * u128::from(requests);
                prop_assert!(whole >= u128::from(quota.window_nanos()));
                prop_assert_eq!(rate.take(&cell), Ok(()));
                prop_assert_eq!(status(&rate, &cell).remaining, u64::from(requests) - 1);
            } else {
                prop_assert!(rate.is_closed());
            }
            Ok(())
        })?;
    }
}
