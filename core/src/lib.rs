//! The pure decision core of the ACIP gateway.
//!
//! It is a function of values: a [`config::Document`] becomes a [`Gateway`]; a request head with [`Facts`] becomes a
//! [`Step`]; the store's answer turns that into a [`Verdict`]; the origin's response head into a [`Seal`]; what
//! happened to the body into an [`Epilogue`]. It holds no clock, no chance, no environment, no file, no socket
//! and no body: `no_std` keeps it so. Start at [`gateway`], then [`plugin`].

#![no_std]
#![forbid(unsafe_code)]
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

extern crate alloc;
#[cfg(test)]
extern crate std;

mod address;
pub mod arrival;
pub mod cel;
pub mod command;
pub mod config;
pub mod control;
pub mod departure;
pub mod event;
pub mod explain;
pub mod facts;
pub mod flow;
pub mod gateway;
mod gather;
pub mod hex;
mod http;
mod json;
pub mod keys;
mod keyspace;
pub mod origins;
pub mod outcome;
pub mod plugin;
pub mod plugins;
pub mod refusal;
pub mod report;
pub mod request;
pub mod routes;
pub mod store;
pub mod telemetry;
mod time;
pub mod trace;
pub mod verdict;

pub use facts::Facts;
pub use flow::Flow;
pub use gateway::{CompileError, Exchange, Gateway, Step};
pub use outcome::{Epilogue, Outcome};
pub use refusal::{ErrorCode, Refusal};
pub use report::{Report, Status};
pub use request::{Request, RequestHead};
pub use verdict::{Answer, Forward, OriginFailure, ResponseHead, Seal, Verdict};
