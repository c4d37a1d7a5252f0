//! What may stand in a key's record, as the command line and the admin API ask it.

use alloc::{
    format,
    string::{String, ToString},
};
use core::net::IpAddr;
use ipnet::IpNet;

use super::KeyLimit;

/// A limit that the store can count.
///
/// # Errors
/// What is wrong with it.
pub fn limit(limit: &KeyLimit) -> Result<(), String> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if limit.name.is_empty() || limit.name.len() > MAX_NAME || !limit.name.bytes().all(plain) {
        return Err(format!(
            "the name `{}` may hold letters, digits and `-`, {MAX_NAME} at most",
            limit.name
        ));
    }
    if limit.window_ms == 0 {
        return Err("the window must be at least 1 ms".into());
    }
    if limit.window_ms > MAX_WINDOW_MS {
        return Err(format!("the window must be at most {MAX_WINDOW_MS} ms"));
    }
    match limit.algorithm.as_deref() {
        Some(name) if !ALGORITHMS.contains(&name) => {
            Err(format!("`{name}` is none of {}", ALGORITHMS.join(", ")))
        }
        _ => Ok(()),
    }
}

/// A path pattern.
///
/// # Errors
/// What is wrong with it.
pub fn route(text: &str) -> Result<String, String> {
    if text.starts_with('/') { Ok(text.into()) } else { Err("a pattern begins with `/`".into()) }
}

/// A network, or a single address as one.
///
/// # Errors
/// What is wrong with it.
pub fn network(text: &str) -> Result<String, String> {
    let network = text.parse::<IpNet>();
    let address = || text.parse::<IpAddr>().map(IpNet::from);
    network
        .or_else(|_| address())
        .map(|network| network.to_string())
        .map_err(|_| format!("`{text}` is no network; write 10.0.0.0/8 or 2001:db8::/32"))
}

/// Most limits of a key.
pub const MAX_LIMITS: usize = 16;
const MAX_NAME: usize = 64;
/// The store counts in 32 bits of ms: 49 days.
const MAX_WINDOW_MS: u64 = 0xffff_ffff;
const ALGORITHMS: [&str; 4] = ["sliding-window", "sliding-log", "token-bucket", "fixed-window"];
