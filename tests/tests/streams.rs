//! Bodies pass piece by piece, both ways, in little memory; who leaves is missed at once, and what breaks is seen to.

use std::{
    convert::Infallible,
    time::{Duration, Instant, SystemTime},
};

use acip_tests::{Feature, Http, KEY, Stand, supported, wait_for};
use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _, stream};
use http::{Method, Request, header::HeaderValue};
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::{body::Frame, client::conn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

const MIB: usize = 1 << 20;
const BODY: usize = 64 * MIB;
/// What may come on top while a body passes that is eight times as large.
const GROWTH: u64 = 8 * MIB as u64;

fn unix_ms() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The most memory the gateway had while a future ran, over what it had before; none where the memory is a platform's.
async fn growth<T>(stand: &Stand, work: impl Future<Output = T>) -> (T, u64) {
    if !supported(&[Feature::Process]) {
        return (work.await, 0);
    }
    let before = stand.gateway.resident_bytes();
    let (mut most, mut work) = (before, std::pin::pin!(work));
    loop {
        tokio::select! {
            done = &mut work => return (done, most.max(stand.gateway.resident_bytes()) - before),
            () = tokio::time::sleep(Duration::from_millis(5)) => most = most.max(stand.gateway.resident_bytes()),
        }
    }
}

/// A body of so many pieces of 64 KiB, without a length.
fn pieces(count: usize) -> impl hyper::body::Body<Data = Bytes, Error = Infallible> + Send {
    let piece = Bytes::from(b"0123456789abcdef".repeat(4096));
    StreamBody::new(stream::iter((0..count).map(move |_| Ok(Frame::data(piece.clone())))))
}

/// Sends a request with a body of its own kind.
async fn upload<B>(http: Http, path: &str, body: B) -> Result<(u16, Bytes), hyper::Error>
where
    B: hyper::body::Body<Data = Bytes, Error = Infallible> + Send + 'static,
{
    let port = http.get("/").request().headers()["host"].to_str().unwrap().to_owned();
    let socket = TcpStream::connect(&port).await.unwrap();
    let (mut sender, connection) = conn::http1::handshake(TokioIo::new(socket)).await?;
    tokio::spawn(connection);
    let request =
        Request::builder().method(Method::POST).uri(path).header("host", port).header("x-api-key", KEY);
    let answer = sender.send_request(request.body(body).unwrap()).await?;
    let status = answer.status().as_u16();
    Ok((status, answer.into_body().collect().await?.to_bytes()))
}

#[tokio::test]
async fn events_arrive_when_they_happen() {
    let stand = Stand::embedded(&[]);
    let (events, every) = (6_u64, 150_u64);
    let path = format!("/_test/sse?n={events}&ms={every}");
    let mut answer = stand.get(&path).key(KEY).stream().await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let (mut delays, mut text) = (Vec::new(), String::new());
    while let Some(frame) = answer.frame().await {
        text.push_str(std::str::from_utf8(&frame.unwrap().into_data().unwrap()).unwrap());
        // Platforms may cut an event in two, but must not keep any of it.
        let Some((event, rest)) = text.split_once("\n\n") else { continue };
        assert_eq!(rest, "", "one event at a time");
        if let Some((_, sent)) = event.split_once("\"at_ms\":") {
            let sent: u64 = sent.trim_end_matches('}').parse().expect("a time");
            delays.push(unix_ms().saturating_sub(sent));
        }
        text.clear();
    }
    println!("milliseconds on the way: {delays:?}");
    assert_eq!(delays.len() as u64, events, "event by event");
    // The first was seen before the last was sent, and none waited for the next.
    assert!(delays.iter().all(|delay| *delay < every), "{delays:?}");
}

#[tokio::test]
async fn large_bodies_pass_in_little_memory() {
    let stand = Stand::embedded(&[]);
    let mut expected = Sha256::new();
    for _ in 0..BODY / MIB {
        expected.update(b"0123456789abcdef".repeat(MIB / 16));
    }
    let expected = hex(expected);
    let large_uploads = supported(&[Feature::StreamedUploads]);
    // Whatever one request needs once, a small one has needed.
    stand.get("/_test/huge?mb=1").key(KEY).send().await;
    upload(stand.http(), "/_test/upload", pieces(16)).await.unwrap();
    let download = async {
        let mut answer = stand.get("/_test/huge?mb=64").key(KEY).stream().await.unwrap();
        let (mut hash, mut bytes) = (Sha256::new(), 0);
        while let Some(frame) = answer.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            hash.update(&data);
            bytes += data.len();
            // Slower than the origin: what is ahead must wait there.
            if bytes % (4 * MIB) < data.len() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        (bytes, hex(hash))
    };
    let (got, grown) = growth(&stand, download).await;
    println!("download: {grown} bytes more");
    assert_eq!(got, (BODY, expected.clone()));
    assert!(grown < GROWTH, "{grown}");
    if !large_uploads {
        return;
    }
    let path = "/_test/upload?delay_ms=1";
    let (answer, grown) = growth(&stand, upload(stand.http(), path, pieces(BODY / (64 << 10)))).await;
    println!("upload: {grown} bytes more");
    let (status, body) = answer.unwrap();
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((status, &told["bytes"], &told["sha256"]), (200, &json!(BODY), &json!(expected)));
    assert!(grown < GROWTH, "{grown}");
}

#[tokio::test]
async fn very_many_events_pass_in_little_memory() {
    if !supported(&[Feature::Process]) {
        return;
    }
    const EVENTS: usize = 300_000;
    let stand = Stand::embedded(&[]);
    stand.get("/_test/sse?n=1000&ms=0").key(KEY).send().await;
    let stream = async {
        let mut answer = stand.get(&format!("/_test/sse?n={EVENTS}&ms=0")).key(KEY).stream().await.unwrap();
        let (mut events, mut last) = (0, 0);
        while let Some(frame) = answer.frame().await {
            for byte in frame.unwrap().into_data().unwrap() {
                events += usize::from((last, byte) == (b'\n', b'\n'));
                last = byte;
            }
        }
        events
    };
    let (events, grown) = growth(&stand, stream).await;
    println!("{events} events: {grown} bytes more");
    assert_eq!(events, EVENTS + 1, "with the one that says that it is done");
    assert!(grown < GROWTH, "{grown}");
}

#[tokio::test]
async fn a_client_that_stops_sending_is_to_blame_itself() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let checks = ("ROUTER_HEALTH_CHECK_INTERVAL", "3600000");
    let stand = Stand::embedded(&[("FASTAPI_TIMEOUT", "300"), checks]);
    for _ in 0..5 {
        let some = stream::iter([Ok(Frame::data(Bytes::from_static(b"some")))]).chain(stream::pending());
        let (status, body) = upload(stand.http(), "/_test/upload", StreamBody::new(some)).await.unwrap();
        let told: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!((status, &told["error"]["code"]), (400, &json!("BAD_REQUEST")), "{told}");
    }
    let health = stand.get("/gateway/health").send().await.json();
    assert_eq!(health["status"], "healthy", "the origin is not: {health}");
    let metrics = stand.get("/gateway/metrics").bearer(acip_tests::ADMIN).send().await.text();
    let errors = metrics.lines().find(|line| line.starts_with("gateway_proxy_errors_total{"));
    assert!(errors.is_none_or(|line| line.ends_with(" 0")), "{errors:?}");
    assert_eq!(upload(stand.http(), "/_test/upload", pieces(4)).await.unwrap().0, 200);
}

