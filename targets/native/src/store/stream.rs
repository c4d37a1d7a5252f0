//! Opens a connection to one server, up to the point where commands can be sent.

use std::{io, time::Duration};

use acip_core::{
    config::RedisLogin,
    store::{Decoder, Reply},
};
use rustls::pki_types::ServerName;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tokio_rustls::TlsConnector;

use super::address::Place;

/// A connection of any kind.
pub(super) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Connects and logs in, within a limit of time that has nothing to do with requests: nobody waits for this.
pub(super) async fn open(
    place: &Place,
    login: &RedisLogin,
    tls: Option<&TlsConnector>,
) -> Result<(Box<dyn Stream>, Decoder), String> {
    let opening = async {
        let mut stream = connect(place, tls).await.map_err(|error| error.to_string())?;
        let mut decoder = Decoder::default();
        log_in(&mut stream, &mut decoder, login).await?;
        Ok((stream, decoder))
    };
    timeout(OPEN_TIMEOUT, opening).await.unwrap_or_else(|_| Err("connecting took too long".into()))
}

pub(super) async fn connect(place: &Place, tls: Option<&TlsConnector>) -> io::Result<Box<dyn Stream>> {
    let (host, port, encrypted) = match place {
        Place::Unix(path) => return Ok(Box::new(UnixStream::connect(path).await?)),
        Place::Tcp { host, port, tls } => (host, *port, *tls),
    };
    let stream = TcpStream::connect((host.as_str(), port)).await?;
    stream.set_nodelay(true)?;
    if !encrypted {
        return Ok(Box::new(stream));
    }
    let tls = tls.ok_or_else(|| io::Error::other("no certificate authorities"))?;
    let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
    Ok(Box::new(tls.connect(name, stream).await?))
}

/// `AUTH` and `SELECT`, where there is something to say.
async fn log_in(
    stream: &mut Box<dyn Stream>,
    decoder: &mut Decoder,
    login: &RedisLogin,
) -> Result<(), String> {
    let mut out = Vec::new();
    let mut expected = login.encode(&mut out);
    if expected == 0 {
        return Ok(());
    }
    stream.write_all(&out).await.map_err(|error| error.to_string())?;
    stream.flush().await.map_err(|error| error.to_string())?;
    while expected > 0 {
        match decoder.next() {
            Some(Ok(Reply::Error(line))) => return Err(String::from_utf8_lossy(&line).into_owned()),
            Some(Ok(_)) => expected -= 1,
            Some(Err(error)) => return Err(error.to_string()),
            None => {
                if stream.read_buf(decoder.buffer_mut()).await.map_err(|error| error.to_string())? == 0 {
                    return Err("closed while logging in".into());
                }
            }
        }
    }
    Ok(())
}

/// For the connection, TLS and the log-in together.
const OPEN_TIMEOUT: Duration = Duration::from_secs(2);
