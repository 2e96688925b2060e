//! Exact counts, with the vocabulary.

mod chat;
mod error;
mod family;
mod image;
mod long;
mod nfc;
mod piece;
mod profile;
mod python;
mod special;
mod template;
mod tokenizer;
mod wire;

pub use chat::{Chat, Message};
pub use error::ChatError;
pub use family::Family;
pub use image::ImageRule;
pub use profile::Profile;
pub use tokenizer::Tokenizer;
