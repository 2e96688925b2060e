use tower_qwen_tokens::{Money, price::Currency};

/// Decimals of a rate: as many as money has, so that none of the usual ones is cut.
const DECIMALS: usize = 12;

/// Rates of exchange, as the operator gives them. Each has one direction and a date; none is
/// inverted, chained or fetched.
///
/// ```
/// use tower_qwen_ratelimit::budget::Rates;
/// use tower_qwen_tokens::price::Currency;
///
/// let rates = Rates::new().with(Currency::USD, Currency::CNY, "7.1234", "2026-11-29")?;
/// let yuan = rates.convert("2 USD".parse()?, Currency::CNY).ok_or("no rate")?;
/// assert_eq!(yuan.to_string(), "14.2468 CNY");
/// assert_eq!(rates.convert("2 CNY".parse()?, Currency::USD), None);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rates(Vec<Rate>);

/// One unit of `from` is `parts / whole` units of `to`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Rate {
    from: Currency,
    to: Currency,
    parts: i128,
    whole: i128,
    date: Box<str>,
}

/// Why a rate of exchange is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRate {
    /// It is not written as decimals above zero, with at most 12 digits before the point and 12
    /// behind it.
    #[error("a rate is written as decimals above zero, such as `7.1234`")]
    Decimals,
    /// Both currencies are the same, or one of them is credits, which cannot be exchanged.
    #[error("there is no rate of exchange between {0} and {1}")]
    Currencies(Currency, Currency),
}

impl Rates {
    /// No rates: a call that is priced in another currency than its budget is rejected.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a rate, or replaces the one between these currencies: what one unit of `from` is in `to`,
    /// and the day of which that is (for people: rates do not expire).
    ///
    /// # Errors
    ///
    /// [`InvalidRate`].
    pub fn with(
        mut self,
        from: Currency,
        to: Currency,
        rate: &str,
        date: &str,
    ) -> Result<Self, InvalidRate> {
        if from == to || [from, to].contains(&Currency::CREDITS) {
            return Err(InvalidRate::Currencies(from, to));
        }
        let (parts, whole) = ratio(rate).ok_or(InvalidRate::Decimals)?;
        self.0.retain(|known| (known.from, known.to) != (from, to));
        self.0.push(Rate {
            from,
            to,
            parts,
            whole,
            date: date.into(),
        });
        Ok(self)
    }

    /// The amount in another currency, rounded up to the next pico-unit; itself in its own. `None`
    /// without a rate.
    #[must_use]
    pub fn convert(&self, money: Money, to: Currency) -> Option<Money> {
        if money.currency() == to {
            return Some(money);
        }
        let rate = self.find(money.currency(), to)?;
        // Divided first, so that only the rest, below 10^12, is multiplied exactly.
        let (times, rest) = (money.pico() / rate.whole, money.pico() % rate.whole);
        // Up, so that a budget never shows less than the bill.
        let rest = (rest * rate.parts + rate.whole - 1) / rate.whole;
        let pico = times.saturating_mul(rate.parts).saturating_add(rest);
        Some(Money::from_pico(pico, to))
    }

    /// The day of which a rate is.
    #[must_use]
    pub fn date(&self, from: Currency, to: Currency) -> Option<&str> {
        Some(&self.find(from, to)?.date)
    }

    fn find(&self, from: Currency, to: Currency) -> Option<&Rate> {
        self.0
            .iter()
            .find(|rate| (rate.from, rate.to) == (from, to))
    }
}

/// `7.1234` as 71,234 of 10,000.
fn ratio(text: &str) -> Option<(i128, i128)> {
    let (units, fraction) = text.split_once('.').unwrap_or((text, "0"));
    let is_plain = |digits: &str| {
        (1..=DECIMALS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !is_plain(units) || !is_plain(fraction) {
        return None;
    }
    let whole = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
    let parts = units.parse::<i128>().ok()? * whole + fraction.parse::<i128>().ok()?;
    (parts > 0).then_some((parts, whole))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn convert(rate: &str, money: &str) -> Option<String> {
        let rates = Rates::new().with(Currency::USD, Currency::CNY, rate, "2026-11-29");
        let money = money.parse().expect("money");
        let converted = rates.ok()?.convert(money, Currency::CNY);
        converted.map(|money| money.to_string())
    }

    #[test]
    fn rates_are_exact_and_round_up() {
        for (rate, money, converted) in [
            ("7.1234", "2 USD", "14.2468 CNY"),
            ("7", "0.000000000001 USD", "0.000000000007 CNY"),
            ("7.1", "0.000000000001 USD", "0.000000000008 CNY"),
            ("0.000000000001", "0.000000000001 USD", "0.000000000001 CNY"),
            ("0.1404", "10 USD", "1.404 CNY"),
            ("1.0", "3 CNY", "3 CNY"),
        ] {
            assert_eq!(convert(rate, money).as_deref(), Some(converted), "{rate}");
        }
        assert_eq!(convert("7", "1 EUR"), None);
    }

    #[test]
    fn what_is_no_rate_is_an_error() {
        for wrong in [
            "",
            "0",
            "0.0",
            "-1",
            "7,1",
            ".5",
            "7.",
            "1e3",
            "1234567890123",
        ] {
            let rates = Rates::new().with(Currency::USD, Currency::CNY, wrong, "2026-11-29");
            assert_eq!(rates, Err(InvalidRate::Decimals), "{wrong}");
        }
        for (from, to) in [
            (Currency::USD, Currency::USD),
            (Currency::CREDITS, Currency::USD),
            (Currency::USD, Currency::CREDITS),
        ] {
            let wrong = Rates::new().with(from, to, "7", "2026-11-29");
            assert_eq!(wrong, Err(InvalidRate::Currencies(from, to)));
        }
    }

    #[test]
    fn the_later_rate_counts_and_has_its_date() {
        let rates = Rates::new()
            .with(Currency::USD, Currency::CNY, "7", "2026-11-28")
            .and_then(|rates| rates.with(Currency::USD, Currency::CNY, "8", "2026-11-29"))
            .expect("rates");
        assert_eq!(rates.date(Currency::USD, Currency::CNY), Some("2026-11-29"));
        assert_eq!(rates.date(Currency::CNY, Currency::USD), None);
        let yuan = rates.convert("1 USD".parse().expect("money"), Currency::CNY);
        assert_eq!(yuan.map(|money| money.to_string()), Some("8 CNY".into()));
    }
}
