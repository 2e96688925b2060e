//! The charts of a comparison, as SVG.

use std::fmt::Write;

use crate::compare::{Medians, Row};
use crate::peers::Peer;
use crate::scenario::Scenario;

const LEFT: f64 = 170.0;
const TOP: f64 = 56.0;
const COLUMN: f64 = 118.0;
/// Panels side by side: more would be too small to read in a page.
const COLUMNS: usize = 6;
/// The length of a bar that is the whole quota.
const FULL: f64 = 96.0;
const LINE: f64 = 36.0;
/// Where the bar of throttles begins and ends: its scale is logarithmic, as clients differ by factors of a thousand.
const THROTTLED: (f64, f64) = (0.0005, 4.0);
pub(crate) const RED: &str = "#c0392b";
/// Ours, and the others.
const COLOURS: [&str; 8] = [
    "#5b6cff", "#1b2a9e", "#e07a5f", "#8d99ae", "#3d9970", "#b07aa1", "#c9a227", "#777777",
];

/// A row for each client, a column for each scenario: the share used of the quota as a bar, the throttles per call as a thin one below.
#[must_use]
pub fn shares<'a>(
    peers: &[Peer],
    scenarios: impl Iterator<Item = (&'a Scenario, &'a Medians)>,
) -> String {
    let scenarios: Vec<_> = scenarios.collect();
    let panel = TOP + LINE * peers.len() as f64;
    let lines = scenarios.len().div_ceil(COLUMNS) as f64;
    let width = LEFT + COLUMN * scenarios.len().min(COLUMNS) as f64 + 20.0;
    let mut svg = open(
        width,
        30.0 + panel * lines,
        "Share of the quota used, and throttles per call",
    );
    let title =
        "used of the quota in force (dashed: all of it) · throttles per call (red, logarithmic)";
    text(&mut svg, 10.0, 20.0, "start", title);
    for (number, (scenario, medians)) in scenarios.iter().enumerate() {
        let (column, top) = (number % COLUMNS, panel * (number / COLUMNS) as f64 + TOP);
        let x = LEFT + column as f64 * COLUMN;
        text(&mut svg, x, top - 10.0, "start", scenario.name);
        for (line, (peer, row)) in peers.iter().zip(&medians.rows).enumerate() {
            let y = top + LINE * line as f64;
            if column == 0 {
                text(&mut svg, LEFT - 10.0, y + 13.0, "end", peer.name());
            }
            let colour = COLOURS[line % COLOURS.len()];
            rect(&mut svg, x, y, FULL * row.used.min(1.15), 12.0, colour);
            rect(&mut svg, x, y + 13.0, throttle_bar(row.throttled), 3.0, RED);
            let label = format!("{:.2} · {:.3}", row.used, row.throttled);
            text(&mut svg, x, y + 28.0, "start", &label);
        }
        let (end, bottom) = (x + FULL, top + LINE * peers.len() as f64 - 6.0);
        let _ = writeln!(
            svg,
            r##"<line x1="{end}" y1="{}" x2="{end}" y2="{bottom}" stroke="#222222" stroke-dasharray="3 3"/>"##,
            top - 4.0
        );
    }
    svg.push_str("</svg>\n");
    svg
}

fn throttle_bar(throttled: f64) -> f64 {
    let (least, most) = THROTTLED;
    let share = (throttled / least).ln() / (most / least).ln();
    FULL * share.clamp(0.0, 1.0)
}

/// The share used in each window of one scenario, a line for each client.
#[must_use]
pub fn windows(scenario: &Scenario, peers: &[Peer], rows: &[Row]) -> String {
    let (left, top, full, step) = (50.0, 40.0, 220.0, 44.0);
    let count = scenario.setup.windows;
    let right = left + step * f64::from(count - 1);
    let mut svg = open(right + 200.0, top + full + 60.0, scenario.name);
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
        rect(&mut svg, right + 20.0, at - 11.0, 12.0, 12.0, colour);
        text(&mut svg, right + 38.0, at, "start", peer.name());
    }
    svg.push_str("</svg>\n");
    svg
}

pub(crate) fn open(width: f64, height: f64, title: &str) -> String {
    format!(
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="sans-serif" font-size="12">
<title>{title}</title>
<rect width="100%" height="100%" fill="#ffffff"/>
"##
    )
}

pub(crate) fn rect(svg: &mut String, x: f64, y: f64, width: f64, height: f64, colour: &str) {
    let _ = writeln!(
        svg,
        r#"<rect x="{x:.1}" y="{y:.1}" width="{width:.1}" height="{height:.1}" fill="{colour}"/>"#
    );
}

pub(crate) fn line(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    stroke(svg, from, to, r##"stroke="#cccccc""##);
}

pub(crate) fn dashed(svg: &mut String, from: (f64, f64), to: (f64, f64)) {
    stroke(
        svg,
        from,
        to,
        r##"stroke="#222222" stroke-dasharray="3 3""##,
    );
}

fn stroke(svg: &mut String, (x1, y1): (f64, f64), (x2, y2): (f64, f64), style: &str) {
    let _ = writeln!(
        svg,
        r#"<line x1="{x1:.1}" y1="{y1:.1}" x2="{x2:.1}" y2="{y2:.1}" {style}/>"#
    );
}

pub(crate) fn text(svg: &mut String, x: f64, y: f64, anchor: &str, words: &str) {
    let _ = writeln!(
        svg,
        r#"<text x="{x:.1}" y="{y:.1}" text-anchor="{anchor}">{words}</text>"#
    );
}
