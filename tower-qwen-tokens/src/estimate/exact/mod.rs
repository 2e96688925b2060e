//! Exact counts, with the vocabulary.

mod bpe;
mod chat;
mod classes;
mod error;
mod family;
mod image;
mod message;
mod nfc;
mod profile;
mod python;
mod special;
mod split;
mod template;
mod tokenizer;
mod wire;

pub use chat::Chat;
pub use error::ChatError;
pub use family::Family;
pub use image::ImageRule;
pub use message::Message;
pub use profile::Profile;
pub use tokenizer::Tokenizer;
