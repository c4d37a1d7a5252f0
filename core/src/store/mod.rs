//! The store protocol: everything a request wants to know or count, as one command.
//!
//! A [`Batch`] is a list of [`Op`]s. It travels as a single `EVALSHA` of `script.lua`, and the answer is one flat row of
//! [`Cell`]s, a fixed number per operation. [`Slot`]s are typed places in that row. `memory` is the same meaning in Rust over ordered maps; a property
//! test holds the two equal.

mod batch;
mod cells;
mod error;
mod home;
mod limiter;
pub mod memory;
mod part;
pub mod resp;
pub mod rest;
mod roster;
mod script;
mod split;
mod version;

pub use batch::{Add, Ask, Batch, Cell, Guard, Life, LimitSpec, Op, Slot};
pub use cells::{Amended, Cells, Hash, Record, Replaced, Spend, WorkerRecord, Workers};
pub use error::{ServerError, StoreError};
pub use home::{Home, Homes};
pub use memory::{Memory, MemoryLimits, MemoryUse};
pub use part::Part;
pub use resp::{Decoder, Reply, RespError, RespLimits};
pub use roster::Roster;
pub use script::Script;
pub use split::{SlotGroup, Split, slot};
pub use version::{NO_VERSION, version_of};
