//! Exact counts against peers: ordinary texts, a short one, and a megabyte each of what is hard.

use std::time::Duration;

use benches_peers::{Engine, NAMES, corpus, worst_cases};
use criterion::{
    BenchmarkId, Criterion, SamplingMode, Throughput, criterion_group, criterion_main,
};

const SHORT: &str = "Please summarise the following report in three sentences, and name the two figures that changed most since \
the last quarter. 请用中文回答。";

fn count(criterion: &mut Criterion) {
    let engines: Vec<Engine> = NAMES.iter().map(|name| Engine::load(name)).collect();
    let texts = corpus();
    check(&engines, &texts);

    let bytes: usize = texts.iter().map(String::len).sum();
    let mut group = criterion.benchmark_group("ordinary texts, seen before");
    group
        .sampling_mode(SamplingMode::Flat)
        .sample_size(10)
        .throughput(Throughput::Bytes(bytes as u64));
    for engine in &engines {
        group.bench_function(engine.name, |b| {
            b.iter(|| texts.iter().map(|text| (engine.count)(text)).sum::<usize>());
        });
    }
    group.finish();

    let mut group = criterion.benchmark_group("a short prompt");
    group.throughput(Throughput::Bytes(SHORT.len() as u64));
    for engine in &engines {
        group.bench_function(engine.name, |b| {
            b.iter(|| (engine.count)(std::hint::black_box(SHORT)))
        });
    }
    group.finish();

    for worst in worst_cases(1 << 20) {
        let mut group = criterion.benchmark_group(format!("1 MiB of {}", worst.name));
        group
            .sampling_mode(SamplingMode::Flat)
            .sample_size(10)
            .throughput(Throughput::Bytes(worst.text.len() as u64));
        for engine in &engines {
            group.bench_function(engine.name, |b| b.iter(|| (engine.count)(&worst.text)));
        }
        group.finish();
    }

    // Linear: the bytes per second stay as the text grows.
    for size in [1 << 18, 1 << 20, 1 << 22] {
        let mut group = criterion.benchmark_group("ours, by size");
        group
            .sampling_mode(SamplingMode::Flat)
            .sample_size(10)
            .throughput(Throughput::Bytes(size as u64));
        for worst in worst_cases(size) {
            let id = BenchmarkId::new(worst.name, size);
            group.bench_function(id, |b| b.iter(|| (engines[0].count)(&worst.text)));
        }
        group.finish();
    }
}

/// Whoever is compared counts alike. `tiktoken` by itself lacks NFC.
fn check(engines: &[Engine], texts: &[String]) {
    for engine in &engines[1..] {
        let differ = texts
            .iter()
            .filter(|text| (engine.count)(text) != (engines[0].count)(text));
        println!(
            "{}: {} of {} texts counted otherwise",
            engine.name,
            differ.count(),
            texts.len()
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2));
    targets = count
}
criterion_main!(benches);
