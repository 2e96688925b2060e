//! What all charts have in common: their frame, their axes and their legend.

use std::time::Duration;

use maud::{Markup, Render, html};

use super::scale::{Scale, TimeScale};

/// In units that are pixels on a phone, so that the text is readable there; a wide window shows them larger.
const WIDTH: f64 = 340.0;
const HEIGHT: f64 = 190.0;
const LEFT: f64 = 40.0;
const RIGHT: f64 = 12.0;
const BOTTOM: f64 = 30.0;

/// The part of a chart inside its axes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plot {
    top: f64,
}

/// A chart: what it is called, what is said of it to those who do not see it, and what is drawn.
#[derive(Debug)]
pub(super) struct Chart<'a> {
    /// An id of its own on the page.
    pub(super) id: String,
    pub(super) title: &'a str,
    pub(super) description: String,
    pub(super) drawing: Markup,
}

/// A number in a drawing: a tenth of a pixel is enough.
#[derive(Debug, Clone, Copy)]
pub(super) struct Px(pub(super) f64);

impl Plot {
    /// Leaves so much room above for labels.
    pub(super) fn below(top: f64) -> Self {
        Self { top }
    }

    /// A share of the width, from the left.
    pub(super) fn x(self, share: f64) -> f64 {
        LEFT + (WIDTH - LEFT - RIGHT) * share
    }

    /// A share of the height, from the bottom.
    pub(super) fn y(self, share: f64) -> f64 {
        self.bottom() - (self.bottom() - self.top) * share
    }

    pub(super) fn top(self) -> f64 {
        self.top
    }

    pub(super) fn bottom(self) -> f64 {
        HEIGHT - BOTTOM
    }

    /// The vertical axis with its marks, and a line across for each.
    pub(super) fn values(self, scale: &Scale, label: impl Fn(f64) -> String) -> Markup {
        html! {
            @for mark in &scale.marks {
                @let y = self.y(scale.place(*mark));
                line.grid x1=(Px(self.x(0.0))) x2=(Px(self.x(1.0))) y1=(Px(y)) y2=(Px(y)) {}
                text x=(Px(LEFT - 5.0)) y=(Px(y + 3.5)) text-anchor="end" { (label(*mark)) }
            }
        }
    }

    /// The horizontal axis with these marks: where they are, and what they say; and what it shows.
    pub(super) fn axis(self, marks: &[(f64, String)], name: &str) -> Markup {
        let y = self.bottom();
        html! {
            line.axis x1=(Px(self.x(0.0))) x2=(Px(self.x(1.0))) y1=(Px(y)) y2=(Px(y)) {}
            @for (place, label) in marks {
                @let x = self.x(*place);
                // A label at an end stays inside of the drawing.
                @let anchor = if *place > 0.97 { "end" } else { "middle" };
                line.axis x1=(Px(x)) x2=(Px(x)) y1=(Px(y)) y2=(Px(y + 3.0)) {}
                text x=(Px(x)) y=(Px(y + 13.0)) text-anchor=(anchor) { (label) }
            }
            text x=(Px(self.x(0.5))) y=(Px(HEIGHT - 4.0)) text-anchor="middle" { (name) }
        }
    }

    /// The horizontal axis of the time since the start.
    pub(super) fn times(self, scale: &TimeScale) -> Markup {
        let marks = scale.scale.marks.iter();
        let marks: Vec<_> = marks
            .map(|mark| (scale.scale.place(*mark), super::text::short(*mark)))
            .collect();
        self.axis(&marks, &format!("{} since the start", scale.unit))
    }

    /// A line through these points: a time and a share of the height. Of several lines each has a colour and a dash.
    pub(super) fn course(
        self,
        scale: &TimeScale,
        points: impl Iterator<Item = (Duration, f64)>,
        number: usize,
    ) -> Markup {
        let points: Vec<String> = points
            .map(|(time, share)| format!("{:.1},{:.1}", self.x(scale.place(time)), self.y(share)))
            .collect();
        html! {
            polyline class={ "course s" (number % COLOURS) } points=(points.join(" ")) {}
        }
    }
}

/// Lines that differ in colour or dash; more cannot be told apart.
pub(super) const COLOURS: usize = 8;

impl Render for Chart<'_> {
    fn render(&self) -> Markup {
        html! {
            svg viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } role="img" aria-labelledby={ (self.id) "-t " (self.id) "-d" } {
                title id={ (self.id) "-t" } { (self.title) }
                desc id={ (self.id) "-d" } { (self.description) }
                (self.drawing)
            }
        }
    }
}

/// What the lines of a chart mean.
pub(super) fn legend<'a>(names: impl Iterator<Item = &'a str>) -> Markup {
    html! {
        ul.legend {
            @for (number, name) in names.enumerate() {
                li {
                    svg viewBox="0 0 32 14" aria-hidden="true" {
                        line class={ "course s" (number % COLOURS) } x1="0" x2="32" y1="8" y2="8" {}
                    }
                    bdi { (name) }
                }
            }
        }
    }
}

impl Render for Px {
    fn render_to(&self, buffer: &mut String) {
        use std::fmt::Write;
        // Writing to a text does not fail.
        write!(buffer, "{:.1}", self.0).ok();
    }
}
