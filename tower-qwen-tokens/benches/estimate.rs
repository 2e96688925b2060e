//! How many bytes the estimator reads in a second, by language and kind of text.
//!
//! `cargo bench -p tower-qwen-tokens --bench estimate`. Reads `corpus/held_out`, which the package leaves out: run it in the
//! repository.
#![allow(missing_docs)]

use std::{fs, hint::black_box, path::Path, time::Duration};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tower_qwen_tokens::estimate::estimate_text;

fn estimate(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("estimate");
    group
        .warm_up_time(Duration::from_millis(300))
        .measurement_time(Duration::from_secs(1))
        .sample_size(40);
    for (kind, texts) in kinds() {
        let bytes: usize = texts.iter().map(String::len).sum();
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(kind, |b| {
            b.iter(|| {
                let texts = texts.iter();
                texts
                    .map(|text| estimate_text(black_box(text)))
                    .sum::<u64>()
            });
        });
    }
    group.finish();
}

/// The directories of the corpus, and the texts in each.
fn kinds() -> Vec<(String, Vec<String>)> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/held_out");
    let list = |directory: &Path| {
        let entries = fs::read_dir(directory).expect("the corpus is there");
        let mut paths: Vec<_> = entries
            .map(|entry| entry.expect("the corpus can be read").path())
            .collect();
        paths.sort();
        paths
    };
    list(&corpus)
        .into_iter()
        .filter(|path| path.is_dir())
        .map(|path| {
            let kind = path.file_name().unwrap_or_default();
            let texts = list(&path).into_iter().map(fs::read_to_string);
            let texts: Result<_, _> = texts.collect();
            (
                kind.to_string_lossy().into_owned(),
                texts.expect("the corpus can be read"),
            )
        })
        .collect()
}

criterion_group!(benches, estimate);
criterion_main!(benches);