#[tokio::test]
async fn the_origin_learns_at_once_that_a_client_left() {
    let stand = Stand::embedded(&[]);
    let silent = supported(&[Feature::SilentLeave]);
    let (slow, every_ms) = if silent { (Some(("/_test/slow", "before_head")), 20_000) } else { (None, 10) };
    for (path, phase) in slow.into_iter().chain([("/_test/sse", "streaming")]) {
        let calling = stand.get(&format!("{path}?ms={every_ms}&n=10000")).key(KEY).stream();
        let seen = || async { !stand.reached(path).await.is_empty() };
        let left_ms = if phase == "streaming" {
            let mut answer = calling.await.unwrap();
            assert!(answer.frame().await.unwrap().is_ok());
            drop(answer);
            unix_ms()
        } else {
            tokio::select! {
                answer = calling => panic!("answered: {answer:?}"),
                () = wait_for("the request to arrive", seen) => {}
            }
            unix_ms()
        };
        let cancelled = format!("/_test/cancelled?path={path}");
        let told = || async { stand.origin.http().get(&cancelled).send().await.json() };
        wait_for("the cancel", || async { told().await != json!([]) }).await;
        let told = told().await;
        let noticed = told[0]["at_ms"].as_u64().unwrap().saturating_sub(left_ms);
        println!("{phase}: noticed after {noticed} ms");
        assert_eq!(told[0]["phase"], phase);
        assert!(noticed <= 100, "{phase}: {noticed} ms");
    }
}

#[tokio::test]
async fn what_the_origin_cuts_is_an_error_at_the_client() {
    let stand = Stand::embedded(&[]);
    for path in [
        "cut?after=100000",
        "cut?after=100000&chunked=true",
        "cut?after=10&chunked=true&reset=true",
        "cut?after=10",
        "sse?n=5&ms=20&cut_after=2",
    ] {
        let answer = stand.get(&format!("/_test/{path}")).key(KEY).stream().await.expect("a head");
        assert_eq!(answer.status(), 200, "{path}");
        if !answer.headers().contains_key("content-length") && !supported(&[Feature::BrokenChunks]) {
            continue;
        }
        assert!(answer.into_body().collect().await.is_err(), "{path}: a clean end");
    }
    let after = stand.get("/_test/status/200").key(KEY).send().await;
    assert_eq!(after.status, 200);
}

