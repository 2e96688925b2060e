//! The server's side, in paused time.

mod axum;
mod contract;
mod headers;
mod rejections;
mod settling;
mod shadow;
mod support;
mod try_acquire;
