//! Exact counts against peers, as tables in Markdown.
//!
//! Engines take turns within a round, and the time is that of the processor, so that a busy machine is fair to all.

use std::{hint::black_box, process::Command};

use benches_peers::{Engine, KINDS, NAMES, cpu_seconds, texts, worst_cases};

const SHORT: &str = "Please summarise the following report in three sentences, and name the two figures that changed most since \
the last quarter. 请用中文回答。";
/// Sizes of what is hard. Linear is twice the time for twice the text. Unit: bytes.
const SIZES: [usize; 3] = [250_000, 500_000, 1_000_000];
/// An engine that takes longer than this for one text is not given a larger one. Unit: seconds.
const PATIENCE: f64 = 5.0;
/// Asks this program for one engine's first sight of the held-out half.
const FIRST_SIGHT: &str = "--first-sight";

fn main() {
    let mut arguments = std::env::args().skip_while(|argument| argument != FIRST_SIGHT);
    if let Some(name) = arguments.nth(1) {
        return first_sight(&name);
    }
    ordinary("seen before: the same texts again and again", seen_before());
    let rounds: Vec<_> = (0..5).map(|_| NAMES.map(ask)).collect();
    ordinary(
        "first sight: each text once, in a fresh process that has counted `corpus/fit`; mixed are the other languages",
        medians(&rounds),
    );
    let engines = NAMES.map(Engine::load);
    short(&engines);
    worst(&engines);
    differences(&engines);
}

/// MB/s by engine and kind.
type Speeds = Vec<Vec<f64>>;

fn seen_before() -> Speeds {
    let engines = NAMES.map(Engine::load);
    let kinds = KINDS.map(|(_, directories)| texts("held_out", directories));
    let rounds: Vec<[Vec<f64>; NAMES.len()]> = (0..7)
        .map(|_| {
            engines
                .each_ref()
                .map(|engine| kinds.iter().map(|texts| speed(engine, texts)).collect())
        })
        .collect();
    medians(&rounds)
}

fn first_sight(name: &str) {
    let engine = Engine::load(name);
    for text in texts("fit", &[]) {
        black_box((engine.count)(&text));
    }
    for (kind, directories) in KINDS {
        // Only what no other kind has shown.
        let mut texts = texts("held_out", directories);
        if directories.is_empty() {
            let shown = KINDS.iter().flat_map(|(_, directories)| *directories);
            let shown: Vec<String> = shown
                .flat_map(|d| benches_peers::texts("held_out", &[d]))
                .collect();
            texts.retain(|text| !shown.contains(text));
        }
        println!("{kind}: {}", speed(&engine, &texts));
    }
}

fn ask(name: &str) -> Vec<f64> {
    let program = std::env::current_exe().expect("this program has a path");
    let output = Command::new(program).args([FIRST_SIGHT, name]).output();
    let output = String::from_utf8(output.expect("it runs").stdout).expect("it prints text");
    output
        .lines()
        .filter_map(|line| line.rsplit_once(": ")?.1.parse().ok())
        .collect()
}

/// MB/s of one pass.
fn speed(engine: &Engine, texts: &[String]) -> f64 {
    let bytes: usize = texts.iter().map(String::len).sum();
    bytes as f64 / seconds(|| texts.iter().map(|text| (engine.count)(text)).sum()) / 1e6
}

fn seconds(count: impl FnOnce() -> usize) -> f64 {
    let start = cpu_seconds();
    black_box(count());
    cpu_seconds() - start
}

fn medians(rounds: &[[Vec<f64>; NAMES.len()]]) -> Speeds {
    let of = |engine: usize, kind: usize| {
        median(rounds.iter().map(|round| round[engine][kind]).collect())
    };
    (0..NAMES.len())
        .map(|engine| (0..KINDS.len()).map(|kind| of(engine, kind)).collect())
        .collect()
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn ordinary(title: &str, speeds: Speeds) {
    println!("\nOrdinary texts, {title}. MB/s\n");
    heading("", KINDS.map(|(kind, _)| kind.to_owned()));
    for (name, speeds) in NAMES.iter().zip(speeds) {
        row(name, speeds.iter().map(|speed| format!("{speed:.1}")));
    }
}

fn short(engines: &[Engine]) {
    println!("\nA prompt of {} bytes. Microseconds\n", SHORT.len());
    heading("", NAMES.map(str::to_owned));
    let time = |engine: &Engine| {
        let rounds = (0..7).map(|_| {
            let count = || (0..2_000).map(|_| (engine.count)(black_box(SHORT))).sum();
            seconds(count) / 2_000.0 * 1e6
        });
        format!("{:.1}", median(rounds.collect()))
    };
    row("", engines.iter().map(time));
}

fn worst(engines: &[Engine]) {
    let sizes = SIZES.map(|size| (size / 1_000).to_string()).join(" / ");
    println!("\nWithout a break, or random, each text once: {sizes} kB. Milliseconds\n");
    heading("", NAMES.map(str::to_owned));
    // Lengths that differ a little: whoever caches pieces has not seen them.
    let by_size = SIZES.map(|size| [0, 30, 60].map(|more| worst_cases(size + more)));
    for (at, worst) in by_size[0][0].iter().enumerate() {
        let times = engines.iter().map(|engine| {
            let mut patient = true;
            let times = by_size.each_ref().map(|shots| {
                if !patient {
                    return "-".to_owned();
                }
                let shots = shots.iter();
                let time = median(
                    shots
                        .map(|cases| seconds(|| (engine.count)(&cases[at].text)))
                        .collect(),
                );
                patient = time < PATIENCE;
                format!("{:.0}", time * 1e3)
            });
            times.join(" / ")
        });
        row(worst.name, times);
    }
}

/// Whoever is compared counts alike, but where it says so.
fn differences(engines: &[Engine]) {
    let mut all: Vec<(String, String)> = Vec::new();
    for half in ["held_out", "fit"] {
        all.extend(
            texts(half, &[])
                .into_iter()
                .map(|text| ("the corpus".to_owned(), text)),
        );
    }
    let specials = "<|im_start|>user\nhi<|im_end|>\n<think>\n\n</think>";
    all.push(("special tokens".to_owned(), specials.to_owned()));
    let worst = worst_cases(100_000).into_iter();
    all.extend(worst.map(|worst| (worst.name.to_owned(), worst.text)));
    println!("\nCounted otherwise than by us, of {} texts:\n", all.len());
    for engine in &engines[1..] {
        let mut differ: Vec<&str> = Vec::new();
        for (name, text) in &all {
            if (engine.count)(text) != (engines[0].count)(text) {
                differ.push(name);
            }
        }
        let count = differ.len();
        differ.dedup();
        println!("- {}: {count} {differ:?}", engine.name);
    }
}

fn heading<const N: usize>(first: &str, names: [String; N]) {
    row(first, names);
    println!("|---|{}", "---|".repeat(N));
}

fn row(name: &str, cells: impl IntoIterator<Item = String>) {
    let cells: Vec<String> = cells.into_iter().collect();
    println!("| {name} | {} |", cells.join(" | "));
}
