//! What is predicted of a wait, against the wait.

use super::*;

/// A store that lets one call go every tenth of a second.
struct Store {
    tail: clock::Instant,
}

const EACH: Duration = Duration::from_millis(100);

impl Store {
    fn book(&mut self, fleet: &mut Fleet) {
        fleet.take_ops();
        if fleet.requested.is_some() {
            let now = clock::now();
            self.tail = self.tail.max(now) + EACH;
            fleet.answer(BookingReply::In(self.tail - now));
        }
    }

    fn beat(&self, fleet: &Fleet, busy: u64) {
        let ahead = self.tail - clock::now().min(self.tail);
        fleet.reply(HeartbeatReply {
            busy,
            booked_ahead: ahead,
            ..heartbeat_reply(busy, Fraction::ZERO, u64::MAX)
        });
    }
}

/// Processes whose queues are as long as each other have their turns one after the other. What a
/// newcomer is reported is true within one booking of each process.
#[tokio::test(start_paused = true)]
async fn predictions_are_true_within_one_booking_of_each_process() {
    for processes in [1, 2, 4] {
        for queued in [0, 1, 5, 20] {
            let of_one = Quota::per_minute(600, u64::MAX >> 20).headroom(0);
            let mut fleets: Vec<_> = (0..processes)
                .map(|_| {
                    Fleet::new(
                        of_one,
                        Sharing::Booking,
                        OutagePolicy::Unlimited,
                        Discipline::Fifo,
                    )
                })
                .collect();
            let mut store = Store {
                tail: clock::now() + EACH,
            };
            let mut calls: Vec<Vec<_>> = fleets
                .iter()
                .map(|fleet| (0..queued).map(|_| task::spawn(fleet.acquire(1))).collect())
                .collect();
            for (fleet, calls) in fleets.iter_mut().zip(&mut calls) {
                calls.iter_mut().for_each(|call| drop(call.poll()));
                store.book(fleet);
            }
            for fleet in &fleets {
                store.beat(fleet, processes);
            }
            let cost = Cost::new(1, OutputLimit::NoOutput);
            let newcomer = &fleets[0].account;
            let predicted = newcomer.wait_of(cost, clock::now()).unwrap();
            let came = clock::now();
            for (fleet, calls) in fleets.iter().zip(&mut calls) {
                calls.push(task::spawn(fleet.acquire(1)));
            }
            let waited = loop {
                for (fleet, calls) in fleets.iter_mut().zip(&mut calls) {
                    calls.retain_mut(|call| call.poll().is_pending());
                    store.book(fleet);
                }
                if calls[0].is_empty() {
                    break clock::now().saturating_duration_since(came);
                }
                advance(TICK).await;
            };
            let bound = EACH * u32::try_from(processes).unwrap() + 2 * TICK;
            assert!(
                waited.abs_diff(predicted) <= bound,
                "{processes} processes, {queued} ahead: {predicted:?}, {waited:?}"
            );
        }
    }
}
