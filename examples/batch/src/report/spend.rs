//! Tokens and money by model over time, as sums from the start.

use std::time::Duration;

use maud::{Markup, html};
use tower_qwen_tokens::Money;

use crate::{
    measure::{ModelFigures, Slot},
    words,
};

use super::{
    chart::{Chart, Plot, legend},
    scale::{Scale, TimeScale},
    text::{amount, count, short},
};

const TOP: f64 = 8.0;

/// A model by the name that is shown, its figures, and all of its slots as one.
pub(super) type Model<'a> = (String, &'a ModelFigures, Slot);

/// The charts and their table.
pub(super) fn spend(models: &[Model<'_>], duration: Duration) -> Markup {
    let mut sums: Vec<Money> = Vec::new();
    for cost in models.iter().flat_map(|(.., sum)| &sum.cost) {
        cost.add_to(&mut sums);
    }
    let names = || models.iter().map(|(name, ..)| name.as_str());
    html! {
        figure {
            h3 { "Tokens and money since the start, by model" }
            div.two {
                div {
                    p { strong { "Tokens" } " " span.note { "of prompts and answers, of all attempts" } }
                    (sums_chart("tokens", "Tokens since the start", models, duration, &|slot| slot.tokens() as f64))
                }
                @for sum in &sums {
                    @let currency = sum.currency();
                    @let of = |slot: &Slot| {
                        let cost = slot.cost.iter().find(|cost| cost.currency() == currency);
                        cost.copied().map_or(0.0, amount)
                    };
                    div {
                        p { strong { (currency) } " " span.note { "by the built-in prices" } }
                        (sums_chart(&format!("cost-{currency}"), "Cost since the start", models, duration, &of))
                    }
                }
            }
            (legend(names()))
            @if sums.is_empty() { p.note { "No price is known, or nothing was used." } }
            div.scroll { (table(models)) }
        }
    }
}

fn sums_chart<'a>(
    id: &str,
    title: &'a str,
    models: &[Model<'_>],
    duration: Duration,
    of: &dyn Fn(&Slot) -> f64,
) -> Chart<'a> {
    let most = models.iter().map(|(.., sum)| of(sum)).fold(0.0, f64::max);
    let (plot, times, scale) = (
        Plot::below(TOP),
        TimeScale::to(duration),
        Scale::to(most, 5.0),
    );
    let ends = models
        .iter()
        .map(|(name, _, sum)| format!("{name} {}", short(of(sum))));
    let ends: Vec<String> = ends.collect();
    Chart {
        id: id.to_owned(),
        title,
        description: format!("At the end: {}.", ends.join(", ")),
        drawing: html! {
            (plot.values(&scale, short))
            @for (number, (_, figures, _)) in models.iter().enumerate() {
                @let points = course(figures, duration, of);
                (plot.course(&times, points.map(|(time, sum)| (time, scale.place(sum))), number))
            }
            (plot.times(&times))
        },
    }
}

/// The sum at the end of each slot, from 0 at the start to the whole at the end of the run.
fn course(
    figures: &ModelFigures,
    duration: Duration,
    of: &dyn Fn(&Slot) -> f64,
) -> impl Iterator<Item = (Duration, f64)> {
    let mut sum = 0.0;
    let width = figures.series.width();
    let slots = (1_u32..).zip(figures.series.slots());
    let points: Vec<_> = slots
        .map(|(number, slot)| {
            sum += of(slot);
            ((width * number).min(duration), sum)
        })
        .collect();
    let start = std::iter::once((Duration::ZERO, 0.0));
    start.chain(points).chain(std::iter::once((duration, sum)))
}

fn table(models: &[Model<'_>]) -> Markup {
    html! {
        table {
            thead {
                tr {
                    th scope="col" { "model" }
                    th scope="col" { "answered" }
                    th scope="col" { "prompt tokens" }
                    th scope="col" { "output tokens" }
                    th scope="col" { "cost" }
                }
            }
            tbody {
                @for (name, figures, sum) in models {
                    tr {
                        th.any scope="row" { bdi { (name) } }
                        td { (count(figures.answered)) }
                        td { (count(sum.prompt)) }
                        td { (count(sum.output)) }
                        td {
                            @if sum.cost.is_empty() { "-" } @else { (words::money(&sum.cost)) }
                            @if sum.unpriced > 0 { br; (count(sum.unpriced)) " attempts without a price" }
                        }
                    }
                }
            }
        }
    }
}
