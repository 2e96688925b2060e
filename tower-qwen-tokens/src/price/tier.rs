use super::{Money, Share};

/// The prices of requests up to one length, per million tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Tier {
    /// The longest input in tokens to which this tier applies; `None` for no bound.
    pub up_to_input: Option<u64>,
    /// A million tokens of input.
    pub input: Money,
    /// A million tokens of output.
    pub output: Money,
    /// A million tokens of output where the model reasoned first, reasoning and answer alike; `None`: as `output`.
    pub thinking_output: Option<Money>,
    /// Input that was read from the implicit cache, or from one that the answer does not name.
    pub implicit_read: Rate,
    /// Input that was read from the explicit cache.
    pub explicit_read: Rate,
    /// Input that was written to a cache.
    pub cache_write: Rate,
}

/// The price of a part of the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Rate {
    /// A share of the tier's input price.
    Share(Share),
    /// An amount for a million tokens.
    PerMillion(Money),
}

impl Tier {
    /// A tier without a bound, whose caches cost the usual shares of the input: reads 20 % (implicit) and 10 % (explicit),
    /// writes 125 %.
    #[must_use]
    pub const fn new(input: Money, output: Money) -> Self {
        Self {
            up_to_input: None,
            input,
            output,
            thinking_output: None,
            // What the provider's page on its caches calls typical, of 2026-10-11; a row can say otherwise.
            implicit_read: Rate::Share(Share::percent(20)),
            explicit_read: Rate::Share(Share::percent(10)),
            cache_write: Rate::Share(Share::percent(125)),
        }
    }

    /// Bounds the tier: requests of at most this many input tokens. Default: no bound.
    #[must_use]
    pub const fn up_to_input(mut self, tokens: u64) -> Self {
        self.up_to_input = Some(tokens);
        self
    }

    /// The price of a million output tokens where the model reasoned. Default: as without reasoning.
    #[must_use]
    pub const fn thinking_output(mut self, price: Money) -> Self {
        self.thinking_output = Some(price);
        self
    }

    /// The price of input read from the implicit cache. Default: 20 % of the input price.
    #[must_use]
    pub const fn implicit_read(mut self, rate: Rate) -> Self {
        self.implicit_read = rate;
        self
    }

    /// The price of input read from the explicit cache. Default: 10 % of the input price.
    #[must_use]
    pub const fn explicit_read(mut self, rate: Rate) -> Self {
        self.explicit_read = rate;
        self
    }

    /// The price of input written to a cache. Default: 125 % of the input price.
    #[must_use]
    pub const fn cache_write(mut self, rate: Rate) -> Self {
        self.cache_write = rate;
        self
    }

    /// Every amount that it states.
    pub(super) fn amounts(&self) -> impl Iterator<Item = Money> {
        let of_rate = |rate| match rate {
            Rate::PerMillion(amount) => Some(amount),
            Rate::Share(_) => None,
        };
        [
            Some(self.input),
            Some(self.output),
            self.thinking_output,
            of_rate(self.implicit_read),
            of_rate(self.explicit_read),
            of_rate(self.cache_write),
        ]
        .into_iter()
        .flatten()
    }

    /// What a million tokens cost at this rate, in pico-units times 10,000: a share of any amount is then a whole number.
    /// `None` beyond what 128 bits hold.
    pub(super) fn scaled(&self, rate: Rate) -> Option<i128> {
        match rate {
            Rate::Share(share) => self.input.pico().checked_mul(share.parts()),
            Rate::PerMillion(amount) => amount.pico().checked_mul(Share::FULL.parts()),
        }
    }
}
