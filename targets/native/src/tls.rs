//! TLS towards clients, from `TLS_CERT` and `TLS_KEY`.

use std::{path::Path, sync::Arc};

use acip_core::config::Server;
use rustls::{
    ServerConfig,
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
};
use tokio_rustls::TlsAcceptor;

/// Why TLS cannot be offered.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file that cannot be read or holds no PEM of that kind.
    #[error("cannot read `{path}`: {reason}")]
    File {
        /// Which file.
        path: String,
        /// Why.
        reason: String,
    },
    /// One of the two settings without the other.
    #[error("`TLS_CERT` and `TLS_KEY` go together; set both or none")]
    Half,
    /// Certificate and key do not fit, or are of a kind that is not supported.
    #[error("certificate `{cert}` and key `{key}` do not serve: {reason}")]
    Pair {
        /// The certificate's file.
        cert: String,
        /// The key's file.
        key: String,
        /// Why.
        reason: String,
    },
}

/// The acceptor; none where TLS is not configured.
///
/// # Errors
/// See [`TlsError`].
pub fn acceptor(server: &Server) -> Result<Option<TlsAcceptor>, TlsError> {
    let (cert, key) = match (&server.tls_cert, &server.tls_key) {
        (None, None) => return Ok(None),
        (Some(cert), Some(key)) => (cert, key),
        _ => return Err(TlsError::Half),
    };
    let file = |path: &str, error: rustls::pki_types::pem::Error| TlsError::File {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(Path::new(cert))
        .and_then(Iterator::collect)
        .map_err(|error| file(cert, error))?;
    let private = PrivateKeyDer::from_pem_file(Path::new(key)).map_err(|error| file(key, error))?;
    let pair = |error: rustls::Error| TlsError::Pair {
        cert: cert.clone(),
        key: key.clone(),
        reason: error.to_string(),
    };
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(pair)?
        .with_no_client_auth()
        .with_single_cert(chain, private)
        .map_err(pair)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}
