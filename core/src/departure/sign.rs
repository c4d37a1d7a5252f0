//! The backend's own request signature: HMAC-SHA-256 over `METHOD:path:sha256hex(body):unix-seconds`.

use alloc::{format, string::String};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderValue;
use sha2::{Digest, Sha256};

use super::dress::set;
use crate::{hex::hex, http::names, verdict::Forward};

impl Forward {
    /// Signs a body that was held whole: sets `X-Signature` and `X-Timestamp`. Not called for a body that was too
    /// long: then [`Forward::skip_signature`].
    pub fn sign(&mut self, body: &[u8]) {
        let Some(secret) = &self.signing else { return };
        let seconds = self.flow.request.facts.now_ms / 1000;
        let path = self.attempts.first().map_or("/", |attempt| attempt.uri.path());
        let method = self.flow.request.head.method.as_str();
        let signature = signature(secret.expose_secret().as_bytes(), method, path, body, seconds);
        self.headers.remove(names::X_SIGNATURE_SKIPPED);
        self.headers.insert(names::X_TIMESTAMP, HeaderValue::from(seconds));
        set(&mut self.headers, names::X_SIGNATURE, &signature);
    }

    /// Sets `X-Signature-Skipped`.
    pub fn skip_signature(&mut self) {
        if self.signing.is_some() {
            self.headers.insert(names::X_SIGNATURE_SKIPPED, HeaderValue::from_static("body"));
        }
    }
}

pub(super) fn signature(secret: &[u8], method: &str, path: &str, body: &[u8], seconds: u64) -> String {
    // HMAC takes keys of any length (RFC 2104 §2); the empty text can never verify.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret) else { return String::new() };
    mac.update(format!("{method}:{path}:{}:{seconds}", hex(&Sha256::digest(body))).as_bytes());
    hex(&mac.finalize().into_bytes())
}
