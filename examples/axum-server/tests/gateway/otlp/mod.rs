//! What the program sends to a collector of OpenTelemetry.

mod away;
mod collector;
mod figures;
mod spans;
mod upstream;
