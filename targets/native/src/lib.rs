//! The native gateway: hyper and tokio under the driver. Start at [`server::run`]; a program that adds plugins of its own
//! registers them ([`acip_shell::plugins::register`]) and calls [`run`].

#![forbid(unsafe_code)]

// The command line names things as the programs do that use this library.
extern crate self as acip_gateway;

pub mod access;
mod background;
mod cli;
pub mod connection;
pub mod control;
mod demo;
pub mod entropy;
pub mod events;
pub mod export;
mod faults;
mod follow;
mod health;
mod jobs;
pub mod listener;
pub mod logs;
pub mod ports;
pub mod process;
mod publish;
pub mod recorder;
pub mod redis_rest;
pub mod rt;
pub mod search;
pub mod server;
pub mod store;
pub mod thread;
pub mod tls;
pub mod trust;
pub mod upgrade;
pub mod upstream;
pub mod wire;
mod workers;

#[cfg(feature = "components")]
pub use acip_components as components;
pub use acip_core as core;
pub use acip_shell::plugins;
pub use cli::run;