#[tokio::test]
async fn a_body_past_the_limit_is_stopped() {
    if !supported(&[Feature::StreamedUploads]) {
        return;
    }
    let stand = Stand::embedded(&[("MAX_BODY_BYTES", "1000000")]);
    // With a length the origin hears nothing of it.
    let large = stand.http().call(Method::POST, "/_test/upload").key(KEY).body(vec![b'x'; 2_000_000]);
    let answer = large.send().await;
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (413, "PAYLOAD_TOO_LARGE"));
    assert_eq!(stand.reached("/_test/upload").await, Vec::<Value>::new());
    // Without one it is noticed on the way, and the origin must not take what came for the whole.
    let answer = upload(stand.http(), "/_test/upload", pieces(1600)).await;
    if let Ok((status, body)) = &answer {
        let code = serde_json::from_slice::<Value>(body).unwrap()["error"]["code"].clone();
        assert_eq!((*status, code), (413, json!("PAYLOAD_TOO_LARGE")));
    }
    assert!(answer.is_ok(), "the client reads the answer although it was still sending: {answer:?}");
    let seen = stand.reached("/_test/upload").await;
    for seen in &seen {
        assert_eq!(seen["body"]["complete"], false, "{seen}");
        assert!(seen["body"]["bytes"].as_u64().unwrap() <= 1_000_000, "{seen}");
    }
    let fits = upload(stand.http(), "/_test/upload", pieces(15)).await.unwrap();
    assert_eq!(fits.0, 200);
}

#[tokio::test]
async fn websockets_pass() {
    if !supported(&[Feature::Upgrades]) {
        return;
    }
    let stand = Stand::embedded(&[]);
    let address = format!("ws://127.0.0.1:{}/_test/ws", stand.gateway.port());
    let mut request = address.as_str().into_client_request().unwrap();
    let protocols = HeaderValue::from_static("v2.acip, v1.acip");
    request.headers_mut().insert("sec-websocket-protocol", protocols);
    let refused = tokio_tungstenite::connect_async(request.clone()).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(answer)) = refused else { panic!("{refused:?}") };
    assert_eq!(answer.status(), 401, "an upgrade opens no door");
    request.headers_mut().insert("x-api-key", HeaderValue::from_static(KEY));
    let (mut socket, answer) = tokio_tungstenite::connect_async(request).await.unwrap();
    assert_eq!(answer.status(), 101);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "v2.acip");
    assert!(answer.headers().contains_key("x-request-id"));
    let long = "z".repeat(300_000);
    for message in [Message::text("hello"), Message::binary(vec![0, 1, 255]), Message::text(long)] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    socket.send(Message::text("close:4001")).await.unwrap();
    let Message::Close(Some(close)) = socket.next().await.unwrap().unwrap() else { panic!("no close") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (4001, "as asked"));
}

#[tokio::test]
async fn http2_without_tls_passes() {
    if !supported(&[Feature::H2c]) {
        return;
    }
    let stand = Stand::embedded(&[]);
    let socket = TcpStream::connect(("127.0.0.1", stand.gateway.port())).await.unwrap();
    let (sender, connection) =
        conn::http2::handshake(TokioExecutor::new(), TokioIo::new(socket)).await.unwrap();
    tokio::spawn(connection);
    let get = |path: &str| {
        let uri = format!("http://127.0.0.1:{}{path}", stand.gateway.port());
        let request = Request::get(uri).header("x-api-key", KEY).body(Empty::<Bytes>::new()).unwrap();
        sender.clone().send_request(request)
    };
    // A slow one does not hold the others up.
    let began = Instant::now();
    let (slow, quick) = tokio::join!(get("/_test/slow?ms=3000"), async {
        let echo = get("/_test/echo?a=b").await.unwrap();
        let body = echo.into_body().collect().await.unwrap().to_bytes();
        (serde_json::from_slice::<Value>(&body).unwrap(), began.elapsed())
    });
    assert_eq!((&quick.0["method"], &quick.0["query"]), (&json!("GET"), &json!("a=b")));
    assert!(quick.1 < Duration::from_secs(3), "{:?}", quick.1);
    assert_eq!(slow.unwrap().status(), 200);
    let events = get("/_test/sse?n=3&ms=10").await.unwrap().into_body().collect().await.unwrap().to_bytes();
    assert!(events.ends_with(b"data: [DONE]\n\n"));
    let broken = get("/_test/cut?after=10&chunked=true").await.unwrap();
    assert!(broken.into_body().collect().await.is_err(), "a stream that breaks is reset");
    assert_eq!(get("/_test/status/418").await.unwrap().status(), 418, "the connection goes on");
}
