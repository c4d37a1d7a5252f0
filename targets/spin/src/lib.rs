//! The gateway as a Spin component. This crate translates between the platform and the driver of `acip-shell`; it takes no
//! decision. Start at `service`, then `ports`.

#[cfg(any(test, all(target_os = "wasi", feature = "spin")))]
mod address;
#[cfg(target_os = "wasi")]
mod body;
#[cfg(target_os = "wasi")]
mod fields;
#[cfg(target_os = "wasi")]
mod incoming;
#[cfg(target_os = "wasi")]
mod origin;
#[cfg(target_os = "wasi")]
mod outgoing;
#[cfg(target_os = "wasi")]
mod ports;
#[cfg(all(target_os = "wasi", feature = "spin"))]
mod redis;
#[cfg(target_os = "wasi")]
mod rest;
#[cfg(target_os = "wasi")]
mod service;
#[cfg(target_os = "wasi")]
mod store;
#[cfg(target_os = "wasi")]
mod variables;
