//! Durations as Go writes them, such as `577.5ms`, `7.66s` or `6m0s`.

use std::time::Duration;

/// To the `unit`, which is at least a microsecond, rounded up. What is below a millisecond is
/// written in milliseconds too, as Go's own sign for microseconds is not ASCII.
pub(crate) fn go_duration(duration: Duration, unit: Duration) -> String {
    let unit = unit.as_micros().max(1);
    let units = duration.as_nanos().div_ceil(unit * 1_000);
    let micros = units * unit;
    if micros == 0 {
        return "0s".to_owned();
    }
    if micros < 1_000_000 {
        return format!("{}ms", decimal(micros, 1_000));
    }
    let (minutes, rest) = (micros / 60_000_000, micros % 60_000_000);
    let seconds = decimal(rest, 1_000_000);
    match (minutes / 60, minutes % 60) {
        (0, 0) => format!("{seconds}s"),
        (0, minutes) => format!("{minutes}m{seconds}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}s"),
    }
}

/// `amount / whole` without needless zeros. `whole` is a power of ten.
fn decimal(amount: u128, whole: u128) -> String {
    let digits = whole.ilog10() as usize;
    let text = format!("{}.{:0digits$}", amount / whole, amount % whole);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: Duration = Duration::from_millis(1);
    const MICRO: Duration = Duration::from_micros(1);

    #[test]
    fn durations_are_written_as_go_does() {
        let cases = [
            (0, "0s"),
            (500, "0.5ms"),
            (8_000, "8ms"),
            (120_000, "120ms"),
            (577_500, "577.5ms"),
            (1_000_000, "1s"),
            (7_660_000, "7.66s"),
            (10_000_000, "10s"),
            (60_000_000, "1m0s"),
            (179_560_000, "2m59.56s"),
            (360_000_000, "6m0s"),
            (3_600_000_000, "1h0m0s"),
            (86_399_000_001, "23h59m59.000001s"),
        ];
        for (micros, text) in cases {
            assert_eq!(go_duration(Duration::from_micros(micros), MICRO), text);
        }
    }

    #[test]
    fn they_round_up_to_the_unit() {
        let cases = [
            (1, "1ms", "0.001ms"),
            (1_000_000, "1ms", "1ms"),
            (1_000_001, "2ms", "1.001ms"),
            (999_000_001, "1s", "999.001ms"),
            (59_999_999_999, "1m0s", "1m0s"),
        ];
        for (nanos, millis, micros) in cases {
            let duration = Duration::from_nanos(nanos);
            assert_eq!(go_duration(duration, MILLI), millis);
            assert_eq!(go_duration(duration, MICRO), micros);
        }
    }
}
