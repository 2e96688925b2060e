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

const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p95", 0.95), ("p99", 0.99)];

/// A logarithmic scale of whole factors of ten, in seconds. Shorter times are at its begin.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Tens {
    first: i32,
    last: i32,
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
            meaning: "from its place in the queue to the end of its answer",
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
                "Distribution of {} calls: {}.",
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
        (plot.axis(&tens.marks(), "time, each step ten times longer"))
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
    html! {
        @for (number, (name, share)) in (0_u8..).zip(PERCENTILES) {
            @let time = times.at(share).unwrap_or_default();
            @let place = tens.place(time);
            @let (x, y) = (plot.x(place), LABEL * f64::from(number) + 9.0);
            // On the side that has room.
            @let (anchor, gap) = if place > 0.6 { ("end", -3.0) } else { ("start", 3.0) };
            line.mark x1=(Px(x)) x2=(Px(x)) y1=(Px(y - 7.0)) y2=(Px(plot.bottom())) {}
            text.value x=(Px(x + gap)) y=(Px(y)) text-anchor=(anchor) { (name) " " (latency(time)) }
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
    /// So that all bars are inside. The bar that begins at 0 is in the first step.
    fn of(bars: &[Bar]) -> Self {
        let exponent = |time: Duration| time.as_secs_f64().log10();
        let first = bars.first().map_or(Duration::ZERO, |bar| bar.from);
        let last = bars.last().map_or(Duration::ZERO, |bar| bar.to);
        // The edges of bars are rounded to a nanosecond.
        let first = match first {
            Duration::ZERO => -4,
            first => (exponent(first) + 1e-6).floor() as i32,
        };
        let last = (exponent(last) - 1e-6).ceil() as i32;
        Self {
            first,
            last: last.max(first + 1),
        }
    }

    fn place(self, time: Duration) -> f64 {
        let tens = time.as_secs_f64().max(f64::MIN_POSITIVE).log10() - f64::from(self.first);
        (tens / f64::from(self.last - self.first)).clamp(0.0, 1.0)
    }

    fn marks(self) -> Vec<(f64, String)> {
        let mark = |exponent: i32| {
            let time = Duration::from_secs_f64(10_f64.powi(exponent));
            let label = match exponent {
                // Below it is the bar of all that is shorter.
                -4 => "0".to_owned(),
                exponent @ 0..=3 => format!("{} s", 10_u32.pow(exponent.unsigned_abs())),
                _ => latency(time),
            };
            (self.place(time), label)
        };
        (self.first..=self.last).map(mark).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_holds_all_bars_in_whole_steps() {
        for (millis, first, last) in [
            (&[0][..], -4, -3),
            (&[5], -3, -2),
            (&[0, 2_000], -4, 1),
            (&[1_000], 0, 1),
            (&[300, 900_000], -1, 3),
        ] {
            let mut times = Times::default();
            for &millis in millis {
                times.record(Duration::from_millis(millis));
            }
            let tens = Tens::of(&times.bars());
            assert_eq!(tens, Tens { first, last }, "{millis:?}");
            let marks = tens.marks();
            assert_eq!(marks.first().map(|mark| mark.0), Some(0.0));
            assert_eq!(marks.last().map(|mark| mark.0), Some(1.0));
        }
    }
}
