//! From an authority to a connected transport: names, addresses, TLS.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use rustls::pki_types::ServerName;
use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use super::tls;
use crate::listener::keep_alive;

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

impl Connector {
    /// Connects to the first of the name's addresses that takes the connection.
    ///
    /// # Errors
    /// No address, none that answers in time, or TLS that fails.
    pub async fn connect(&self) -> io::Result<Transport> {
        let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        let addresses = timeout(CONNECT, lookup_host((self.host.as_str(), self.port))).await??;
        for address in addresses {
            match timeout(CONNECT, TcpStream::connect(address)).await {
                Ok(Ok(stream)) => {
                    stream.set_nodelay(true)?;
                    keep_alive(&SockRef::from(&stream))?;
                    return self.secure(stream).await;
                }
                Ok(Err(error)) => last = error,
                Err(elapsed) => last = elapsed.into(),
            }
        }
        Err(last)
    }

    /// As [`Connector::connect`], for HTTP/1 only.
    ///
    /// # Errors
    /// As there, and an origin that insists on HTTP/2.
    pub async fn connect_http1(&self) -> io::Result<Transport> {
        let transport = self.connect().await?;
        if transport.is_h2() { Err(io::Error::other("the origin chose HTTP/2")) } else { Ok(transport) }
    }

    async fn secure(&self, stream: TcpStream) -> io::Result<Transport> {
        if !self.tls {
            return Ok(Transport::Plain(stream));
        }
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        let stream = timeout(CONNECT, tls::connector()?.connect(name, stream)).await??;
        Ok(Transport::Tls(Box::new(stream)))
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
