//! The charts of a comparison, as SVG.

use std::fmt::Write;

use crate::compare::{Row, Scenario};
use crate::peers::Peer;

const LEFT: usize = 170;
const TOP: usize = 62;
const COLUMN: usize = 118;
/// The length of a bar that is the whole quota.
const FULL: f64 = 96.0;
const LINE: usize = 34;
const BAR: usize = 14;
/// Ours, and the others.
const COLOURS: [&str; 7] = [
    "#5b6cff", "#e07a5f", "#8d99ae", "#3d9970", "#b07aa1", "#c9a227", "#777777",
];

/// A row for each client, a column for each scenario: the share used of the quota as a bar, the throttles per call below it.
#[must_use]
pub fn shares(scenarios: &[Scenario], peers: &[Peer], rows: &[Vec<Row>]) -> String {
    let width = LEFT + COLUMN * scenarios.len() + 10;
    let height = TOP + LINE * peers.len() + 12;
    let mut svg = open(
        width,
        height,
        "Share of the quota that finished calls used, and throttles per call",
    );
    text(
        &mut svg,
        10.0,
        20.0,
        "start",
        "finished calls, of the quota in force · throttles per call below",
    );
    for (column, (scenario, rows)) in scenarios.iter().zip(rows).enumerate() {
        let x = (LEFT + column * COLUMN) as f64;
        text(&mut svg, x, TOP as f64 - 12.0, "start", scenario.name);
        for (line, row) in rows.iter().enumerate() {
            let y = (TOP + line * LINE) as f64;
            let length = FULL * row.finished.min(1.15);
            let _ = writeln!(
                svg,
                r#"<rect x="{x}" y="{y}" width="{length:.1}" height="{BAR}" fill="{}"/>"#,
                COLOURS[line % COLOURS.len()]
            );
            let label = format!("{:.2} · {:.3}", row.finished, row.throttled);
            text(&mut svg, x, y + 25.0, "start", &label);
        }
        let end = x + FULL;
        let _ = writeln!(
            svg,
            r##"<line x1="{end}" y1="{}" x2="{end}" y2="{}" stroke="#222222" stroke-dasharray="3 3"/>"##,
            TOP - 6,
            height - 8
        );
    }
    for (line, peer) in peers.iter().enumerate() {
        let y = (TOP + line * LINE) as f64 + 12.0;
        text(&mut svg, LEFT as f64 - 10.0, y, "end", peer.name());
    }
    svg.push_str("</svg>\n");
    svg
}

/// The share used in each window of one scenario, a line for each client.
#[must_use]
pub fn windows(scenario: &Scenario, peers: &[Peer], rows: &[Row]) -> String {
    let (left, top, full, step) = (50.0, 40.0, 220.0, 44.0);
    let count = scenario.setup.windows;
    let right = left + step * f64::from(count - 1);
    let mut svg = open(
        right as usize + 200,
        top as usize + full as usize + 60,
        scenario.name,
    );
    let title = format!("{}: used of the quota in force, by window", scenario.name);
    text(&mut svg, 10.0, 20.0, "start", &title);
    let y = |share: f64| top + full * (1.0 - share.min(1.1) / 1.1);
    for share in [0.0, 0.5, 1.0] {
        let at = y(share);
        let _ = writeln!(
            svg,
            r##"<line x1="{left}" y1="{at:.1}" x2="{right}" y2="{at:.1}" stroke="#cccccc"/>"##
        );
        text(&mut svg, left - 8.0, at + 4.0, "end", &format!("{share}"));
    }
    for window in 1..=count {
        let x = left + step * f64::from(window - 1);
        text(
            &mut svg,
            x,
            top + full + 20.0,
            "middle",
            &window.to_string(),
        );
    }
    for (line, (peer, row)) in peers.iter().zip(rows).enumerate() {
        let colour = COLOURS[line % COLOURS.len()];
        let points: Vec<String> = row
            .windows
            .iter()
            .enumerate()
            .map(|(window, &share)| format!("{:.1},{:.1}", left + step * window as f64, y(share)))
            .collect();
        let _ = writeln!(
            svg,
            r#"<polyline points="{}" fill="none" stroke="{colour}" stroke-width="2"/>"#,
            points.join(" ")
        );
        let at = top + 14.0 + 20.0 * line as f64;
        let _ = writeln!(
            svg,
            r#"<rect x="{}" y="{}" width="12" height="12" fill="{colour}"/>"#,
            right + 20.0,
            at - 11.0
        );
        text(&mut svg, right + 38.0, at, "start", peer.name());
    }
    svg.push_str("</svg>\n");
    svg
}

fn open(width: usize, height: usize, title: &str) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">
<title>{title}</title>
<rect width="100%" height="100%" fill="#ffffff"/>
"##
    )
}

fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#
    );
}
