//! How much an admission costs beside two checks of governor's: the two take turns, block by block, so that both meet the
//! same machine.
//!
//! `cargo bench -p tower-qwen-ratelimit --bench ratio`
//!
//! With `--calls N`, ours alone, so often: two such runs under `valgrind --tool=callgrind` differ by the instructions of the
//! calls alone.
#![allow(missing_docs)]

mod subjects;

use std::{env, thread, time::Duration};

use governor::clock::{DefaultClock, MonotonicClock};
use subjects::{Governor, KEYS, acquire, keys, limiter, next, try_acquire};
use tower_qwen_ratelimit::{Discipline, Key, Limiter};
use tower_qwen_tokens::internal::clock;

const ROUNDS: usize = 31;
const BLOCK: u32 = 100_000;

/// The time of one run in nanoseconds, in each round.
struct Timed {
    name: &'static str,
    nanos: Vec<f64>,
}

/// What a run takes in each of so many threads that all run at one time.
fn time(threads: usize, keys: &[Key], run: impl Fn(&Key) + Sync) -> f64 {
    let block = || {
        let mut at = 0;
        for _ in 0..BLOCK {
            run(&keys[next(&mut at, keys.len())]);
        }
    };
    let begin = clock::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(block);
        }
    });
    nanos(clock::now() - begin) / f64::from(BLOCK)
}

fn nanos(took: Duration) -> f64 {
    took.as_secs_f64() * 1e9
}

fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(name: &str, threads: usize, keys: &[Key]) {
    let own_clock = Governor::new(&DefaultClock::default(), keys);
    let same_clock = Governor::new(&MonotonicClock, keys);
    let ours: Limiter = limiter(keys, Discipline::Fifo);
    let mut timed = [
        "governor, its own clock",
        "governor, the system's clock",
        "ours: try_acquire to drop",
        "ours: acquire to drop",
    ]
    .map(|name| Timed {
        name,
        nanos: Vec::with_capacity(ROUNDS),
    });
    for _ in 0..ROUNDS {
        let round = [
            time(threads, keys, |key| assert!(own_clock.check(key))),
            time(threads, keys, |key| assert!(same_clock.check(key))),
            time(threads, keys, |key| try_acquire(&ours, key)),
            time(threads, keys, |key| acquire(&ours, key)),
        ];
        for (timed, nanos) in timed.iter_mut().zip(round) {
            timed.nanos.push(nanos);
        }
    }
    println!("{name}");
    let [own, same, ..] = &timed;
    for subject in &timed {
        let against = |peer: &Timed| {
            let pairs = subject.nanos.iter().zip(&peer.nanos);
            median(pairs.map(|(ours, theirs)| ours / theirs))
        };
        println!(
            "  {:30} {:6.0} ns   {:.2} times governor on its own clock, {:.2} on the system's",
            subject.name,
            median(subject.nanos.iter().copied()),
            against(own),
            against(same),
        );
    }
}

/// The number behind `--calls`.
fn calls_alone() -> Option<u32> {
    let mut arguments = env::args().skip_while(|argument| argument != "--calls");
    arguments.nth(1)?.parse().ok()
}

fn main() {
    if let Some(calls) = calls_alone() {
        let keys = keys(1);
        let ours = limiter(&keys, Discipline::Fifo);
        (0..calls).for_each(|_| acquire(&ours, &keys[0]));
        return;
    }
    compare("1 key", 1, &keys(1));
    compare("1 key, two threads", 2, &keys(1));
    compare("100,000 keys", 1, &keys(KEYS));
}
