use std::{fmt, str::FromStr};

/// A part of a price, exact to a hundredth of a percent. Written and read as `20%` or `12.5%`.
///
/// ```
/// use tower_qwen_tokens::price::Share;
///
/// assert_eq!("12.5%".parse::<Share>()?.to_string(), "12.5%");
/// assert_eq!("100%".parse(), Ok(Share::FULL));
/// assert_eq!(Share::percent(20).to_string(), "20%");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

/// A text that is no share: `<digits>[.<1 or 2 digits>]%`, at most 1,000 %, is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a share is written as percent, such as `20%` or `12.5%`, and is at most 1000%")]
pub struct InvalidShare;

impl Share {
    /// The whole price.
    pub const FULL: Self = Self(10_000);
    /// The largest share, 1,000 %.
    // Three shares and a price then fit into 128 bits; see `Price::cost_of`.
    const MOST: Self = Self(100_000);

    /// So many percent. More than 1,000 count as 1,000.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        let parts = percent.saturating_mul(100);
        if parts > Self::MOST.0 {
            Self::MOST
        } else {
            Self(parts)
        }
    }

    /// Of 10,000 parts of the whole, how many.
    pub(super) fn parts(self) -> i128 {
        i128::from(self.0)
    }
}

impl FromStr for Share {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits = text.strip_suffix('%').ok_or(InvalidShare)?;
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
        let number = |digits: &str, most: usize| {
            let is_plain = digits.bytes().all(|byte| byte.is_ascii_digit());
            let fits = (1..=most).contains(&digits.len());
            (is_plain && fits)
                .then(|| digits.parse::<u32>().ok())
                .flatten()
                .ok_or(InvalidShare)
        };
        // `5` behind the point are five tenths.
        let tenths = if fraction.len() == 1 { 10 } else { 1 };
        let share = Self(number(whole, 4)? * 100 + number(fraction, 2)? * tenths);
        (share <= Self::MOST).then_some(share).ok_or(InvalidShare)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 100, self.0 % 100);
        match (rest, rest % 10) {
            (0, _) => write!(f, "{whole}%"),
            (_, 0) => write!(f, "{whole}.{}%", rest / 10),
            _ => write!(f, "{whole}.{rest:02}%"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_percents() {
        for (text, parts) in [
            ("0%", 0),
            ("20%", 2_000),
            ("12.5%", 1_250),
            ("10.67%", 1_067),
            ("0.05%", 5),
            ("1000%", 100_000),
        ] {
            assert_eq!(text.parse(), Ok(Share(parts)), "{text}");
            assert_eq!(Share(parts).to_string(), text);
        }
        for wrong in [
            "", "%", "20", "-1%", "+1%", "1.%", ".5%", "1.234%", "1000.01%", "99999%", "1 %",
            "1,5%", "é%",
        ] {
            assert_eq!(wrong.parse::<Share>(), Err(InvalidShare), "{wrong}");
        }
        assert_eq!(Share::percent(125), Share(12_500));
        assert_eq!(Share::percent(u32::MAX), Share::MOST);
    }
}
