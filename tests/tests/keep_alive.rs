//! Tunnels have no time limit: that a dead peer ends them is left to the kernel, which must have been asked to.
#![cfg(target_os = "linux")]

use std::collections::BTreeMap;

use acip_tests::{Feature, Gateway, KEY, Origin, supported};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

/// Established IPv4 connections of this machine, by (local, remote) port: whether a keep-alive timer runs.
fn connections() -> BTreeMap<(u16, u16), bool> {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the kernel's table");
    let port = |address: &str| u16::from_str_radix(address.rsplit(':').next()?, 16).ok();
    let connection = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let [_, local, remote, "01", _, timer, ..] = fields.as_slice() else { return None };
        Some(((port(local)?, port(remote)?), timer.starts_with("02:")))
    };
    table.lines().filter_map(connection).collect()
}

#[tokio::test]
async fn both_ends_of_a_tunnel_are_watched() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let origin = Origin::start();
    let gateway = Gateway::start(&[&origin.url()], &[]);
    let url = format!("ws://127.0.0.1:{}/_test/ws", gateway.port());
    let mut request = url.into_client_request().expect("a request");
    request.headers_mut().insert("x-api-key", KEY.parse().expect("a value"));
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await.expect("a tunnel");
    socket.send(Message::text("hello")).await.expect("sent");
    assert_eq!(socket.next().await.expect("a message").expect("whole"), Message::text("hello"));

    // While a segment waits to be acknowledged another timer runs in its place.
    acip_tests::wait_until("both sockets are watched", || {
        let connections = connections();
        let client = connections.iter().any(|((local, _), watched)| *local == gateway.port() && *watched);
        let upstream = connections.iter().any(|((_, remote), watched)| *remote == origin.port() && *watched);
        client && upstream
    });
}
