//! The report of a run: its page, and the built program that writes it.

#[path = "../support/mod.rs"]
mod support;

mod html;
mod page;
mod program;
