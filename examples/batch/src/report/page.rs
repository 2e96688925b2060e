//! The page.

use std::{
    cmp::Reverse,
    collections::BTreeMap,
    time::{Duration, SystemTime},
};

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    failures::Failures,
    measure::{ModelFigures, OTHERS},
    summary::Summary,
};

use super::{
    chart::COLOURS,
    failures::failures,
    head::{head, title},
    quota_chart::quota_chart,
    spend::{Model, spend},
    text::shown,
    times_chart::times_charts,
};

/// Says which program wrote the file: another one is not replaced.
pub(super) const GENERATOR: &str = "tower-qwen batch";

/// Nothing is loaded and nothing runs, whatever stands in the page.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("page.css");

/// What the report shows.
#[derive(Debug, Clone, Copy)]
pub struct Report<'a> {
    /// What the run came to.
    pub summary: &'a Summary,
    /// Its failures, by what they say.
    pub failures: &'a Failures,
    /// What was measured, by model.
    pub models: &'a BTreeMap<String, ModelFigures>,
    /// When it began.
    pub began: SystemTime,
}

/// The report as an HTML document.
#[must_use]
pub fn page(report: &Report<'_>) -> String {
    let Report { summary, began, .. } = *report;
    let duration = Duration::try_from_secs_f64(summary.duration_seconds).unwrap_or_default();
    let models = by_calls(report.models);
    let drawn = &models[..models.len().min(COLOURS)];
    let names: Vec<String> = models.iter().map(|(name, ..)| name.clone()).collect();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(GENERATOR);
                meta name="color-scheme" content="light dark";
                title { (title(summary)) }
                // Of this program: nothing of a run is in it.
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    (head(summary, &names[..drawn.len()], began))
                    @for (number, (name, figures, _)) in drawn.iter().enumerate() {
                        (model(&format!("m{number}"), name, figures, duration))
                    }
                    @if models.len() > drawn.len() {
                        p.note { (models.len() - drawn.len()) " models with fewer calls are in the summary alone." }
                    }
                    @if !drawn.is_empty() {
                        h2 { "Tokens and money" }
                        (spend(drawn, duration))
                    }
                    (failures(report.failures))
                    footer { "Made by the batch program of tower-qwen. Without prompts, answers and keys." }
                }
            }
        }
    }
    .into_string()
}

fn model(id: &str, name: &str, figures: &ModelFigures, duration: Duration) -> Markup {
    html! {
        h2 { bdi { (name) } }
        (quota_chart(id, figures, duration))
        (times_charts(id, figures))
    }
}

/// The models with the most calls first; all others together last.
fn by_calls(models: &BTreeMap<String, ModelFigures>) -> Vec<Model<'_>> {
    let mut models: Vec<_> = models.iter().collect();
    models.sort_by_key(|(name, figures)| {
        let calls = figures.answered + figures.failed;
        (name.as_str() == OTHERS, Reverse(calls))
    });
    let models = models.into_iter();
    models
        .map(|(name, figures)| (shown(name), figures, figures.series.sum()))
        .collect()
}
