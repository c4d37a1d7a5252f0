//! What clients may send, over real sockets.

#[expect(dead_code, reason = "each test file uses its part")]
mod support;

use std::thread;

use support::{Peer, gateway, listen};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// An origin that answers so many requests with 200 and says what it saw; then it must see nothing more.
fn check(bytes: &str, forwarded: usize, last: &str, code: &str) {
    let (listener, address) = listen();
    let server = gateway(&[address], |_| {});
    let origin = thread::spawn(move || {
        let mut seen = 0;
        if forwarded > 0 {
            let mut peer = Peer::accept(&listener);
            for _ in 0..forwarded {
                peer.until("\r\n\r\n");
                peer.send(OK);
                seen += 1;
            }
        }
        listener.set_nonblocking(true).expect("non-blocking");
        (seen, listener)
    });
    let mut client = Peer::connect(server.address());
    client.send(bytes);
    let answers = client.rest();
    let (seen, listener) = origin.join().expect("the origin ends well");
    assert_eq!(seen, forwarded);
    assert!(listener.accept().is_err(), "nothing else reaches the origin");
    let (_, answer) = answers.rsplit_once("HTTP/1.1 ").expect("an answer");
    assert!(answer.starts_with(last) && answer.contains(code), "{bytes:?}: {answers}");
    assert!(answer.contains("connection: close") && answer.contains("x-request-id: "), "{answer}");
    assert_eq!(answers.matches("HTTP/1.1 200").count(), forwarded);
    drop(client);
    server.stop();
}

#[test]
fn ambiguous_heads_get_a_json_answer_and_go_nowhere() {
    check("GET / HTTP/1.1\nHost: a\n\n", 0, "400", "BAD_REQUEST");
    check(
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        0,
        "400",
        "BAD_REQUEST",
    );
    check(
        &format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(1 << 20)),
        0,
        "431",
        "HEADERS_TOO_LARGE",
    );
}

#[test]
fn pipelined_requests_are_served_up_to_the_bad_one() {
    let good = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    check(&format!("{good}{good}GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n{good}"), 2, "400", "folded");
}

#[test]
fn a_bad_chunk_ends_the_upload() {
    let (listener, address) = listen();
    let server = gateway(&[address], |_| {});
    let mut client = Peer::connect(server.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut origin = Peer::accept(&listener);
    origin.until("abc\r\n");
    client.send("zz\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 400") && answer.contains("BAD_REQUEST"), "{answer}");
    assert!(!origin.rest().contains("0\r\n\r\n"), "the origin sees no end");
    drop(client);
    server.stop();
}

#[test]
fn too_large_a_body_is_refused_and_its_upload_stops() {
    let (listener, address) = listen();
    let server = gateway(&[address], |document| document.server.max_body_bytes = 10);
    let mut client = Peer::connect(server.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");

    let mut client = Peer::connect(server.address());
    client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n12345678\r\n");
    let mut origin = Peer::accept(&listener);
    origin.until("12345678\r\n");
    client.send("8\r\n12345678\r\n");
    let answer = client.rest();
    assert!(answer.starts_with("HTTP/1.1 413") && answer.contains("PAYLOAD_TOO_LARGE"), "{answer}");
    assert_eq!(origin.rest(), "", "nothing past the limit is passed on");
    drop(client);
    server.stop();
}
