//! One engine, one pass over texts it has not seen: MB/s after a warm-up on every other text.
//!
//! `first_sight <number of the engine>`; a fresh process for each.

use std::time::Instant;

use benches_peers::{Engine, NAMES, corpus};

#[allow(clippy::disallowed_methods)]
fn main() {
    let number = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .unwrap_or(0);
    let start = Instant::now();
    let engine = Engine::load(NAMES[number]);
    let loaded = start.elapsed();
    let texts = corpus();
    let (warm, held_out): (Vec<_>, Vec<_>) =
        texts.iter().enumerate().partition(|(at, _)| at % 2 == 0);
    let pass = |texts: &[(usize, &String)]| {
        let bytes: usize = texts.iter().map(|(_, text)| text.len()).sum();
        let start = Instant::now();
        let tokens: usize = texts.iter().map(|(_, text)| (engine.count)(text)).sum();
        (bytes as f64 / start.elapsed().as_secs_f64() / 1e6, tokens)
    };
    let (cold, _) = pass(&warm);
    let (first_sight, tokens) = pass(&held_out);
    println!(
        "{:24} cold {cold:6.1} MB/s, first sight {first_sight:6.1} MB/s, {tokens} tokens, loaded in {} ms",
        engine.name,
        loaded.as_millis()
    );
}
