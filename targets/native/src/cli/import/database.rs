//! A connection to PostgreSQL, with TLS where the server or the URL wants it.

use std::{
    convert::Infallible,
    error::Error,
    io,
    pin::Pin,
    str::FromStr as _,
    task::{Context, Poll},
};

use rustls::pki_types::{InvalidDnsNameError, ServerName};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::{
    Client, Config,
    tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream},
};
use tokio_rustls::{TlsConnector, client};

use crate::{cli::Failure, trust::client_config};

/// Connects; the connection is driven by a task of this `LocalRuntime` and ends with the client.
pub(super) async fn connect(url: &str) -> Result<Client, Failure> {
    let mut config = Config::from_str(&plain(url)).map_err(|error| {
        Failure::Configuration(format!(
            "--postgres: {}; write postgres://user:password@host:5432/database",
            reason(&error)
        ))
    })?;
    config.application_name("acip-gateway").connect_timeout(CONNECT_TIMEOUT);
    // Whether TLS is wanted at all is the server's and the URL's to say.
    let connector = client_config(&[]).map(TlsConnector::from).map_err(|error| error.to_string());
    let (client, connection) = config.connect(Tls(connector)).await.map_err(|error| {
        Failure::Runtime(format!(
            "cannot reach PostgreSQL: {}; a certificate of your own authority is trusted by SSL_CERT_FILE, and \
             `?sslmode=disable` does without TLS",
            reason(&error)
        ))
    })?;
    tokio::task::spawn_local(connection);
    Ok(client)
}

/// An error of the database, in the words of its server.
pub(super) fn failed(what: &str, error: &tokio_postgres::Error) -> Failure {
    Failure::Runtime(format!("PostgreSQL does not give {what}: {}", reason(error)))
}

fn reason(error: &tokio_postgres::Error) -> String {
    if let Some(error) = error.as_db_error() {
        return error.message().to_owned();
    }
    match error.source() {
        Some(source) => {
            format!("{error}: {source}").trim_end_matches(&format!(": {source}: {source}")).to_owned()
        }
        None => error.to_string(),
    }
}

/// The URL as SQLAlchemy and libpq write it, in the words of the driver: certificates are always verified.
fn plain(url: &str) -> String {
    let url = match url.split_once("://") {
        Some((scheme, rest)) => format!("{}://{rest}", scheme.split('+').next().unwrap_or_default()),
        None => url.to_owned(),
    };
    url.replace("sslmode=verify-full", "sslmode=require").replace("sslmode=verify-ca", "sslmode=require")
}

#[derive(Clone)]
struct Tls(Result<TlsConnector, String>);

struct Handshake {
    connector: Result<TlsConnector, String>,
    /// None at a socket of this machine.
    server: Result<ServerName<'static>, InvalidDnsNameError>,
}

struct Encrypted<S>(client::TlsStream<S>);

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> MakeTlsConnect<S> for Tls {
    type Stream = Encrypted<S>;
    type TlsConnect = Handshake;
    type Error = Infallible;

    fn make_tls_connect(&mut self, host: &str) -> Result<Handshake, Infallible> {
        Ok(Handshake { connector: self.0.clone(), server: ServerName::try_from(host.to_owned()) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> TlsConnect<S> for Handshake {
    type Stream = Encrypted<S>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Encrypted<S>>> + Send>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move {
            let connector = self.connector.map_err(io::Error::other)?;
            let server = self.server.map_err(io::Error::other)?;
            connector.connect(server, stream).await.map(Encrypted)
        })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Encrypted<S> {
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Encrypted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buf)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Encrypted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

const CONNECT_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_of_other_tools_are_understood() {
        let cases = [
            ("postgresql+asyncpg://u:p@h/db", "postgresql://u:p@h/db"),
            ("postgres://h/db?sslmode=verify-full", "postgres://h/db?sslmode=require"),
            ("host=/run/postgresql user=u", "host=/run/postgresql user=u"),
        ];
        for (url, expected) in cases {
            assert_eq!(plain(url), expected);
        }
    }
}
