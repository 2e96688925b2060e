//! Calls at one time, divided between processes.

use super::*;

const MOST: u64 = 8;

fn fleet() -> Fleet {
    // A burst of ten calls: it is slots that they wait for.
    let quota = quota().concurrency(MOST).burst(Duration::from_secs(1));
    Fleet::new(
        quota,
        Sharing::Lease,
        OutagePolicy::Unlimited,
        Discipline::Fifo,
    )
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_slot_requests_more_once() {
    let mut fleet = fleet();
    advance(Duration::from_secs(2)).await;
    fleet.grant(1, Fraction::WHOLE, 2);
    let mut calls: Vec<_> = (0..MOST).map(|_| task::spawn(fleet.acquire(10))).collect();
    let mut running = Vec::new();
    let mut admitted = || {
        calls.retain_mut(|call: &mut task::Spawn<Acquire>| match call.poll() {
            Poll::Ready(admitted) => {
                running.extend(admitted);
                false
            }
            Poll::Pending => true,
        });
        running.len()
    };
    fleet.take_ops();
    let before = fleet.beats;
    assert_eq!(admitted(), 2);
    fleet.take_ops();
    assert_eq!(fleet.beats, before + 1, "six wait, and one asks");

    // As many as before: there are no more, and asking again at once would not help.
    fleet.grant(1, Fraction::WHOLE, 2);
    assert_eq!(admitted(), 2);
    fleet.take_ops();
    assert_eq!(fleet.beats, before + 1);

    fleet.grant(1, Fraction::WHOLE, MOST);
    assert_eq!(admitted(), MOST as usize);
}

#[tokio::test(start_paused = true)]
async fn another_quota_leaves_the_slots_divided() {
    for (most, slots) in [(16, 2), (4, 2), (1, 1), (u64::MAX, u64::MAX)] {
        let fleet = fleet();
        fleet.grant(4, Fraction::WHOLE, 2);
        let changed = quota().concurrency(most);
        fleet.account.set_quota(changed, clock::now());
        assert_eq!(fleet.account.snapshot(clock::now()).may_run, slots);
    }
    let fleet = Fleet::new(
        quota(),
        Sharing::Lease,
        OutagePolicy::Unlimited,
        Discipline::Fifo,
    );
    fleet.grant(4, Fraction::WHOLE, 0);
    fleet
        .account
        .set_quota(quota().concurrency(MOST), clock::now());
    assert_eq!(fleet.account.snapshot(clock::now()).may_run, MOST / 4);
}
