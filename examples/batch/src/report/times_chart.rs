//! Waits and latencies of a model, as distributions on a logarithmic scale.

use std::time::Duration;

use maud::{Markup, html};

use crate::measure::{Bar, ModelFigures, Times};

use super::{
    chart::{Chart, Plot, Px},
    scale::Scale,
    text::{count, latency, percent, short},
};

/// Three lines of labels are above the bars, one for each percentile: so no two of them overlap.
const TOP: f64 = 42.0;
const LABEL: f64 = 12.0;

/// So many powers of ten are as wide as the bar that begins at 0, which has no place on a logarithmic scale.
const SHORTER: f64 = 0.5;

const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

/// A logarithmic scale of whole factors of ten. Shorter times than its first one are at its begin.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tens {
    /// Powers of ten, in seconds.
    first: i32,
    last: i32,
    /// Before the first one there is room for a bar of shorter times.
    has_shorter: bool,
}

struct Kind<'a> {
    id: &'static str,
    title: &'static str,
    meaning: &'static str,
    times: &'a Times,
}

/// The charts of a model, and one table of their percentiles.
pub(super) fn times_charts(id: &str, figures: &ModelFigures) -> Markup {
    let kinds = [
        Kind {
            id: "wait",
            title: "Wait",
            meaning: "for quota, and between attempts",
            times: &figures.wait,
        },
        Kind {
            id: "first",
            title: "First token",
            meaning: "of streams, from the send on",
            times: &figures.first_token,
        },
        Kind {
            id: "total",
            title: "Whole call",
            meaning: "its wait and its answer",
            times: &figures.total,
        },
    ];
    let kinds = kinds.into_iter().filter(|kind| kind.times.count() > 0);
    let kinds: Vec<_> = kinds.collect();
    if kinds.is_empty() {
        return html! { p.note { "No call of it has ended." } };
    }
    html! {
        figure {
            h3 { "Waits and latencies" }
            div.three {
                @for kind in &kinds {
                    div {
                        p { strong { (kind.title) } " " span.note { (kind.meaning) } }
                        (kind.chart(id))
                    }
                }
            }
            div.scroll { (table(&kinds)) }
        }
    }
}

impl Kind<'_> {
    fn chart<'a>(&'a self, id: &str) -> Chart<'a> {
        let percentiles = PERCENTILES.map(|(name, share)| {
            let time = self.times.at(share).unwrap_or_default();
            format!("{name} {}", latency(time))
        });
        Chart {
            id: format!("{id}-{}", self.id),
            title: self.title,
            description: format!(
                "Calls: {}. {}.",
                count(self.times.count()),
                percentiles.join(", ")
            ),
            drawing: drawing(self.times),
        }
    }
}

fn drawing(times: &Times) -> Markup {
    let plot = Plot::below(TOP);
    let bars = times.bars();
    let tens = Tens::of(&bars);
    let all = times.count().max(1) as f64;
    let share = |bar: &Bar| bar.count as f64 / all;
    let scale = Scale::to(bars.iter().map(share).fold(0.0, f64::max), 4.0);
    html! {
        (plot.values(&scale, percent_of(&scale)))
        @for bar in bars.iter().filter(|bar| bar.count > 0) {
            @let (from, to) = (plot.x(tens.place(bar.from)), plot.x(tens.place(bar.to)));
            @let top = plot.y(scale.place(share(bar)));
            rect.bar x=(Px(from + 0.4)) y=(Px(top)) width=(Px((to - from - 0.8).max(0.8)))
                height=(Px((plot.bottom() - top).max(0.8))) {}
        }
        (percentiles(plot, tens, times))
        (plot.axis(&tens.marks(), "time, logarithmic"))
    }
}

/// Percent with as many digits as the steps of the scale need.
fn percent_of(scale: &Scale) -> impl Fn(f64) -> String {
    let is_fine = scale.end < 0.04;
    move |share| match is_fine {
        true => format!("{} %", short(share * 100.0)),
        false => percent(share),
    }
}

