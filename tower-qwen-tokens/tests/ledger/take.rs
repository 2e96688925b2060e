//! Taking the sums loses nothing.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use http::StatusCode;
use proptest::prelude::*;
use tower_qwen_tokens::{
    Ledger, Usage,
    ledger::{Basis, End, Entry, Snapshot},
};

use crate::entry;

const MODELS: [&str; 2] = ["qwen-plus", "qwen2"];

#[test]
fn nothing_is_lost_between_threads() {
    const THREADS: usize = 4;
    const CALLS: usize = 10_000;
    let ledger = Ledger::default();
    let is_over = AtomicBool::new(false);
    let mut all = Snapshot::default();
    thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let ledger = ledger.clone();
                scope.spawn(move || {
                    for call in 0..CALLS {
                        let entry = entry(MODELS[(thread + call) % 2], 3, 2).tenant("acme");
                        ledger.record(&entry.label("thread", thread.to_string()));
                    }
                })
            })
            .collect();
        let taker = scope.spawn(|| {
            let mut taken = Snapshot::default();
            while !is_over.load(Ordering::Acquire) {
                taken.merge(&ledger.take());
            }
            taken
        });
        let reader = scope.spawn(|| {
            while !is_over.load(Ordering::Acquire) {
                let seen = ledger.snapshot();
                let calls: u64 = seen.models.values().map(|totals| totals.calls).sum();
                assert_eq!(calls, seen.total.calls, "no snapshot is half a call");
            }
        });
        for writer in writers {
            writer.join().expect("no panic");
        }
        is_over.store(true, Ordering::Release);
        reader.join().expect("no panic");
        all.merge(&taker.join().expect("no panic"));
    });
    all.merge(&ledger.take());
    let calls = (THREADS * CALLS) as u64;
    assert_eq!(all.total.calls, calls);
    assert_eq!(all.total.input_tokens, calls * 3);
    assert_eq!(all.tenants["acme"].output_tokens, calls * 2);
    assert_eq!(all.models["qwen2"].calls, calls / 2);
    for thread in 0..THREADS {
        assert_eq!(
            all.labels["thread"][&thread.to_string()].calls,
            CALLS as u64
        );
    }
    let sum: i128 = all
        .models
        .values()
        .map(|totals| totals.cost[0].pico())
        .sum();
    assert_eq!(all.total.cost[0].pico(), sum);
    assert_eq!(ledger.snapshot(), Snapshot::default());
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let model = prop::sample::select(vec!["qwen-plus", "qwen2", "unknown"]);
    let basis = prop::sample::select(vec![Basis::Reported, Basis::Estimated, Basis::Unknown]);
    let end = prop::sample::select(vec![End::Complete, End::Failed, End::Cancelled]);
    let part = || prop::option::of(0_u64..10_000);
    let usage = prop::array::uniform5(part());
    let status = prop::option::of(prop::sample::select(vec![
        StatusCode::OK,
        StatusCode::BAD_GATEWAY,
    ]));
    (model, basis, end, usage, status, part(), 0_u32..4).prop_map(
        |(model, basis, end, [input, output, cached, written, thought], status, millis, label)| {
            let mut entry = Entry::new(model, Usage::default(), basis, end);
            entry.usage.input_tokens = input;
            entry.usage.output_tokens = output;
            entry.usage.cached_tokens = cached;
            entry.usage.cache_write_tokens = written;
            entry.usage.reasoning_tokens = thought;
            entry.status = status;
            entry.first_token = millis.map(Duration::from_millis);
            entry.duration = input.map(Duration::from_micros);
            if label % 2 == 0 {
                entry = entry.tenant(label.to_string());
            }
            entry.label("l", label.to_string())
        },
    )
}

proptest! {
    /// However often the sums are taken, together they are those of a ledger that was never emptied.
    #[test]
    fn what_is_taken_adds_up(
        calls in prop::collection::vec((any_entry(), any::<bool>()), 0..60),
    ) {
        let (kept, taken) = (Ledger::default(), Ledger::default());
        let mut all = Snapshot::default();
        for (entry, is_taken) in calls {
            kept.record(&entry);
            taken.record(&entry);
            if is_taken {
                all.merge(&taken.take());
            }
        }
        all.merge(&taken.take());
        prop_assert_eq!(all, kept.snapshot());
    }
}
