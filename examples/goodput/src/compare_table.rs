//! The tables of a comparison, in Markdown.

use crate::compare::{Medians, Row};
use crate::peers::Peer;
use crate::scenario::Scenario;

/// The clients that are set against [`Peer::ReqwestRetry`], which has nothing but exponential backoff.
const AGAINST_BACKOFF: [Peer; 2] = [Peer::Ours, Peer::OursAtLeast];

/// Each table, and its mark in `docs/performance.md`: the shares used with throttles of 1,000 calls; waits; times to adapt; and how many
/// fewer throttles there are than with exponential backoff.
#[must_use]
pub fn tables(
    scenarios: &[Scenario],
    peers: &[Peer],
    medians: &[Medians],
) -> Vec<(String, String)> {
    let write = |mark: &str, head: &[&str], cells: &dyn Fn(&Medians) -> Vec<String>| {
        let mut table = line("provider", head.iter().map(|&name| name.to_owned()));
        table.push_str(&"|---".repeat(head.len() + 1));
        table.push_str("|\n");
        for (scenario, medians) in scenarios.iter().zip(medians) {
            table.push_str(&line(scenario.name, cells(medians).into_iter()));
        }
        (format!("clock: {mark}"), table)
    };
    let names: Vec<&str> = peers.iter().map(|peer| peer.name()).collect();
    let by_peer = |medians: &Medians, cell: &dyn Fn(&Row) -> String| -> Vec<String> {
        medians.rows.iter().map(cell).collect()
    };
    let with_ideal: Vec<&str> = ["ideal"].into_iter().chain(names.clone()).collect();
    let against = ["backoff", "given up"].into_iter();
    let against: Vec<&str> = against
        .chain(
            AGAINST_BACKOFF
                .iter()
                .flat_map(|peer| [peer.name(), "fewer"]),
        )
        .collect();
    vec![
        write("used", &with_ideal, &|medians| {
            let used = by_peer(medians, &|row| used(row, medians.ideal));
            [vec![format!("{:.3}", medians.ideal)], used].concat()
        }),
        write("waits", &names, &|medians| {
            by_peer(medians, &|row| {
                format!("{:.1}, {:.1}", row.waits.0, row.waits.1)
            })
        }),
        write("adapts", &names, &|medians| {
            by_peer(medians, &|row| row.adapted.clone())
        }),
        write("fewer", &against, &|medians| {
            against_backoff(peers, medians)
        }),
    ]
}

fn line(first: &str, cells: impl Iterator<Item = String>) -> String {
    let cells: Vec<String> = cells.collect();
    format!("| {first} | {} |\n", cells.join(" | "))
}

/// The share used, that as a share of the ideal, throttles of 1,000 calls, and calls given up where there are some.
fn used(row: &Row, ideal: f64) -> String {
    let given_up = given_up(row);
    let given_up = if given_up == NONE {
        String::new()
    } else {
        format!(", {given_up} given up")
    };
    format!(
        "{:.3} ({:.2}), {:.1}{given_up}",
        row.used,
        row.used / ideal,
        row.throttled * 1_000.0
    )
}

const NONE: &str = "0.0 %";

fn given_up(row: &Row) -> String {
    format!("{:.1} %", row.failed * 100.0)
}

fn against_backoff(peers: &[Peer], medians: &Medians) -> Vec<String> {
    let of = |wanted: Peer| {
        let rows = peers.iter().zip(&medians.rows);
        rows.filter(move |(peer, _)| **peer == wanted)
            .map(|(_, row)| row)
    };
    let mut cells = Vec::new();
    for backoff in of(Peer::ReqwestRetry) {
        cells.extend([
            format!("{:.1}", backoff.throttled * 1_000.0),
            given_up(backoff),
        ]);
        for ours in AGAINST_BACKOFF.into_iter().flat_map(of) {
            let fewer = if backoff.throttled > 0.0 {
                let fewer = 1.0 - ours.throttled / backoff.throttled;
                format!("{:.1} %", fewer * 100.0)
            } else {
                "-".to_owned()
            };
            cells.extend([format!("{:.1}", ours.throttled * 1_000.0), fewer]);
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::scenario;

    fn row(used: f64, throttled: f64, failed: f64) -> Row {
        Row {
            used,
            throttled,
            failed,
            waits: (1.0, 20.0),
            adapted: "1, never".to_owned(),
            windows: Vec::new(),
        }
    }

    #[test]
    fn each_table_has_a_line_for_a_scenario_and_a_cell_for_a_client() {
        let peers = [Peer::Ours, Peer::OursAtLeast, Peer::ReqwestRetry];
        let rows = vec![
            row(0.9, 0.01, 0.0),
            row(0.95, 0.02, 0.0),
            row(1.0, 2.0, 0.05),
        ];
        let medians = [Medians { ideal: 0.95, rows }];
        let scenarios = scenario::all(Duration::from_secs(60));
        let tables = tables(&scenarios[..1], &peers, &medians);
        let lines: Vec<&str> = tables
            .iter()
            .filter_map(|(_, table)| table.lines().nth(2))
            .collect();
        assert_eq!(
            lines,
            [
                "| sliding window | 0.950 | 0.900 (0.95), 10.0 | 0.950 (1.00), 20.0 | 1.000 (1.05), 2000.0, 5.0 % given up |",
                "| sliding window | 1.0, 20.0 | 1.0, 20.0 | 1.0, 20.0 |",
                "| sliding window | 1, never | 1, never | 1, never |",
                "| sliding window | 2000.0 | 5.0 % | 10.0 | 99.5 % | 20.0 | 99.0 % |",
            ]
        );
    }
}
