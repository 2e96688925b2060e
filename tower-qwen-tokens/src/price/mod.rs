//! What a call costs in money.
//!
//! Money is a whole number of pico-units of its currency, so sums are exact. Prices are data with source and date
//! (`data/prices.json`), and all can be replaced by the user's own; see [`data`](crate::data). Amounts of different
//! currencies are never added: a sum is kept for each.
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

mod currency;
mod money;
mod price_book;
mod row;
mod tier;

pub use currency::{Currency, InvalidCurrency};
pub use money::{InvalidMoney, Money};
pub use price_book::PriceBook;
pub use tier::{InvalidPrice, Price, Tier};

pub use crate::data::Region;
