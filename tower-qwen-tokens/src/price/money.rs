use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer, ser::SerializeStruct};

use super::Currency;

// A price of six decimals per million tokens is a whole number of 10⁻¹² per token, so sums are
// exact.
const DECIMALS: u32 = 12;
const UNIT: i128 = 10_i128.pow(DECIMALS);

/// An exact amount: a whole number of pico-units (10⁻¹²) of its currency. Arithmetic saturates.
///
/// Written and read as `0.001234 USD`.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    pico: i128,
    currency: Currency,
}

/// A text that is no amount: `<digits>[.<up to 12 digits>] <CODE>` is expected, with an optional sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an amount is written as decimals and a currency code, such as `0.25 USD`")]
pub struct InvalidMoney;

impl Money {
    /// An amount in pico-units: `1_000_000_000_000` is one dollar, yuan, …
    #[must_use]
    pub const fn from_pico(pico: i128, currency: Currency) -> Self {
        Self { pico, currency }
    }

    /// Nothing, in this currency.
    #[must_use]
    pub const fn zero(currency: Currency) -> Self {
        Self::from_pico(0, currency)
    }

    /// The amount in pico-units.
    #[must_use]
    pub const fn pico(self) -> i128 {
        self.pico
    }

    /// The currency.
    #[must_use]
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The sum; `None` where the currencies differ.
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        (self.currency == other.currency)
            .then(|| Self::from_pico(self.pico.saturating_add(other.pico), self.currency))
    }

    /// Adds it to sums of which there is one per currency.
    pub fn add_to(self, sums: &mut Vec<Self>) {
        for sum in &mut *sums {
            if let Some(more) = sum.plus(self) {
                *sum = more;
                return;
            }
        }
        sums.push(self);
    }

    /// The amount without its currency, in decimals.
    #[must_use]
    pub fn amount(self) -> String {
        let mut text = String::new();
        self.write_amount(&mut text);
        text
    }

    /// Appends the amount without its currency, in decimals.
    pub(crate) fn write_amount(self, text: &mut String) {
        let pico = self.pico.unsigned_abs();
        // Nearly all amounts are of 64 bits, which divide in a tenth of the time of 128.
        let (whole, rest) = match u64::try_from(pico) {
            Ok(pico) => (u128::from(pico / UNIT as u64), pico % UNIT as u64),
            Err(_) => (
                pico / UNIT.unsigned_abs(),
                (pico % UNIT.unsigned_abs()) as u64,
            ),
        };
        if self.pico < 0 {
            text.push('-');
        }
        text.push_str(itoa::Buffer::new().format(whole));
        if rest == 0 {
            return;
        }
        let mut digits = itoa::Buffer::new();
        // Formatted as 1xxx and cut, so that leading zeros stay.
        let digits = &digits.format(UNIT as u64 + rest)[1..];
        text.push('.');
        text.push_str(digits.trim_end_matches('0'));
    }

    /// Reads decimals such as `0.25`.
    pub(super) fn parse_amount(text: &str, currency: Currency) -> Result<Self, InvalidMoney> {
        let digits = text.strip_prefix('-').unwrap_or(text);
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        // The digits of both are those of the pico-units.
        let pico = format!("{whole}{fraction:0<12}");
        if whole.is_empty()
            || !(1..=DECIMALS as usize).contains(&fraction.len())
            || !pico.bytes().all(|byte| byte.is_ascii_digit())
        {
            return Err(InvalidMoney);
        }
        // `i128` holds 10²⁶ units of a currency; beyond that the text is an error, not a wrong
        // amount.
        let pico: i128 = pico.parse().map_err(|_| InvalidMoney)?;
        let is_negative = digits.len() < text.len();
        let pico = if is_negative { -pico } else { pico };
        Ok(Self::from_pico(pico, currency))
    }
}

impl FromStr for Money {
    type Err = InvalidMoney;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (amount, code) = text.split_once(' ').ok_or(InvalidMoney)?;
        Self::parse_amount(amount, code.parse().map_err(|_| InvalidMoney)?)
    }
}

impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.amount(), self.currency)
    }
}

impl fmt::Debug for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Pico-units are hard to read, in a failed assertion too.
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Money {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct("Money", 2)?;
        object.serialize_field("amount", &self.amount())?;
        object.serialize_field("currency", &self.currency)?;
        object.end()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Option<i128> {
        text.parse::<Money>().ok().map(Money::pico)
    }

    #[test]
    fn reads_decimals_exactly() {
        assert_eq!(read("1 USD"), Some(1_000_000_000_000));
        assert_eq!(read("0.2 CNY"), Some(200_000_000_000));
        assert_eq!(read("-0.000000000001 USD"), Some(-1));
    }

    #[test]
    fn rejects_what_is_no_amount() {
        for wrong in [
            "",
            "1",
            "USD",
            "1. USD",
            ".5 USD",
            "1,5 USD",
            "+1 USD",
            "1e3 USD",
            "--1 USD",
            "1  USD",
            "1 usd",
            "0.0000000000001 USD",
            "999999999999999999999999999999999999999 USD",
        ] {
            assert_eq!(read(wrong), None, "{wrong:?}");
        }
    }

    #[test]
    fn writes_the_shortest_decimals() {
        for (pico, text) in [
            (0, "0 USD"),
            (1_234_000_000, "0.001234 USD"),
            (1_500_000_000_000, "1.5 USD"),
            (-1, "-0.000000000001 USD"),
            (20_000_000_000_000, "20 USD"),
        ] {
            assert_eq!(Money::from_pico(pico, Currency::USD).to_string(), text);
        }
    }

    #[test]
    fn currencies_do_not_mix_and_sums_saturate() {
        let dollar = Money::from_pico(1, Currency::USD);
        assert_eq!(dollar.plus(Money::zero(Currency::CNY)), None);
        assert_eq!(dollar.plus(dollar).map(Money::pico), Some(2));
        let most = Money::from_pico(i128::MAX, Currency::USD);
        assert_eq!(most.plus(dollar), Some(most));
        let yuan = Money::from_pico(5, Currency::CNY);
        let mut sums = Vec::new();
        for money in [dollar, yuan, dollar] {
            money.add_to(&mut sums);
        }
        assert_eq!(sums, [Money::from_pico(2, Currency::USD), yuan]);
        assert!(
            Money::from_pico(i128::MIN, Currency::USD)
                .to_string()
                .starts_with('-')
        );
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read_again(pico in -(10_i128.pow(30))..10_i128.pow(30)) {
            let money = Money::from_pico(pico, Currency::CNY);
            proptest::prop_assert_eq!(money.to_string().parse::<Money>(), Ok(money));
        }
    }
}