fn percentiles(plot: Plot, tens: Tens, times: &Times) -> Markup {
    let marks = (0_u8..).zip(PERCENTILES).map(|(number, (name, share))| {
        let time = times.at(share).unwrap_or_default();
        let (x, y) = (plot.x(tens.place(time)), LABEL * f64::from(number) + 9.0);
        (x, y, format!("{name} {}", latency(time)))
    });
    let marks: Vec<_> = marks.collect();
    html! {
        // The labels come last, since what is drawn later covers what was there.
        @for (x, y, ..) in &marks {
            line.mark x1=(Px(*x)) x2=(Px(*x)) y1=(Px(y - 7.0)) y2=(Px(plot.bottom())) {}
        }
        @for (x, y, label) in &marks {
            // On the side that has room.
            @let (anchor, gap) = if *x > plot.x(0.6) { ("end", -3.0) } else { ("start", 3.0) };
            text.value x=(Px(x + gap)) y=(Px(*y)) text-anchor=(anchor) { (label) }
        }
    }
}

fn table(kinds: &[Kind<'_>]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "time" }
                    th scope="col" { "calls" }
                    @for (name, _) in PERCENTILES { th scope="col" { (name) } }
                    th scope="col" { "longest" }
                }
            }
            tbody {
                @for Kind { title, times, .. } in kinds {
                    tr {
                        th scope="row" { (title) }
                        td { (count(times.count())) }
                        @for share in PERCENTILES.map(|(_, share)| share).into_iter().chain([1.0]) {
                            td { (times.at(share).map(latency).unwrap_or_default()) }
                        }
                    }
                }
            }
        }
    }
}

impl Tens {
    /// So that all bars are inside.
    fn of(bars: &[Bar]) -> Self {
        let exponent = |time: Duration| time.as_secs_f64().log10();
        let first = bars.first().map_or(Duration::ZERO, |bar| bar.from);
        let last = bars.last().map_or(Duration::ZERO, |bar| bar.to);
        let has_shorter = first.is_zero();
        // The end of the bar that begins at 0 is the first edge. Edges are rounded to a nanosecond.
        let first = match bars.first() {
            Some(bar) if has_shorter => exponent(bar.to).round() as i32,
            _ => (exponent(first) + 1e-6).floor() as i32,
        };
        let last = (exponent(last) - 1e-6).ceil() as i32;
        Self {
            first,
            last: last.max(first + 1),
            has_shorter,
        }
    }

    fn place(self, time: Duration) -> f64 {
        let begin = f64::from(self.first) - if self.has_shorter { SHORTER } else { 0.0 };
        let tens = time.as_secs_f64().max(f64::MIN_POSITIVE).log10() - begin;
        (tens / (f64::from(self.last) - begin)).clamp(0.0, 1.0)
    }

    fn marks(self) -> Vec<(f64, String)> {
        let mark = |exponent: i32| {
            let time = Duration::from_secs_f64(10_f64.powi(exponent));
            let label = match exponent {
                exponent @ 0..=3 => format!("{} s", 10_u32.pow(exponent.unsigned_abs())),
                _ => latency(time),
            };
            (self.place(time), label)
        };
        let zero = self.has_shorter.then(|| (0.0, "0".to_owned()));
        // More labels than these have no room side by side.
        let step = match self.last - self.first {
            0..=4 => 1,
            _ => 2,
        };
        let marked = (self.first..=self.last).filter(|mark| (self.last - mark) % step == 0);
        zero.into_iter().chain(marked.map(mark)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_holds_all_bars_in_whole_steps() {
        for (millis, first, last, has_shorter) in [
            (&[0][..], -3, -2, true),
            (&[5], -3, -2, false),
            (&[0, 2_000], -3, 1, true),
            (&[1_000], 0, 1, false),
            (&[300, 900_000], -1, 3, false),
            (&[0, 900_000], -3, 3, true),
        ] {
            let mut times = Times::default();
            for &millis in millis {
                times.record(Duration::from_millis(millis));
            }
            let tens = Tens::of(&times.bars());
            let expected = Tens {
                first,
                last,
                has_shorter,
            };
            assert_eq!(tens, expected, "{millis:?}");
            let marks = tens.marks();
            assert!(marks.len() <= 6 && marks[0].0 < 0.35);
            assert_eq!(marks.last().map(|mark| mark.0), Some(1.0));
        }
    }
}
