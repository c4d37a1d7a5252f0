//! A value that is never shown.

use alloc::{string::String, vec::Vec};
use core::fmt;

/// A password, token or key. It has no `Display`, its `Debug` is redacted and it does not serialise.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a value.
    pub fn new(value: impl Into<String>) -> Self {
        Self(value.into())
    }

    /// The value itself; each call is a place to review.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }

    /// The value as bytes.
    pub fn expose_bytes(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}
