//! TLS where the gateway is the client: towards origins, the store, a database. It trusts the authorities of the system, or
//! those of `SSL_CERT_FILE`. What its own clients are shown is in `tls.rs`. Start at [`client_config`].

use std::sync::{Arc, OnceLock};

use rustls::{ClientConfig, RootCertStore, crypto::ring};

/// Why no TLS connection can be made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TrustError {
    /// No certificate authorities could be loaded.
    #[error("no certificate authorities: {0}; set `SSL_CERT_FILE`")]
    NoAuthorities(String),
    /// No version of TLS that is safe.
    #[error("no version of TLS: {0}")]
    NoVersion(String),
}

/// How to connect, with these protocols to choose from (ALPN, RFC 7301); none are offered where there are none.
///
/// # Errors
/// See [`TrustError`].
pub fn client_config(alpn: &[&str]) -> Result<Arc<ClientConfig>, TrustError> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| TrustError::NoVersion(error.to_string()))?
        .with_root_certificates(authorities()?)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// Loaded once: every thread connects to the store, and each time to read some hundred files would add up.
fn authorities() -> Result<Arc<RootCertStore>, TrustError> {
    static LOADED: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    if let Some(roots) = LOADED.get() {
        return Ok(Arc::clone(roots));
    }
    let found = rustls_native_certs::load_native_certs();
    for error in &found.errors {
        tracing::warn!(%error, "a certificate authority cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(found.certs);
    if added == 0 {
        let reason = found.errors.first().map_or("the system has none".into(), ToString::to_string);
        return Err(TrustError::NoAuthorities(reason));
    }
    Ok(Arc::clone(LOADED.get_or_init(|| Arc::new(roots))))
}
