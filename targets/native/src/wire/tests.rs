//! The guard against byte streams, good and bad, split in every way.

use std::{
    collections::VecDeque,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_util::FutureExt;
use proptest::prelude::*;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};

use super::{Watch, Wire, head::Violation};

/// A transport that delivers these pieces, then the client's end.
struct Pieces(VecDeque<Vec<u8>>);

impl AsyncRead for Pieces {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Some(mut piece) = self.0.pop_front() {
            let rest = piece.split_off(piece.len().min(out.remaining()));
            out.put_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(rest);
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Pieces {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What came out, and what was found wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    bytes: Vec<u8>,
    violation: Option<Violation>,
    broken: bool,
}

const MAX_HEAD: usize = 1024;

fn read(pieces: Vec<Vec<u8>>, window: usize) -> Seen {
    let watch = Arc::new(Watch::default());
    let pieces = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
    let mut wire = Wire::new(Pieces(pieces), Arc::clone(&watch), MAX_HEAD);
    let mut bytes = Vec::new();
    let mut out = vec![0; window];
    let broken = loop {
        match wire.read(&mut out).now_or_never() {
            None | Some(Ok(0)) => break false,
            Some(Ok(read)) => bytes.extend_from_slice(&out[..read]),
            Some(Err(_)) => break true,
        }
    };
    Seen { bytes, violation: watch.violation(), broken }
}

fn split(bytes: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let mut cuts: Vec<usize> = at.iter().map(|cut| cut % (bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    cuts.windows(2).map(|pair| bytes[pair[0]..pair[1]].to_vec()).collect()
}

const STAND_IN: &[u8] = b"! / HTTP/1.1\r\nhost: refused\r\n\r\n";

/// `good` passes as it is; what stands behind it, if anything, is refused with a reason that holds `word`.
fn check(good: &str, bad: &str, word: &str) {
    let all = [good.as_bytes(), bad.as_bytes()].concat();
    let pieces = [vec![all.clone()], all.iter().map(|byte| vec![*byte]).collect()];
    for pieces in pieces {
        let seen = read(pieces, 64);
        let reason = match seen.violation {
            None => String::new(),
            Some(Violation::TooLarge) => "too large".to_owned(),
            Some(Violation::Malformed(reason)) => reason.to_owned(),
        };
        assert!(reason.contains(word) && reason.is_empty() == word.is_empty(), "{good:?}{bad:?}: {reason}");
        let expected =
            if bad.is_empty() { good.as_bytes().to_vec() } else { [good.as_bytes(), STAND_IN].concat() };
        assert_eq!(String::from_utf8_lossy(&seen.bytes), String::from_utf8_lossy(&expected));
    }
}

#[test]
fn good_requests_pass_unchanged() {
    let get = "GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n";
    check(get, "", "");
    check(&format!("\r\n{get}{get}"), "", "");
    check("GET / HTTP/1.0\r\n\r\n", "", "");
    check("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "", "");
    check("GET http://a/b HTTP/1.1\r\nHost: a\r\n\r\n", "", "");
    check("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\na\nb\r\n", "", "");
    check(
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\na\nb\r\n0\r\nT: 1\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "",
        "",
    );
    check("GET / HTTP/1.1\r\nHost: a\r\nX:\t \u{e9}\r\n\r\n", "", "");
}

#[test]
fn ambiguous_heads_are_refused_where_they_stand() {
    let get = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (bad, word) in [
        ("GET / HTTP/1.1\nHost: a\n\n", "without CR"),
        ("GET / HTTP/1.1\r\nHost: a\n\r\n", "without CR"),
        ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", "control"),
        ("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n", "control"),
        ("GET / HTTP/1.1\r\nHost: a\r\n b: c\r\n\r\n", "folded"),
        ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", "name"),
        ("GET / HTTP/1.1\r\nHost\r\n\r\n", "colon"),
        ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", "`Host`"),
        ("GET / HTTP/1.1\r\nX: a\r\n\r\n", "missing"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", "both"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "both"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "more than one"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\n", "number"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", "number"),
        ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9999999999999999999\r\n\r\n", "number"),
        ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "exactly"),
        (
            "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
            "exactly",
        ),
        ("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0"),
        ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", "request line"),
        ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", "request line"),
        ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", "version"),
        ("GET /#a HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", "target"),
        ("CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "proxy"),
        ("! / HTTP/1.1\r\nHost: a\r\n\r\n", "request line"),
        ("\n", "without CR"),
    ] {
        check("", bad, word);
        check(get, bad, word);
    }
    check("", &format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "a".repeat(MAX_HEAD)), "too large");
    check("", &format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "a:\r\n".repeat(101)), "too large");
}

#[test]
fn bad_chunks_break_the_body() {
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    for bad in [
        "x\r\n",
        "1\nA",
        "1\r\nAB",
        "1\r\nA\n",
        "ffffffffffffffff\r\n",
        "-1\r\n",
        "\r\n",
        "0\r\nT: 1\n\r\n",
        "0\r\n T: 1\r\n",
        " 1\r\nA\r\n",
        "1 \r\nA\r\n",
        "1;a\nb\r\nA\r\n",
    ] {
        let all = [head, bad].concat().into_bytes();
        let seen = read(all.iter().map(|byte| vec![*byte]).collect(), 16);
        assert!(seen.broken, "{bad:?}");
        assert_eq!(seen, read(vec![all], 16), "{bad:?}");
    }
}

#[test]
fn bytes_behind_an_upgrade_wait_for_its_answer() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    for (granted, more, expected) in
        [(true, &b"\x81\0\n"[..], &b"\x81\0\n"[..]), (false, b"GET / HTTP/9\r\n\r\n", STAND_IN)]
    {
        let watch = Arc::new(Watch::default());
        let mut wire =
            Wire::new(Pieces(VecDeque::from([head.to_vec(), more.to_vec()])), Arc::clone(&watch), MAX_HEAD);
        let mut out = [0; 256];
        assert_eq!(wire.read(&mut out).now_or_never().map(Result::ok), Some(Some(head.len())));
        watch.settle_upgrade(granted);
        let read = wire.read(&mut out).now_or_never().and_then(Result::ok).unwrap_or_default();
        assert_eq!(&out[..read], expected);
    }
}

/// Lines and scraps that streams are made of.
fn scrap() -> impl Strategy<Value = Vec<u8>> {
    let known: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "POST /a?b HTTP/1.1\r\n",
        "GET / HTTP/1.0\r\n",
        "Host: a\r\n",
        "host:a\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        " ",
        "Content-Length: 3\r\n",
        "content-length:0\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Upgrade: x\r\n",
        "0\r\n\r\n",
        "3\r\nabc\r\n",
        "abc",
        "X: y\r\n",
        ":",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ];
    prop_oneof![
        8 => prop::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ]
}

proptest! {
    #[test]
    fn splits_change_nothing(
        scraps in prop::collection::vec(scrap(), 0..24),
        cuts in prop::collection::vec(any::<usize>(), 0..12),
        window in 1_usize..200,
    ) {
        let bytes = scraps.concat();
        let whole = read(vec![bytes.clone()], 4096);
        let parts = read(split(&bytes, &cuts), window);
        prop_assert_eq!(whole, parts);
    }

    #[test]
    fn what_passes_is_a_head_for_the_parser_too(scraps in prop::collection::vec(scrap(), 0..16)) {
        let bytes = scraps.concat();
        let seen = read(vec![bytes], 4096);
        let clean = seen.violation.is_none() && !seen.broken && !seen.bytes.is_empty();
        if clean && seen.bytes.iter().any(|byte| !b"\r\n".contains(byte)) {
            let mut fields = [httparse::EMPTY_HEADER; 100];
            let mut head = httparse::Request::new(&mut fields);
            prop_assert!(head.parse(&seen.bytes).is_ok_and(|status| status.is_complete()));
        }
    }
}
