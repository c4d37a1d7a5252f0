//! Listening sockets: one per thread on one address, so that the kernel spreads connections and no thread hands any over.

use std::{
    io,
    net::{SocketAddr, TcpListener},
    time::Duration,
};

use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

/// Binds `count` sockets to one address; port 0 lets the system choose one for all.
///
/// # Errors
/// The address is taken or not ours.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<TcpListener>)> {
    if address.port() != 0 && count > 1 {
        // Sockets that share a port would join a stranger's in silence: one that does not share finds out first.
        drop(socket(address, false)?);
    }
    let first = socket(address, count > 1)?;
    let address = first.local_addr()?;
    let mut listeners = vec![first];
    while listeners.len() < count {
        listeners.push(socket(address, true)?);
    }
    Ok((address, listeners))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if shared {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() {
        // `::` means every address, as it does elsewhere.
        socket.set_only_v6(false)?;
    }
    // Accepted sockets inherit it, so that it costs no call per connection.
    keep_alive(&SockRef::from(&socket))?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Lets the kernel ask a silent peer whether it still lives, and end the connection where nobody answers. What has no
/// time limit of its own, above all a tunnel, would otherwise outlive a peer that lost its power or network.
///
/// # Errors
/// The system refuses.
pub fn keep_alive(socket: &SockRef<'_>) -> io::Result<()> {
    let settings = TcpKeepalive::new().with_time(KEEP_ALIVE_AFTER).with_interval(KEEP_ALIVE_BETWEEN);
    socket.set_tcp_keepalive(&settings.with_retries(KEEP_ALIVE_TRIES))
}

/// Silence before the first question: rare enough to cost nothing, often enough to keep a NAT's entry.
const KEEP_ALIVE_AFTER: Duration = Duration::from_secs(60);

/// Between questions.
const KEEP_ALIVE_BETWEEN: Duration = Duration::from_secs(15);

/// Unanswered questions that end the connection.
const KEEP_ALIVE_TRIES: u32 = 4;

/// Connections that wait in the kernel.
const BACKLOG: i32 = 1024;
