use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn paused<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(test)
}

fn left(rate: &RequestRate, cell: &Cell) -> RequestsLeft {
    rate.left(cell, clock::now()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn the_whole_quota_at_once_then_evenly() {
    let rate = RequestRate::new(&Quota::per_minute(60, 1), clock::now());
    let cell = Cell::default();
    let all = RequestsLeft {
        limit: 60,
        now: 60,
        wait: Duration::ZERO,
        more_in: Duration::ZERO,
        all_in: Duration::ZERO,
    };
    assert_eq!(left(&rate, &cell), all);
    for taken in 1..=60 {
        assert_eq!(rate.take(&cell), Ok(()));
        assert_eq!(left(&rate, &cell).now, 60 - taken);
        assert_eq!(left(&rate, &cell).more_in, SECOND);
    }
    assert_eq!(rate.take(&cell), Err(SECOND));
    let none = left(&rate, &cell);
    assert_eq!((none.wait, none.all_in), (SECOND, 60 * SECOND));
    tokio::time::advance(SECOND).await;
    assert_eq!(rate.take(&cell), Ok(()));
    assert_eq!(rate.take(&cell), Err(SECOND));
    tokio::time::advance(60 * SECOND).await;
    assert_eq!(left(&rate, &cell), all);
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
    assert!(unlimited.left(&cell, clock::now()).is_none() && !unlimited.is_closed());
    assert_eq!(unlimited.take(&cell), Ok(()));
    let closed = RequestRate::new(&Quota::per_minute(0, 1), clock::now());
    assert!(closed.is_closed());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_is_left_foretells_what_is_taken(
        requests in 1..200u64, window in 1..100_000u64, steps in prop::collection::vec((0..3_000u64, 1..20u8), 1..30)
    ) {
        paused(async move {
            let quota = Quota::per_minute(requests, 1).window(Duration::from_millis(window));
            let rate = RequestRate::new(&quota, clock::now());
            let cell = Cell::default();
            for (pause, calls) in steps {
                tokio::time::advance(Duration::from_micros(pause * window / 1_000)).await;
                for _ in 0..calls {
                    let before = left(&rate, &cell);
                    let taken = rate.take(&cell);
                    prop_assert_eq!(taken.is_ok(), before.now > 0);
                    prop_assert_eq!(taken.err().unwrap_or_default(), before.wait);
                    let after = left(&rate, &cell);
                    prop_assert_eq!(after.now, before.now.saturating_sub(1));
                }
                let before = left(&rate, &cell);
                if before.more_in.is_zero() {
                    prop_assert_eq!(before.now, requests);
                    continue;
                }
                tokio::time::advance(before.more_in - Duration::from_nanos(1)).await;
                prop_assert_eq!(left(&rate, &cell).now, before.now);
                tokio::time::advance(Duration::from_nanos(1)).await;
                prop_assert_eq!(left(&rate, &cell).now, before.now + 1);
                tokio::time::advance(before.all_in - before.more_in).await;
                prop_assert_eq!(left(&rate, &cell).now, requests);
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
                prop_assert_eq!(left(&rate, &cell).now, u64::from(requests) - 1);
            } else {
                prop_assert!(rate.is_closed());
            }
            Ok(())
        })?;
    }
}
