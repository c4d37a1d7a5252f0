//! TLS towards origins: the system's roots, or those of `SSL_CERT_FILE`.

use std::{io, sync::Arc, sync::OnceLock};

use rustls::{ClientConfig, RootCertStore, crypto::ring};
use tokio_rustls::TlsConnector;

/// The connector, made when the first `https` origin is spoken to.
///
/// # Errors
/// No roots can be read.
pub(super) fn connector() -> io::Result<TlsConnector> {
    static CONFIG: OnceLock<Arc<ClientConfig>> = OnceLock::new();
    if let Some(config) = CONFIG.get() {
        return Ok(TlsConnector::from(Arc::clone(config)));
    }
    let config = Arc::new(configure()?);
    Ok(TlsConnector::from(Arc::clone(CONFIG.get_or_init(|| config))))
}

fn configure() -> io::Result<ClientConfig> {
    let loaded = rustls_native_certs::load_native_certs();
    for error in &loaded.errors {
        tracing::warn!(%error, "a root certificate cannot be read");
    }
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(loaded.certs);
    if added == 0 {
        return Err(io::Error::other("no root certificates; set SSL_CERT_FILE"));
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(io::Error::other)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}
