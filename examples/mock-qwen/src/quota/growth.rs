//! The limit on the growth of the rate.

use std::time::Duration;

use crate::config::Growth;

/// A period lets in `factor` times the recent rate, and `floor` more.
#[derive(Debug)]
pub(crate) struct GrowthGate {
    growth: Growth,
    /// Number of the period that `count` belongs to.
    number: u64,
    /// Requests of that period.
    count: u64,
    /// Requests per period before it, each period with half the weight of the next.
    recent: f64,
}

impl GrowthGate {
    pub(crate) fn new(growth: Growth) -> Self {
        Self {
            growth,
            number: 0,
            count: 0,
            recent: 0.0,
        }
    }

    /// Whether one more request is let in now.
    pub(crate) fn fits(&mut self, now: Duration) -> bool {
        self.move_to(now);
        let grown = (self.growth.factor * self.recent) as u64;
        self.count < grown.saturating_add(self.growth.floor)
    }

    /// How long until one more is let in. The next period always lets one in.
    pub(crate) fn wait(&mut self, now: Duration) -> Duration {
        if self.fits(now) {
            return Duration::ZERO;
        }
        let period = self.growth.period;
        let into_period = now.as_nanos() % period.as_nanos();
        period - Duration::from_nanos(into_period as u64)
    }

    /// A request is let in.
    pub(crate) fn add(&mut self, now: Duration) {
        self.move_to(now);
        self.count += 1;
    }

    fn move_to(&mut self, now: Duration) {
        let number = (now.as_nanos() / self.growth.period.as_nanos()) as u64;
        let Some(empty) = number.checked_sub(self.number + 1) else {
            return;
        };
        self.recent = (self.recent + self.count as f64) / 2.0;
        // Every empty period halves the rate; after so many, nothing is left of it.
        self.recent *= 0.5_f64.powi(empty.min(1_000) as i32);
        self.count = 0;
        self.number = number;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PERIOD: u64 = 100;

    fn at(nanos: u64) -> Duration {
        Duration::from_nanos(nanos)
    }

    fn gate(factor: f64, floor: u64) -> GrowthGate {
        GrowthGate::new(Growth {
            factor,
            period: at(PERIOD),
            floor,
        })
    }

    /// Lets in as many as fit.
    fn fill(gate: &mut GrowthGate, now: u64) -> u64 {
        let mut count = 0;
        while gate.fits(at(now)) {
            gate.add(at(now));
            count += 1;
        }
        count
    }

    #[test]
    fn a_full_start_grows_by_its_factor() {
        let mut gate = gate(2.0, 5);
        let counts: Vec<u64> = (0..5)
            .map(|number| fill(&mut gate, number * PERIOD))
            .collect();
        // Recent rates of 0, 2.5, 6.25, 11.625 and 19.8.
        assert_eq!(counts, [5, 10, 17, 28, 44]);
    }

    #[test]
    fn a_pause_halves_what_is_let_in_down_to_the_floor() {
        for (pause, expected) in [
            (1, 69),
            (2, 37),
            (5, 9),
            (7, 6),
            (8, 5),
            (u64::MAX / PERIOD, 5),
        ] {
            let mut gate = gate(2.0, 5);
            gate.recent = 64.0;
            assert_eq!(fill(&mut gate, pause * PERIOD), expected, "{pause}");
        }
    }

    #[test]
    fn the_end_of_the_period_lets_in_again() {
        let mut gate = gate(1.0, 1);
        gate.add(at(130));
        assert!(!gate.fits(at(130)));
        assert_eq!(gate.wait(at(130)), at(70));
        assert!(!gate.fits(at(199)));
        assert_eq!(gate.wait(at(199)), at(1));
        assert!(gate.fits(at(200)));
        assert_eq!(gate.wait(at(200)), Duration::ZERO);
    }

    proptest! {
        #[test]
        fn it_lets_in_what_a_recount_says(
            pauses in prop::collection::vec(0_u64..90, 1..300),
            factor in 1.0_f64..4.0,
            floor in 1_u64..6,
        ) {
            let mut gate = gate(factor, floor);
            let mut counts = vec![0_u64];
            let mut now = 0;
            for pause in pauses {
                now += pause * pause / 20;
                counts.resize((now / PERIOD) as usize + 1, 0);
                let (this, before) = counts.split_last_mut().expect("a period");
                let recent = before.iter().fold(0.0, |rate, &count| (rate + count as f64) / 2.0);
                let fits = *this < (factor * recent).floor() as u64 + floor;
                prop_assert_eq!(gate.fits(at(now)), fits);
                if fits {
                    gate.add(at(now));
                    *this += 1;
                }
            }
        }
    }
}
