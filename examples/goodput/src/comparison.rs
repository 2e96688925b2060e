//! The comparison: its tables, and its charts.

use std::fs;
use std::time::Duration;

use anyhow::{Context, bail};
use goodput::args::Args;
use goodput::chart;
use goodput::compare::{self, Medians};
use goodput::compare_table;
use goodput::peers::{Peer, openai_python};
use goodput::scenario::{self, Scenario};

use crate::document;

/// By the clock, seeds take their time one after the other.
const SEEDS: u64 = 3;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let minute = Duration::from_secs_f64(args.minute);
    let mut scenarios = scenario::all(minute);
    if !args.only.is_empty() {
        let names: Vec<&str> = scenarios.iter().map(|scenario| scenario.name).collect();
        // A whole name is that scenario alone.
        let is_meant = |wanted: &str, name: &str| {
            name == wanted || (name.starts_with(wanted) && !names.contains(&wanted))
        };
        scenarios.retain(|scenario| {
            let mut wanted = args.only.iter();
            wanted.any(|wanted| is_meant(wanted, scenario.name))
        });
    }
    if scenarios.is_empty() {
        bail!("no such scenario");
    }
    let mut peers = Peer::ALL.to_vec();
    if args.openai_python {
        if !openai_python::is_there() {
            bail!("python3 has no package openai");
        }
        peers.push(Peer::OpenAiPython);
    }
    let mut medians = Vec::new();
    for scenario in &scenarios {
        eprintln!("{}", scenario.name);
        medians.push(compare::run(scenario, &peers, args.seeds.unwrap_or(SEEDS))?);
    }
    let tables = compare_table::tables(&scenarios, &peers, &medians);
    for (mark, table) in &tables {
        println!("<!-- {mark} -->\n\n{table}");
    }
    if args.write {
        document::replace(&args.document(), &tables)?;
    }
    draw(args, &scenarios, &peers, &medians)
}

/// Draws each chart all of whose scenarios were run.
fn draw(
    args: &Args,
    scenarios: &[Scenario],
    peers: &[Peer],
    medians: &[Medians],
) -> anyhow::Result<()> {
    let write = |name: &str, svg: String| {
        let path = args.docs.join(name);
        fs::write(&path, svg).with_context(|| format!("{} cannot be written", path.display()))
    };
    let all = || scenarios.iter().zip(medians);
    if args.only.is_empty() {
        write("goodput.svg", chart::shares(peers, all()))?;
    }
    let few = || all().filter(|(scenario, _)| scenario::FEW.contains(&scenario.name));
    if few().count() == scenario::FEW.len() {
        write("goodput-few.svg", chart::shares(peers, few()))?;
    }
    for (name, file) in scenario::BY_WINDOW {
        for (scenario, medians) in all().filter(|(scenario, _)| scenario.name == name) {
            write(file, chart::windows(scenario, peers, &medians.rows))?;
        }
    }
    Ok(())
}
