//! What goes wrong with a call.

use crate::config::Faults;

/// The fault of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    None,
    Unavailable,
    Reset,
    /// An error event, before any content.
    ErrorFirst,
    /// An error event, halfway through the content.
    ErrorLater,
    NoUsage,
    Throttle500,
    Error200,
    BareJson,
    Cut,
}

impl Fault {
    /// One draw decides, so a call has at most one fault.
    pub(crate) fn draw(faults: &Faults, rng: &mut fastrand::Rng) -> Self {
        let kinds = [
            (faults.unavailable, Self::Unavailable),
            (faults.reset, Self::Reset),
            (faults.stream_error / 2.0, Self::ErrorFirst),
            (faults.stream_error / 2.0, Self::ErrorLater),
            (faults.no_usage, Self::NoUsage),
            (faults.throttle_500, Self::Throttle500),
            (faults.error_200, Self::Error200),
            (faults.bare_json, Self::BareJson),
            (faults.cut, Self::Cut),
        ];
        let mut draw = rng.f64();
        for (probability, fault) in kinds {
            if draw < probability {
                return fault;
            }
            draw -= probability;
        }
        Self::None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_come_as_often_as_asked() {
        let faults = Faults {
            unavailable: 0.1,
            reset: 0.2,
            stream_error: 0.2,
            no_usage: 0.1,
            throttle_500: 0.1,
            error_200: 0.05,
            bare_json: 0.05,
            cut: 0.1,
        };
        let mut rng = fastrand::Rng::with_seed(1);
        let draws: Vec<_> = (0..20_000)
            .map(|_| Fault::draw(&faults, &mut rng))
            .collect();
        let expected = [
            (Fault::None, 0.1),
            (Fault::Unavailable, 0.1),
            (Fault::Reset, 0.2),
            (Fault::ErrorFirst, 0.1),
            (Fault::ErrorLater, 0.1),
            (Fault::NoUsage, 0.1),
            (Fault::Throttle500, 0.1),
            (Fault::Error200, 0.05),
            (Fault::BareJson, 0.05),
            (Fault::Cut, 0.1),
        ];
        for (fault, share) in expected {
            let seen = draws.iter().filter(|&&drawn| drawn == fault).count() as f64 / 20_000.0;
            assert!((seen - share).abs() < 0.01, "{fault:?}: {seen}");
        }
    }

    #[test]
    fn no_faults_unless_asked_and_always_when_certain() {
        let mut rng = fastrand::Rng::with_seed(1);
        let certain = Faults {
            unavailable: 1.0,
            ..Faults::default()
        };
        for _ in 0..1_000 {
            assert_eq!(Fault::draw(&Faults::default(), &mut rng), Fault::None);
            assert_eq!(Fault::draw(&certain, &mut rng), Fault::Unavailable);
        }
    }
}
