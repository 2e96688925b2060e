//! The comparison: its table, and its charts.

use std::fs;
use std::io;
use std::time::Duration;

use anyhow::{Context, bail};
use goodput::args::Args;
use goodput::chart;
use goodput::compare::{self, Scenario};
use goodput::peers::{Peer, openai_python};

/// By the clock, seeds take their time one after the other.
const SEEDS: u64 = 3;

pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let minute = Duration::from_secs_f64(args.minute);
    let mut scenarios = compare::scenarios(minute);
    let chosen = |scenario: &Scenario| {
        let mut names = args.only.iter();
        args.only.is_empty() || names.any(|name| scenario.name.starts_with(name.as_str()))
    };
    scenarios.retain(chosen);
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
    let mut out = io::stdout().lock();
    compare::write_head(&mut out)?;
    let mut rows = Vec::new();
    for scenario in &scenarios {
        let seeds = args.seeds.unwrap_or(SEEDS);
        let medians = scenario.run(&peers, seeds)?;
        compare::write(&mut out, scenario, &peers, &medians)?;
        rows.push(medians);
    }
    if !args.only.is_empty() {
        return Ok(());
    }
    let write = |name: &str, svg: String| {
        let path = args.charts.join(name);
        fs::write(&path, svg).with_context(|| format!("{} cannot be written", path.display()))
    };
    write("goodput.svg", chart::shares(&scenarios, &peers, &rows))?;
    let halved = scenarios
        .iter()
        .zip(&rows)
        .find(|(scenario, _)| scenario.name == compare::HALVED_NAME);
    if let Some((scenario, rows)) = halved {
        write("goodput-halved.svg", chart::windows(scenario, &peers, rows))?;
    }
    Ok(())
}
