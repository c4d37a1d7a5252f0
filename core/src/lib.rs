//! The pure decision core of the ACIP gateway.
//!
//! It is a function of values: a document becomes a [`Gateway`]; a request head with [`Facts`] becomes a
//! [`Step`]; the store's answer turns that into a [`Verdict`]; the origin's response head into a [`Seal`]; what
//! happened to the body into an [`Epilogue`]. It holds no clock, no chance, no environment, no file, no socket
//! and no body: `no_std` keeps it so. Start at [`gateway`], then [`plugins`].

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

pub mod config;
pub mod store;
