//! Bodies while they move, and what happens when a side goes away.

mod support;

use std::{thread, time::Duration};

use support::{Peer, gateway, listen};

const GET: &str = "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n";
const CHUNKED: &str =
    "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

/// The contract's bound for telling the origin that a client left.
const CANCEL: Duration = Duration::from_millis(100);

#[test]
fn chunks_pass_one_by_one_in_both_directions() {
    let (listener, address) = listen();
    let server = gateway(&[address], |_| {});
    let mut client = Peer::connect(server.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    let mut origin = Peer::accept(&listener);
    origin.until("\r\n\r\n");
    for word in ["one", "two"] {
        client.send(&format!("3\r\n{word}\r\n"));
        origin.until(&format!("{word}\r\n"));
    }
    client.send("0\r\n\r\n");
    origin.until("0\r\n\r\n");
    origin.send(CHUNKED);
    let head = client.until("\r\n\r\n");
    assert!(head.contains("text/event-stream") && !head.contains("content-length"), "{head}");
    for word in ["abc", "def"] {
        origin.send(&format!("3\r\n{word}\r\n"));
        client.until(&format!("{word}\r\n"));
    }
    origin.send("0\r\n\r\n");
    client.until("0\r\n\r\n");
    // Both connections live on.
    client.send(GET);
    origin.until("\r\n\r\n");
    drop(client);
    server.stop();
}

#[test]
fn an_answer_may_come_before_the_upload_ends() {
    let (listener, address) = listen();
    let server = gateway(&[address], |_| {});
    let mut client = Peer::connect(server.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n");
    let mut origin = Peer::accept(&listener);
    origin.until("1\r\na\r\n");
    origin.send(CHUNKED);
    origin.send("1\r\nx\r\n");
    client.until("1\r\nx\r\n");
    client.send("1\r\nb\r\n");
    origin.until("1\r\nb\r\n");
    origin.send("1\r\ny\r\n");
    client.until("1\r\ny\r\n");
    drop(client);
    server.stop();
}

#[test]
fn the_origin_sees_that_a_client_left() {
    let (listener, address) = listen();
    let server = gateway(&[address], |_| {});
    for answer in ["", CHUNKED] {
        let mut client = Peer::connect(server.address());
        client.send(GET);
        let mut origin = Peer::accept(&listener);
        origin.until("\r\n\r\n");
        if !answer.is_empty() {
            origin.send(answer);
            origin.send("1\r\nx\r\n");
            client.until("x\r\n");
        }
        drop(client);
        let took = origin.time_to_end();
        assert!(took < CANCEL, "{took:?} after {answer:?}");
    }
    server.stop();
}

#[test]
fn a_broken_origin_is_no_clean_end() {
    let (listener, address) = listen();
    let server = gateway(&[address], |_| {});
    for (answer, end) in [(CHUNKED, "3\r\nabc\r\n"), ("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n", "abc")]
    {
        let mut client = Peer::connect(server.address());
        client.send(GET);
        let mut origin = Peer::accept(&listener);
        origin.until("\r\n\r\n");
        origin.send(answer);
        client.until("\r\n\r\n");
        origin.send(end);
        client.until(end);
        drop(origin);
        assert_eq!(client.rest(), "");
    }
    server.stop();
}

#[test]
fn a_silent_origin_breaks_the_stream() {
    let (listener, address) = listen();
    let server = gateway(&[address], |document| document.upstream.stream_idle_timeout_ms = 200);
    let mut client = Peer::connect(server.address());
    client.send(GET);
    let mut origin = Peer::accept(&listener);
    origin.until("\r\n\r\n");
    origin.send(CHUNKED);
    origin.send("1\r\nx\r\n");
    client.until("x\r\n");
    assert!(client.time_to_end() >= Duration::from_millis(100));
    assert_eq!(origin.rest(), "");
    drop(client);
    server.stop();
}

#[test]
fn no_head_in_time_is_504() {
    let (_listener, address) = listen();
    let server = gateway(&[address], |document| document.upstream.timeout_ms = 100);
    let mut client = Peer::connect(server.address());
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 504") && answer.contains("GATEWAY_TIMEOUT"), "{answer}");
    drop(client);
    server.stop();
}

#[test]
fn another_origin_is_tried_where_none_was_reached() {
    let (dead, dead_address) = listen();
    drop(dead);
    let (listener, address) = listen();
    let server = gateway(&[dead_address, address], |_| {});
    let origin = thread::spawn(move || {
        let mut bodies = Vec::new();
        let mut peer = Peer::accept(&listener);
        for _ in 0..2 {
            peer.until("\r\n\r\n");
            bodies.push(peer.until("body"));
            peer.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        }
        bodies
    });
    let mut client = Peer::connect(server.address());
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody");
        let answer = client.until("\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    assert_eq!(origin.join().expect("the origin ends well"), ["body", "body"]);
    drop(client);
    server.stop();
}

#[test]
fn a_dead_idle_connection_is_replaced() {
    let (listener, address) = listen();
    let server = gateway(&[address], |_| {});
    let mut client = Peer::connect(server.address());
    for _ in 0..3 {
        client.send(GET);
        let mut origin = Peer::accept(&listener);
        origin.until("\r\n\r\n");
        origin.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        let answer = client.until("\r\n\r\n");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
    drop(client);
    server.stop();
}

#[test]
fn upgrades_pass_and_bytes_flow_both_ways() {
    let (listener, address) = listen();
    let server = gateway(&[address], |_| {});
    let mut client = Peer::connect(server.address());
    client.send(
        "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let mut origin = Peer::accept(&listener);
    let head = origin.until("\r\n\r\n").to_ascii_lowercase();
    assert!(head.contains("upgrade: websocket") && head.contains("connection: upgrade"), "{head}");
    origin.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\nhello");
    let head = client.until("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client.until("hello");
    // No HTTP any more: nothing of this is looked at.
    client.send("GET \0 HTTP/9\n\n");
    origin.until("HTTP/9\n\n");
    origin.send("bye");
    client.until("bye");
    drop(client);
    assert!(origin.time_to_end() < CANCEL);
    server.stop();
}

#[test]
fn draining_finishes_what_is_under_way() {
    let (listener, address) = listen();
    let server = gateway(&[address], |_| {});
    let gateway = server.address();
    let mut idle = Peer::connect(gateway);
    let mut client = Peer::connect(gateway);
    client.send(GET);
    let mut origin = Peer::accept(&listener);
    origin.until("\r\n\r\n");
    origin.send(CHUNKED);
    client.until("\r\n\r\n");
    let stopping = thread::spawn(move || server.stop());
    assert_eq!(idle.rest(), "", "an idle connection closes at once");
    origin.send("3\r\nabc\r\n0\r\n\r\n");
    client.until("abc\r\n0\r\n\r\n");
    assert_eq!(client.rest(), "");
    stopping.join().expect("stops");
    assert!(std::net::TcpStream::connect(gateway).is_err());
}
