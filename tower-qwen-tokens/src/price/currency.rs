use std::{fmt, str::FromStr};

use serde::{Serialize, Serializer};

/// A currency by its three-letter code (ISO 4217), or [credits](Currency::CREDITS).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// A text that is no currency code: neither three capital letters nor `Credits`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a currency code is three capital letters, or `Credits`")]
pub struct InvalidCurrency;

impl Currency {
    /// US dollar.
    pub const USD: Self = Self(*b"USD");
    /// Chinese yuan.
    pub const CNY: Self = Self(*b"CNY");
    /// What the provider's plans count in; written `Credits`. They have no rate of exchange.
    // No code: no three capital letters can be mistaken for it.
    pub const CREDITS: Self = Self(*b"   ");

    /// The code.
    #[must_use]
    pub fn as_str(&self) -> &str {
        if *self == Self::CREDITS {
            return "Credits";
        }
        // Always three ASCII letters; the default keeps a getter free of panics.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl FromStr for Currency {
    type Err = InvalidCurrency;

    fn from_str(code: &str) -> Result<Self, Self::Err> {
        match *code.as_bytes() {
            _ if code == Self::CREDITS.as_str() => Ok(Self::CREDITS),
            [a, b, c] if [a, b, c].iter().all(u8::is_ascii_uppercase) => Ok(Self([a, b, c])),
            _ => Err(InvalidCurrency),
        }
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_three_capitals_are_a_code() {
        assert_eq!("USD".parse(), Ok(Currency::USD));
        assert_eq!(
            "EUR".parse::<Currency>().map(|c| c.to_string()),
            Ok("EUR".into())
        );
        assert_eq!("Credits".parse(), Ok(Currency::CREDITS));
        assert_eq!(Currency::CREDITS.to_string(), "Credits");
        for wrong in ["", "US", "usd", "USDT", "U1D", "€", "   ", "credits"] {
            assert_eq!(wrong.parse::<Currency>(), Err(InvalidCurrency), "{wrong}");
        }
    }
}
