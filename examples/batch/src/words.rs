//! Figures in words for people.

use std::time::Duration;

use tower_qwen_tokens::Money;

/// A duration with the one or two units that matter: `0.07 s`, `9.9 s`, `12 min 5 s`, `3 h 42 min`, `5 d 3 h`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    // Rounded first, so that no time is written as 60 s.
    let seconds = duration.as_secs_f64();
    let hundredths = (seconds * 100.0).round() / 100.0;
    let tenths = (seconds * 10.0).round() / 10.0;
    if duration.is_zero() {
        return "0 s".to_owned();
    }
    if hundredths < 0.01 {
        return "less than 0.01 s".to_owned();
    }
    if hundredths < 1.0 {
        return format!("{hundredths} s");
    }
    if tenths < 60.0 {
        return format!("{tenths} s");
    }
    let seconds = duration.as_secs() + u64::from(duration.subsec_millis() >= 500);
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    let (large, small) = match () {
        () if hours == 0 => ((minutes, "min"), (seconds % 60, "s")),
        () if days < 2 => ((hours, "h"), (minutes % 60, "min")),
        () => ((days, "d"), (hours % 24, "h")),
    };
    match small.0 {
        0 => format!("{} {}", large.0, large.1),
        _ => format!("{} {} {} {}", large.0, large.1, small.0, small.1),
    }
}

/// Amounts for people to read, rounded to six decimals.
#[must_use]
pub fn money(amounts: &[Money]) -> String {
    if amounts.is_empty() {
        return "none known".to_owned();
    }
    let amount = |money: &Money| {
        let amount = money.amount();
        let end = amount
            .find('.')
            .map_or(amount.len(), |point| amount.len().min(point + 7));
        format!("{} {}", &amount[..end], money.currency())
    };
    amounts.iter().map(amount).collect::<Vec<_>>().join(" + ")
}

#[cfg(test)]
mod tests {
    use std::error::Error;

    use super::*;

    #[test]
    fn two_units_at_most() {
        for (millis, expected) in [
            (0, "0 s"),
            (4, "less than 0.01 s"),
            (73, "0.07 s"),
            (996, "1 s"),
            (9_900, "9.9 s"),
            (20_000, "20 s"),
            (59_960, "1 min"),
            (90_000, "1 min 30 s"),
            (3_600_000, "1 h"),
            (13_333_300, "3 h 42 min"),
            (172_800_000, "2 d"),
            (442_800_000, "5 d 3 h"),
        ] {
            assert_eq!(duration(Duration::from_millis(millis)), expected);
        }
    }

    #[test]
    fn amounts_are_cut_to_six_decimals() -> Result<(), Box<dyn Error>> {
        for (amounts, expected) in [
            (&[][..], "none known"),
            (&["3 USD"], "3 USD"),
            (&["0.5 USD"], "0.5 USD"),
            (
                &["0.123456789 CNY", "12.0000001 USD"],
                "0.123456 CNY + 12.000000 USD",
            ),
        ] {
            let amounts = amounts
                .iter()
                .map(|text| text.parse())
                .collect::<Result<Vec<Money>, _>>();
            assert_eq!(
                money(&amounts.map_err(|error| error.to_string())?),
                expected
            );
        }
        Ok(())
    }
}
