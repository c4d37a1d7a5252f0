//! The gateway as a Cloudflare Worker. This crate translates between the platform and the driver of `acip-shell`; it takes no
//! decision. Start at `worker`, then `ports`.

#[cfg(target_arch = "wasm32")]
mod body;
#[cfg(any(test, target_arch = "wasm32"))]
mod fields;
#[cfg(target_arch = "wasm32")]
mod incoming;
#[cfg(target_arch = "wasm32")]
mod leaving;
#[cfg(target_arch = "wasm32")]
mod origin;
#[cfg(target_arch = "wasm32")]
mod outgoing;
#[cfg(target_arch = "wasm32")]
mod platform;
#[cfg(target_arch = "wasm32")]
mod ports;
#[cfg(target_arch = "wasm32")]
mod store;
#[cfg(target_arch = "wasm32")]
mod tcp;
#[cfg(target_arch = "wasm32")]
mod worker;
