//! The store protocol: everything a request wants to know or count, as one command.
//!
//! A [`Batch`] is a list of [`Op`]s. It travels as a single `EVALSHA` of `script.lua`, and the answer is one flat row of
//! [`Cell`]s, a fixed number per operation. [`Slot`]s are typed places in that row. `memory` is the same meaning in Rust over ordered maps; a property
//! test holds the two equal.

mod batch;

pub use batch::{Ask, Batch, Cell, Cells, Guard, LimitSpec, Op, Record, Slot, Spend, WorkerRecord, Workers};
