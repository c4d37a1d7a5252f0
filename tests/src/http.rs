//! A small HTTP client: one connection per request unless a test asks for the connection itself.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream as StdStream,
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

/// Requests to one port of loopback.
#[derive(Clone, Copy, Debug)]
pub struct Http {
    port: u16,
}

/// A request in the making.
#[derive(Debug)]
pub struct Call {
    port: u16,
    request: http::request::Builder,
    body: Bytes,
}

/// A whole response.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Status.
    pub status: StatusCode,
    /// Fields.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
}

impl Http {
    /// To this port.
    pub fn new(port: u16) -> Self {
        Self { port }
    }

    /// Any request.
    pub fn call(&self, method: Method, path: &str) -> Call {
        let request =
            Request::builder().method(method).uri(path).header("host", format!("127.0.0.1:{}", self.port));
        Call { port: self.port, request, body: Bytes::new() }
    }

    /// `GET`.
    pub fn get(&self, path: &str) -> Call {
        self.call(Method::GET, path)
    }

    /// `POST` of JSON.
    pub fn post(&self, path: &str, body: &Value) -> Call {
        self.call(Method::POST, path).header("content-type", "application/json").body(body.to_string())
    }

    /// `DELETE`.
    pub fn delete(&self, path: &str) -> Call {
        self.call(Method::DELETE, path)
    }

    /// A connection to send several requests on; its driver runs in the background.
    pub async fn connect(&self) -> http1::SendRequest<Full<Bytes>> {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).await.expect("connects");
        socket.set_nodelay(true).expect("no delay");
        let (sender, connection) = http1::handshake(TokioIo::new(socket)).await.expect("a connection");
        tokio::spawn(connection.with_upgrades());
        sender
    }
}

impl Call {
    /// Adds a field.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.request = self.request.header(name, value.as_ref());
        self
    }

    /// `X-API-Key`.
    #[must_use]
    pub fn key(self, key: &str) -> Self {
        self.header("x-api-key", key)
    }

    /// `X-Worker-Token`.
    #[must_use]
    pub fn token(self, token: &str) -> Self {
        self.header("x-worker-token", token)
    }

    /// `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", format!("Bearer {token}"))
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// The request, to send on a connection of the test's own.
    pub fn request(self) -> Request<Full<Bytes>> {
        self.request.body(Full::new(self.body)).expect("a request")
    }

    /// Sends it and waits for the head; dropping the response drops the connection.
    ///
    /// # Errors
    /// The connection broke before the head.
    pub async fn stream(self) -> Result<Response<Incoming>, hyper::Error> {
        let mut sender = Http::new(self.port).connect().await;
        sender.send_request(self.request()).await
    }

    /// Sends it and waits for all of the response.
    ///
    /// # Panics
    /// Where the response does not come whole.
    pub async fn send(self) -> Answer {
        self.try_send().await.expect("a whole response")
    }

    /// Sends it and waits for all of the response.
    ///
    /// # Errors
    /// It did not come whole.
    pub async fn try_send(self) -> Result<Answer, hyper::Error> {
        let (head, body) = self.stream().await?.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer { status: head.status, headers: head.headers, body })
    }
}

impl Answer {
    /// A field's first value; empty if there is none.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// Where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("no JSON ({error}), status {}: {}", self.status, self.text()))
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `error.code` of the gateway's own errors; empty if it is none.
    pub fn code(&self) -> String {
        let json: Value = serde_json::from_slice(&self.body).unwrap_or_default();
        json["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Writes bytes and reads until the server closes, or says no more for five seconds.
pub fn raw(port: u16, bytes: &[u8]) -> String {
    let mut socket = StdStream::connect(("127.0.0.1", port)).expect("connects");
    socket.set_read_timeout(Some(Duration::from_secs(5))).expect("a time limit");
    // The server may refuse before it has read everything.
    let _ = socket.write_all(bytes);
    let mut seen = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(read @ 1..) = socket.read(&mut buffer) {
        seen.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&seen).into_owned()
}

/// Writes bytes and reads the first line of the answer; nothing where there is none. Waits for no end, since not every server closes
/// its connection when it is asked to.
pub fn status_line(port: u16, bytes: &[u8]) -> String {
    let mut line = String::new();
    if let Ok(mut socket) = StdStream::connect(("127.0.0.1", port)) {
        let _ = socket.set_read_timeout(Some(Duration::from_secs(5)));
        let _ = socket.write_all(bytes);
        let _ = BufReader::new(socket).read_line(&mut line);
    }
    line
}
