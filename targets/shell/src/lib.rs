//! The one async driver of the gateway: it carries a request through the steps of [`acip_core`] and moves its bytes.
//!
//! It decides nothing, and it knows no runtime: everything it needs from the outside is in [`Ports`] ([`EdgePorts`] where
//! an [`Instance`] is kept), and no future here
//! is asked to be `Send`, so that single-threaded platforms need no locks. Start at [`serve`].

#![forbid(unsafe_code)]
// A panic in a Worker ends every request that is under way there.
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::string_slice,
        clippy::unreachable,
        clippy::unwrap_used
    )
)]

mod account;
mod begin;
mod body;
mod capture;
mod command;
mod edge;
pub mod export;
mod forward;
mod homes;
mod instance;
mod pieces;
pub mod plugins;
mod ports;
mod records;
mod serve;
pub mod store;
mod upload;

pub use body::{Body, BodyError};
pub use edge::EdgePorts;
pub use instance::{Instance, Moment, Opened};
pub use ports::{EventStream, Failure, OriginRequest, Ports, StoreDown, Tunnelled, Visitor};
pub use records::MARK as RECORDING_MARK;
pub use serve::{refuse, serve};
pub use upload::{Upload, UploadError};

#[cfg(test)]
mod tests;
