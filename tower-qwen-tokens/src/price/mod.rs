//! What a call costs in money.
//!
//! Money is a whole number of pico-units of its currency, so sums are exact. Prices are data with source and date
//! (`data/prices.json`), and all can be replaced by the user's own; see [`data`](crate::data). Amounts of different
//! currencies are never added: a sum is kept for each. The credits of the provider's plans are a currency too.
//!
//! A price has tiers by the length of the input, and in each a price for what was read from either cache and written to
//! one. [`Billing`] says what else a cost depends on: the batch interface, the clock, the service tier.
//!
//! ```
//! use tower_qwen_tokens::{PriceBook, Usage, price::{Price, Region}};
//!
//! let book = PriceBook::builtin();
//! let cost = book.cost("qwen-plus", &Usage::new(1_000, 200)).ok_or("no price")?;
//! assert_eq!(cost.to_string(), "0.00064 USD");
//!
//! let mine = Price::per_million("0.5 EUR".parse()?, "1 EUR".parse()?)?;
//! let book = PriceBook::builtin().region(Region::Beijing).with("my-model", mine);
//! assert_eq!(book.cost("my-model", &Usage::new(1_000_000, 0)).ok_or("no price")?.to_string(), "0.5 EUR");
//! assert_eq!(book.cost("nobody's-model", &Usage::new(1, 1)), None);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod billing;
mod clock_window;
mod currency;
mod money;
#[expect(clippy::module_inception, reason = "it holds the type of that name")]
mod price;
mod price_book;
mod row;
mod share;
mod tier;

pub use billing::{Billing, is_batch_host};
pub use clock_window::{ClockWindow, InvalidClockWindow};
pub use currency::{Currency, InvalidCurrency};
pub use money::{InvalidMoney, Money};
pub use price::{InvalidPrice, Price};
pub use price_book::PriceBook;
pub use share::{InvalidShare, Share};
pub use tier::{Rate, Tier};

pub use crate::data::Region;
