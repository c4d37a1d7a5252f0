//! The native gateway: hyper and tokio under the driver. Start at [`server::run`].

#![forbid(unsafe_code)]

pub mod access;
pub mod connection;
pub mod control;
pub mod entropy;
pub mod export;
pub mod health;
pub mod listener;
pub mod logs;
pub mod ports;
pub mod process;
pub mod recorder;
pub mod redis_rest;
pub mod rt;
pub mod search;
pub mod server;
pub mod store;
pub mod thread;
pub mod tls;
pub mod upgrade;
pub mod upstream;
pub mod wire;
