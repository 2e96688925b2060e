//! Scales of charts: which values have a mark, and where a value is drawn.

use std::time::Duration;

/// A linear scale from 0 on.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    /// The value at its end.
    pub(super) end: f64,
    /// The values that have a mark; 0 is the first.
    pub(super) marks: Vec<f64>,
}

/// A scale of time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct TimeScale {
    /// In `unit`.
    pub(super) scale: Scale,
    /// The name of its unit.
    pub(super) unit: &'static str,
    seconds: f64,
}

/// Units of time, and the steps that people divide them in.
const UNITS: [(&str, f64, &[f64]); 4] = [
    ("seconds", 1.0, &[1.0, 2.0, 5.0, 10.0, 15.0, 30.0]),
    ("minutes", 60.0, &[1.0, 2.0, 5.0, 10.0, 15.0, 30.0]),
    ("hours", 3_600.0, &[1.0, 2.0, 3.0, 6.0, 12.0]),
    ("days", 86_400.0, &[]),
];
/// A unit is used until so many of the next larger one.
const MOST_OF_NEXT: f64 = 2.0;

impl Scale {
    /// A scale to a mark that is not below `most`, with so many steps or fewer.
    pub(super) fn to(most: f64, steps: f64) -> Self {
        let most = most.max(f64::MIN_POSITIVE);
        let power = 10_f64.powf((most / steps).log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].map(|factor| factor * power);
        let step = step.into_iter().find(|step| step * steps >= most);
        let step = step.unwrap_or(most / steps);
        let count = (most / step - 1e-9).ceil().max(1.0) as u32;
        Self {
            end: step * f64::from(count),
            marks: (0..=count).map(|mark| step * f64::from(mark)).collect(),
        }
    }

    /// Where a value is, 1 being the end of the scale.
    pub(super) fn place(&self, value: f64) -> f64 {
        (value / self.end).clamp(0.0, 1.0)
    }
}

impl TimeScale {
    /// A scale that ends with this time.
    pub(super) fn to(most: Duration) -> Self {
        const MARKS: f64 = 6.0;
        let most = most.as_secs_f64().max(1.0);
        let larger = |next: usize| {
            UNITS
                .get(next)
                .map_or(f64::MAX, |unit| unit.1 * MOST_OF_NEXT)
        };
        let number = (0..UNITS.len()).find(|unit| most < larger(unit + 1));
        let (unit, seconds, steps) = UNITS[number.unwrap_or(UNITS.len() - 1)];
        let end = most / seconds;
        let step = steps.iter().copied().find(|step| step * MARKS >= end);
        let marks = match step {
            Some(step) => (0..)
                .map(|mark| step * f64::from(mark))
                .take_while(|mark| *mark <= end)
                .collect(),
            None => Scale::to(end, MARKS)
                .marks
                .into_iter()
                .filter(|mark| *mark <= end)
                .collect(),
        };
        Self {
            scale: Scale { end, marks },
            unit,
            seconds,
        }
    }

    /// Where a time is, 1 being the end of the scale.
    pub(super) fn place(&self, time: Duration) -> f64 {
        self.scale.place(time.as_secs_f64() / self.seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round_and_reach_the_value() {
        for (most, expected) in [
            (1.0, &[0.0, 0.2, 0.4, 0.6, 0.8, 1.0][..]),
            (950.0, &[0.0, 200.0, 400.0, 600.0, 800.0, 1_000.0]),
            (12.0, &[0.0, 5.0, 10.0, 15.0]),
            (0.0, &[]),
        ] {
            let scale = Scale::to(most, 5.0);
            assert!(scale.end >= most && scale.marks.len() <= 6, "{scale:?}");
            let is_near = |(one, other): (&f64, &f64)| (one - other).abs() < 1e-9 * most;
            assert!(
                expected.is_empty() || scale.marks.iter().zip(expected).all(is_near),
                "{scale:?}"
            );
            assert!(
                expected.is_empty() || scale.marks.len() == expected.len(),
                "{scale:?}"
            );
        }
    }

    #[test]
    fn times_have_the_unit_in_which_people_count_them() {
        for (seconds, unit, marks) in [
            (0, "seconds", 2),
            (20, "seconds", 5),
            (119, "seconds", 4),
            (121, "minutes", 3),
            (3_600, "minutes", 7),
            (7_300, "hours", 3),
            (172_800, "days", 5),
            (30 * 86_400, "days", 7),
        ] {
            let scale = TimeScale::to(Duration::from_secs(seconds));
            assert_eq!(
                (scale.unit, scale.scale.marks.len()),
                (unit, marks),
                "{seconds} {scale:?}"
            );
            assert!((scale.place(Duration::from_secs(seconds.max(1))) - 1.0).abs() < 1e-9);
        }
    }
}
