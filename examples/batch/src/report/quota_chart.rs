//! The share of a model's quota that is in use over time, with throttles.

use std::time::Duration;

use maud::{Markup, html};

use crate::measure::{Mean, ModelFigures, Slot};

use super::{
    chart::{Chart, Plot, Px, legend},
    scale::{Scale, TimeScale},
    text::{count, percent},
};

/// Rows of the table beside it: as many as are as high as the chart.
const ROWS: usize = 10;
/// Above the whole quota there is room for the marks of throttles.
const TOP: f64 = 16.0;

/// Slots of which there is no share: a busy machine looks a second late, which is four of the narrowest.
const FAR: u32 = 5;

type Dimension = (&'static str, fn(&Slot) -> Mean);

const DIMENSIONS: [Dimension; 2] = [
    ("requests", |slot| slot.requests_share),
    ("tokens", |slot| slot.tokens_share),
];

/// The chart, its legend and its table.
pub(super) fn quota_chart(id: &str, figures: &ModelFigures, duration: Duration) -> Markup {
    let sum = figures.series.sum();
    // A quota without a limit has no share.
    let limited = DIMENSIONS
        .into_iter()
        .filter(|(_, of)| of(&sum).get().is_some());
    let limited: Vec<Dimension> = limited.collect();
    let chart = Chart {
        id: format!("{id}-quota"),
        title: "Share of the quota in use",
        description: description(&limited, &sum),
        drawing: drawing(&limited, figures, duration),
    };
    html! {
        figure {
            h3 { "Share of the quota in use, and throttles" }
            div.beside {
                div {
                    (chart)
                    (legend(limited.iter().map(|(name, _)| *name)))
                    p.note {
                        "Of what the provider is believed to grant in a window, in the first one in the time so far; the dashed line is all of it. "
                        @if sum.throttles > 0 {
                            span.bad { "Red: throttles" }
                            " (" (count(sum.throttles)) " in all), the darker the more."
                        } @else {
                            "There was no throttle."
                        }
                    }
                }
                div.scroll { (table(&limited, figures, duration)) }
            }
        }
    }
}

fn description(limited: &[Dimension], sum: &Slot) -> String {
    let means = limited.iter().map(|(name, of)| {
        let mean = of(sum).get().unwrap_or_default();
        format!("On the mean {} of the {name} were in use. ", percent(mean))
    });
    let means: String = means.collect();
    format!(
        "{means}Throttles: {}. The table has the figures.",
        count(sum.throttles)
    )
}

fn drawing(limited: &[Dimension], figures: &ModelFigures, duration: Duration) -> Markup {
    let plot = Plot::below(TOP);
    let times = TimeScale::to(duration);
    // In the middle of its slot, which for the last one may be beyond the end of the run.
    let middle =
        |slot: u32| (figures.series.width() * slot + figures.series.width() / 2).min(duration);
    let slots = || figures.series.slots().iter();
    let shares = limited
        .iter()
        .flat_map(|(_, of)| slots().filter_map(|slot| of(slot).get()));
    let most = shares.fold(1.0, f64::max);
    let scale = match most {
        most if most > 1.1 => Scale::to(most, 5.0),
        // What is a little above the whole is drawn at it.
        _ => Scale {
            end: 1.0,
            marks: vec![0.0, 0.25, 0.5, 0.75, 1.0],
        },
    };
    html! {
        (plot.values(&scale, percent))
        (throttles(plot, &times, figures))
        @let whole = plot.y(scale.place(1.0));
        line.whole x1=(Px(plot.x(0.0))) x2=(Px(plot.x(1.0))) y1=(Px(whole)) y2=(Px(whole)) {}
        @for (number, (_, of)) in limited.iter().enumerate() {
            @for part in parts(figures.series.slots().iter().map(|slot| of(slot).get())) {
                @let points = part.into_iter().map(|(slot, share)| (middle(slot), scale.place(share)));
                (plot.course(&times, points, number))
            }
        }
        (plot.times(&times))
    }
}

/// The slots that have a share, with their numbers. What is far apart is in parts: nobody looked between, or there was no account.
fn parts(shares: impl Iterator<Item = Option<f64>>) -> Vec<Vec<(u32, f64)>> {
    let mut parts: Vec<Vec<(u32, f64)>> = Vec::new();
    for (number, share) in (0_u32..).zip(shares) {
        let Some(share) = share else { continue };
        match parts.last_mut() {
            Some(part) if part.last().is_some_and(|last| number - last.0 <= FAR) => {
                part.push((number, share));
            }
            _ => parts.push(vec![(number, share)]),
        }
    }
    parts
}

/// A line for each slot with throttles, with a mark at its top.
fn throttles(plot: Plot, times: &TimeScale, figures: &ModelFigures) -> Markup {
    let slots = figures.series.slots();
    let most = slots.iter().map(|slot| slot.throttles).max().unwrap_or(0);
    let width = figures.series.width();
    html! {
        @for (number, slot) in (0_u32..).zip(slots).filter(|(_, slot)| slot.throttles > 0) {
            @let x = plot.x(times.place(width * number + width / 2));
            @let opacity = 0.25 + 0.75 * slot.throttles as f64 / most as f64;
            g opacity={ (format!("{opacity:.2}")) } {
                line.throttle x1=(Px(x)) x2=(Px(x)) y1=(Px(plot.top())) y2=(Px(plot.bottom())) {}
                @let (left, right, top) = (Px(x - 3.0), Px(x + 3.0), Px(plot.top() - 6.0));
                polygon.throttled points={ (left) "," (top) " " (right) "," (top) " " (Px(x)) "," (Px(plot.top())) } {}
            }
        }
    }
}

fn table(limited: &[Dimension], figures: &ModelFigures, duration: Duration) -> Markup {
    let share = |mean: Mean| mean.get().map_or_else(|| "-".to_owned(), percent);
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "until" }
                    @for (name, _) in limited { th scope="col" { (name) } }
                    th scope="col" { "attempts" }
                    th scope="col" { "retries" }
                    th scope="col" { "throttles" }
                }
            }
            tbody {
                @for (_, end, slot) in figures.series.groups(ROWS) {
                    tr {
                        th scope="row" { (crate::words::duration(end.min(duration))) }
                        @for (_, of) in limited { td { (share(of(&slot))) } }
                        td { (count(slot.attempts)) }
                        td { (count(slot.retries)) }
                        td.bad[slot.throttles > 0] { (count(slot.throttles)) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_line_is_drawn_through_a_time_that_nobody_saw() {
        let seen = |from: usize, to: usize| (from..to).map(|_| Some(0.5));
        let missing = |count: usize| std::iter::repeat_n(None, count);
        let late = seen(0, 3).chain(missing(4)).chain(seen(0, 2));
        assert_eq!(parts(late).iter().map(Vec::len).collect::<Vec<_>>(), [5]);
        let gap = missing(2)
            .chain(seen(0, 3))
            .chain(missing(5))
            .chain(seen(0, 2));
        let parts = parts(gap);
        assert_eq!(parts.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
        assert_eq!((parts[0][0].0, parts[1][0].0), (2, 10));
    }
}
