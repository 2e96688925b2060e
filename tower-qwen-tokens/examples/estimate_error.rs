//! How far off the estimator is, by language and kind of text, before and after calibration.
//!
//! `cargo run --release -p tower-qwen-tokens --example estimate_error`
//!
//! Reads `corpus/held_out`, of which nothing was fitted, and its true counts. "signed" is of the sums: what a quota feels.
//!
//! After calibration: a random half of a kind's documents are the calls that the calibration learns from, over and over until
//! they are 50 of each script, and the other half is held out; "signed" is how far off its sum is, either way, on the mean of
//! 400 such draws. "chance" is what it would be if the documents were no more than random draws around one true ratio: both
//! halves are small. "of 50" is what chance leaves after 50 unlike calls, where there are many to test.

use std::{collections::BTreeMap, error::Error, fs, path::Path};

use tower_qwen_tokens::estimate::{Calibration, Estimated, Script, estimate_text};

const CALLS: usize = 50;
const DRAWS: u64 = 400;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

struct Document {
    estimated: Estimated,
    actual: u64,
}

#[derive(Default)]
struct Errors {
    relative: Vec<f64>,
    estimated: f64,
    actual: f64,
}

fn main() -> Result<()> {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/held_out");
    let kinds = read(&corpus)?;

    println!(
        "{:44}  after {CALLS} calls\n{:12}{:>6}{:>8}{:>8}{:>10}  {:>8}{:>8}{:>10}{:>10}{:>8}",
        "",
        "kind",
        "docs",
        "mean %",
        "p95 %",
        "signed %",
        "mean %",
        "p95 %",
        "signed %",
        "chance %",
        "of 50 %"
    );
    let mut all = Errors::default();
    let mut all_calibrated = Errors::default();
    let mut scripts: BTreeMap<Script, Vec<&Document>> = BTreeMap::new();
    for (kind, documents) in &kinds {
        let documents: Vec<&Document> = documents.iter().collect();
        row(kind, &documents, &mut all, &mut all_calibrated);
        for document in documents {
            scripts
                .entry(document.estimated.script)
                .or_default()
                .push(document);
        }
    }
    println!(
        "{:12}{:>6}{all}{:+10.1}  {all_calibrated}",
        "all",
        all.relative.len(),
        all.signed()
    );

    println!("\nby script, languages mixed:");
    for (script, documents) in &scripts {
        row(
            script.as_str(),
            documents,
            &mut Errors::default(),
            &mut Errors::default(),
        );
    }
    Ok(())
}

fn row(name: &str, documents: &[&Document], all: &mut Errors, all_calibrated: &mut Errors) {
    let mut raw = Errors::default();
    for document in documents {
        raw.add(document.estimated.tokens, document.actual);
        all.add(document.estimated.tokens, document.actual);
    }
    let mut calibrated = Errors::default();
    let mut signed = 0.0;
    for draw in 0..DRAWS {
        let shuffled = shuffled(documents, draw);
        let (learned, held_out) = shuffled.split_at(shuffled.len() / 2);
        let mut half = Errors::default();
        let calibration = Calibration::new();
        for script in Script::ALL {
            let of_script = |document: &&&Document| document.estimated.script == script;
            let calls = learned.iter().filter(of_script);
            if calls.clone().count() == 0 {
                continue;
            }
            for call in calls.cycle().take(CALLS) {
                calibration.learn("qwen", script, call.estimated.tokens, call.actual);
            }
            for document in held_out.iter().filter(of_script) {
                let tokens = calibration.apply("qwen", document.estimated);
                half.add(tokens, document.actual);
                calibrated.add(tokens, document.actual);
                all_calibrated.add(tokens, document.actual);
            }
        }
        signed += half.signed().abs() / DRAWS as f64;
    }
    let half = documents.len() as f64 / 2.0;
    println!(
        "{name:12}{:>6}{raw}{:+10.1}  {calibrated}{signed:10.1}{:10.1}{:8.1}",
        documents.len(),
        raw.signed(),
        chance(documents, half / 2.0),
        chance(documents, CALLS as f64),
    );
}

/// The mean of how far off the ratio of a sum of so many documents is, either way, if they are drawn at random. In percent.
fn chance(documents: &[&Document], drawn: f64) -> f64 {
    let sum = |of: fn(&Document) -> u64| documents.iter().map(|d| of(d) as f64).sum::<f64>();
    let actual = sum(|document| document.actual);
    let ratio = actual / sum(|document| document.estimated.tokens);
    let count = documents.len() as f64;
    let squares: f64 = documents
        .iter()
        .map(|d| (d.actual as f64 - ratio * d.estimated.tokens as f64).powi(2))
        .sum();
    let deviation = (squares / (count - 1.0)).sqrt() / (actual / count);
    // The mean of a normal distribution's absolute value.
    100.0 * std::f64::consts::FRAC_2_PI.sqrt() * deviation / drawn.sqrt()
}

fn read(corpus: &Path) -> Result<BTreeMap<String, Vec<Document>>> {
    let counts: BTreeMap<String, u64> =
        serde_json::from_str(&fs::read_to_string(corpus.join("counts.json"))?)?;
    let mut kinds: BTreeMap<String, Vec<Document>> = BTreeMap::new();
    for (path, actual) in counts {
        let text = fs::read_to_string(corpus.join(&path))?;
        let estimated = Estimated::of(&text);
        assert_eq!(estimated.tokens, estimate_text(&text));
        let kind = path.split('/').next().unwrap_or_default().to_owned();
        kinds
            .entry(kind)
            .or_default()
            .push(Document { estimated, actual });
    }
    Ok(kinds)
}

/// In an order that is always the same for the same draw.
fn shuffled<'a>(documents: &[&'a Document], draw: u64) -> Vec<&'a Document> {
    let mut state = 0x2545_f491_4f6c_dd1d_u64.wrapping_mul(2 * draw + 1);
    let mut shuffled = documents.to_vec();
    for at in (1..shuffled.len()).rev() {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        shuffled.swap(at, (state >> 33) as usize % (at + 1));
    }
    shuffled
}

impl Errors {
    fn add(&mut self, estimated: u64, actual: u64) {
        let (estimated, actual) = (estimated as f64, actual as f64);
        self.relative.push((estimated / actual - 1.0).abs());
        self.estimated += estimated;
        self.actual += actual;
    }

    /// In percent.
    fn signed(&self) -> f64 {
        (self.estimated / self.actual - 1.0) * 100.0
    }
}

impl std::fmt::Display for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut sorted = self.relative.clone();
        sorted.sort_by(f64::total_cmp);
        let mean = sorted.iter().sum::<f64>() / sorted.len() as f64;
        let p95 = sorted[(sorted.len() * 95).div_ceil(100) - 1];
        write!(f, "{:8.1}{:8.1}", mean * 100.0, p95 * 100.0)
    }
}
