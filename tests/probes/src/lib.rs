//! What the core must withstand: each probe takes any bytes, and panics where a property does not hold.
//!
//! `tests/fuzz` hands them to libFuzzer; `tests/tests/probes.rs` runs them bounded on every test run, so that they
//! never rot. A finding of the fuzzer becomes a line there.

mod choices;
mod decision;
mod document;
mod resp;
mod rest;

pub use decision::begin_decide;
pub use document::document;
pub use resp::resp;
pub use rest::rest;
