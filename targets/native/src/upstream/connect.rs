//! From an authority to a connected transport: names, addresses, TLS.

use std::{
    io,
    pin::Pin,
    sync::{Arc, OnceLock},
    task::{Context, Poll},
    time::Duration,
};

use rustls::{ClientConfig, pki_types::ServerName};
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::{listener::keep_alive, trust};

/// A connected transport.
#[derive(Debug)]
pub enum Transport {
    /// TCP.
    Plain(TcpStream),
    /// TLS over TCP.
    Tls(Box<TlsStream<TcpStream>>),
}

/// Where an origin is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Connector {
    /// Whether TLS is spoken.
    pub tls: bool,
    /// Host without brackets.
    pub host: String,
    /// Port.
    pub port: u16,
}

/// What an origin that speaks TLS may choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Offer {
    /// HTTP/2, or HTTP/1.1.
    Http2,
    /// HTTP/1.1 alone.
    Http1,
}

impl Connector {
    /// Connects to the first of the name's addresses that takes the connection. Where TLS is spoken the origin chooses
    /// between HTTP/2 and HTTP/1.1.
    ///
    /// # Errors
    /// No address, none that answers in time, or TLS that fails.
    pub async fn connect(&self) -> io::Result<Transport> {
        self.connect_with(Offer::Http2).await
    }

    /// As [`Connector::connect`], for HTTP/1.1 alone: an upgrade of the connection has no meaning in HTTP/2.
    ///
    /// # Errors
    /// As there, and an origin that insists on HTTP/2.
    pub async fn connect_http1(&self) -> io::Result<Transport> {
        self.connect_with(Offer::Http1).await
    }

    async fn connect_with(&self, offer: Offer) -> io::Result<Transport> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let addresses = timeout(CONNECT, lookup_host((self.host.as_str(), self.port))).await??;
        for address in addresses {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    keep_alive(&SockRef::from(&stream))?;
                    return self.secure(stream, offer).await;
                }
                Ok(Err(error)) => last = error,
                Err(elapsed) => last = elapsed.into(),
            }
        }
        Err(last)
    }

    async fn secure(&self, stream: TcpStream, offer: Offer) -> io::Result<Transport> {
        if !self.tls {
            return Ok(Transport::Plain(stream));
        }
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let stream = timeout(CONNECT, offer.connector()?.connect(name, stream)).await??;
        Ok(Transport::Tls(Box::new(stream)))
    }
}

impl Offer {
    /// Made when it is needed first: without an `https` origin nobody misses the authorities.
    fn connector(self) -> io::Result<TlsConnector> {
        static HTTP2: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        static HTTP1: OnceLock<Arc<ClientConfig>> = OnceLock::new();
        let (made, protocols) = match self {
            Self::Http2 => (&HTTP2, &["h2", "http/1.1"][..]),
            Self::Http1 => (&HTTP1, &["http/1.1"][..]),
        };
        if let Some(config) = made.get() {
            return Ok(TlsConnector::from(Arc::clone(config)));
        }
        let config = trust::client_config(protocols).map_err(io::Error::other)?;
        Ok(TlsConnector::from(Arc::clone(made.get_or_init(|| config))))
    }
}

impl Transport {
    /// Whether HTTP/2 was agreed on.
    pub fn is_h2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => stream.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            Self::Tls(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// For a name, one address, one handshake: short, so that another origin can still be tried in a client's patience.
const CONNECT: Duration = Duration::from_secs(5);
