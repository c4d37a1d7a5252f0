//! Listening sockets: one per thread on one address, so that the kernel spreads connections and no thread hands any over.

use std::{
    io,
    net::{SocketAddr, TcpListener},
};

use socket2::{Domain, Protocol, Socket, Type};

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
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Connections that wait in the kernel.
const BACKLOG: i32 = 1024;
