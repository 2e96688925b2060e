//! The chart of a bare client and ours: what the provider lets in of each minute, and what it answers with 429.

use crate::bare::Comparison;
use crate::chart::{RED, dashed, line, open, rect, text};
use crate::measure::Figures;

const WIDTH: f64 = 300.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 66.0;
const GAP: f64 = 66.0;
const STEP: f64 = 500.0;
const BLUE: &str = "#5b6cff";

/// Two panels with one scale.
#[must_use]
pub fn chart(comparison: &Comparison) -> String {
    let Comparison { setup, bare, ours } = comparison;
    let quota = setup.provider.rpm as f64;
    let of_all = [bare, ours]
        .into_iter()
        .flat_map(|figures| &figures.counted);
    let most = of_all
        .map(|window| window.requests + window.throttled)
        .max();
    let most = (most.unwrap_or(0) as f64 / STEP).ceil().max(1.0) * STEP;
    let width = LEFT + 2.0 * WIDTH + GAP + 16.0;
    let mut svg = open(
        width,
        TOP + HEIGHT + 62.0,
        "Requests a minute, let in and throttled, of a bare client and of tower-qwen",
    );
    rect(&mut svg, LEFT, 11.0, 11.0, 11.0, BLUE);
    text(
        &mut svg,
        LEFT + 17.0,
        21.0,
        "start",
        "requests a minute that the provider lets in",
    );
    rect(&mut svg, LEFT + 290.0, 11.0, 11.0, 11.0, RED);
    text(&mut svg, LEFT + 307.0, 21.0, "start", "429s a minute");
    dashed(&mut svg, (LEFT + 410.0, 17.0), (LEFT + 432.0, 17.0));
    let limit = format!("the quota: {quota} a minute");
    text(&mut svg, LEFT + 438.0, 21.0, "start", &limit);
    for (panel, (name, figures)) in [
        ("bare client: exponential backoff, nothing else", bare),
        ("tower-qwen: Retry, Admission, Meter", ours),
    ]
    .into_iter()
    .enumerate()
    {
        let left = LEFT + (WIDTH + GAP) * panel as f64;
        draw(&mut svg, left, name, figures, most);
        let y = TOP + HEIGHT * (1.0 - quota / most);
        dashed(&mut svg, (left, y), (left + WIDTH, y));
    }
    svg.push_str("</svg>\n");
    svg
}

fn draw(svg: &mut String, left: f64, name: &str, figures: &Figures, most: f64) {
    let bottom = TOP + HEIGHT;
    text(
        svg,
        left,
        TOP - 20.0,
        "start",
        &format!("<tspan font-weight=\"bold\">{name}</tspan>"),
    );
    let steps = (most / STEP) as u32;
    for step in 0..=steps {
        let y = bottom - HEIGHT * f64::from(step) / f64::from(steps);
        line(svg, (left, y), (left + WIDTH, y));
        text(
            svg,
            left - 6.0,
            y + 4.0,
            "end",
            &(f64::from(step) * STEP).to_string(),
        );
    }
    let width = WIDTH / figures.counted.len().max(1) as f64;
    for (minute, window) in figures.counted.iter().enumerate() {
        let x = left + width * minute as f64;
        let height = |count: u64| HEIGHT * count as f64 / most;
        let (served, throttled) = (height(window.requests), height(window.throttled));
        rect(svg, x + 2.0, bottom - served, width - 4.0, served, BLUE);
        rect(
            svg,
            x + 2.0,
            bottom - served - throttled,
            width - 4.0,
            throttled,
            RED,
        );
        text(
            svg,
            x + width / 2.0,
            bottom + 16.0,
            "middle",
            &(minute + 1).to_string(),
        );
    }
    text(svg, left + WIDTH / 2.0, bottom + 34.0, "middle", "minutes");
    let sum = format!(
        "{} answered · {} times 429 · {} given up",
        figures.done, figures.throttled, figures.failed
    );
    text(svg, left, bottom + 54.0, "start", &sum);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bare;

    #[test]
    fn every_bar_is_within_its_panel() {
        let svg = chart(&bare::run());
        let bars = svg.lines().filter(|line| line.starts_with("<rect x"));
        let mut tops = bars.filter_map(|line| {
            let (_, rest) = line.split_once(" y=\"")?;
            rest.split('"').next()?.parse::<f64>().ok()
        });
        assert!(tops.all(|y| y == 11.0 || (TOP - 0.1..=TOP + HEIGHT + 0.1).contains(&y)));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
        assert!(svg.contains("0 given up") && svg.ends_with("</svg>\n"));
    }
}
