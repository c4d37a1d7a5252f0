//! HTTP/1.1 by hand: requests exactly as a case writes them, also such as no client library would send.

use std::{
    io::{Read, Write as _},
    net::TcpStream,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::{case::Step, run::Seen, said};

/// A request or a response.
pub(super) struct Message {
    /// The request line or the status line.
    pub(super) first: String,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Whether the body broke off.
    broke: bool,
}

/// Wall clock, unix ms.
pub(super) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// Sends a step on a connection of its own and reads the answer.
pub(super) fn send(port: u16, step: &Step) -> Result<Seen, String> {
    let failed = |error: std::io::Error| format!("the gateway: {error}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(failed)?;
    let (method, target) = step.request.split_once(' ').ok_or("a request has a method and a target")?;
    let headers = said::fields(&step.headers)?;
    let body = step.bytes();
    let mut out = format!("{method} {target} HTTP/1.1\r\n").into_bytes();
    if !step.headers.contains_key("host") {
        out.extend_from_slice(b"host: gateway.test\r\n");
    }
    for (name, value) in &headers {
        out.extend_from_slice(name.as_str().as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    let chunked = headers.contains_key("transfer-encoding");
    if !body.is_empty() && !chunked && !headers.contains_key("content-length") {
        out.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    if chunked && !body.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", body.len()).as_bytes());
        out.extend_from_slice(&body);
        out.extend_from_slice(b"\r\n");
    } else {
        out.extend_from_slice(&body);
    }
    if chunked {
        out.extend_from_slice(b"0\r\n\r\n");
    }
    // It may refuse before it has read everything.
    let _ = stream.write_all(&out);
    let mut held = Vec::new();
    let message =
        read(&mut stream, &mut held, method == "HEAD")?.ok_or("the gateway closed without an answer")?;
    let status = message.first.split(' ').nth(1).and_then(|status| status.parse().ok());
    Ok(Seen {
        status: status.ok_or_else(|| format!("`{}` is no status line", message.first))?,
        headers: message.headers,
        body: message.body,
        broke: message.broke,
        ..Seen::default()
    })
}

/// Reads one message; none where the other side closed between two.
pub(super) fn read(
    stream: &mut TcpStream,
    held: &mut Vec<u8>,
    bodiless: bool,
) -> Result<Option<Message>, String> {
    let end = loop {
        if let Some(end) = held.windows(4).position(|part| part == b"\r\n\r\n") {
            break end;
        }
        match more(stream, held)? {
            true => {}
            false if held.is_empty() => return Ok(None),
            false => return Err("closed within a head".to_owned()),
        }
    };
    let head: Vec<u8> = held.drain(..end + 4).collect();
    let text = String::from_utf8_lossy(&head).into_owned();
    let mut lines = text.split("\r\n");
    let first = lines.next().unwrap_or_default().to_owned();
    let mut headers = HeaderMap::new();
    for line in lines.filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').ok_or_else(|| format!("`{line}` is no field"))?;
        let name = HeaderName::try_from(name).map_err(|error| error.to_string())?;
        headers.append(
            name,
            HeaderValue::from_bytes(value.trim().as_bytes()).map_err(|error| error.to_string())?,
        );
    }
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let is_answer = first.starts_with("HTTP/");
    let status = first.split(' ').nth(1).filter(|_| is_answer);
    let bodiless = bodiless || matches!(status, Some("204" | "304"));
    let length = text("content-length").and_then(|length| length.parse::<usize>().ok());
    let chunked = text("transfer-encoding").is_some_and(|coding| coding.eq_ignore_ascii_case("chunked"));
    let mut broke = false;
    let body = if bodiless {
        Vec::new()
    } else if chunked {
        let (body, whole) = chunks(stream, held)?;
        broke = !whole;
        body
    } else if let Some(length) = length {
        while held.len() < length && more(stream, held)? {}
        broke = held.len() < length;
        held.drain(..length.min(held.len())).collect()
    } else if is_answer {
        while more(stream, held)? {}
        std::mem::take(held)
    } else {
        Vec::new()
    };
    Ok(Some(Message { first, headers, body: body.into(), broke }))
}

/// The chunks of a body, and whether they came to their end.
fn chunks(stream: &mut TcpStream, held: &mut Vec<u8>) -> Result<(Vec<u8>, bool), String> {
    let mut body = Vec::new();
    loop {
        let Some(line) = line(stream, held)? else { return Ok((body, false)) };
        let size = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size.trim(), 16).map_err(|_| format!("`{line}` is no chunk"))?;
        if size == 0 {
            while line_is_there(stream, held)? {}
            return Ok((body, true));
        }
        while held.len() < size + 2 && more(stream, held)? {}
        if held.len() < size + 2 {
            return Ok((body, false));
        }
        body.extend(held.drain(..size));
        held.drain(..2);
    }
}

/// Drops one trailer; false at the empty line that ends them.
fn line_is_there(stream: &mut TcpStream, held: &mut Vec<u8>) -> Result<bool, String> {
    Ok(line(stream, held)?.is_some_and(|line| !line.is_empty()))
}

fn line(stream: &mut TcpStream, held: &mut Vec<u8>) -> Result<Option<String>, String> {
    loop {
        if let Some(end) = held.windows(2).position(|part| part == b"\r\n") {
            let line: Vec<u8> = held.drain(..end + 2).take(end).collect();
            return Ok(Some(String::from_utf8_lossy(&line).into_owned()));
        }
        if !more(stream, held)? {
            return Ok(None);
        }
    }
}

/// Reads on; false where the other side has closed.
fn more(stream: &mut TcpStream, held: &mut Vec<u8>) -> Result<bool, String> {
    let mut piece = [0; 16_384];
    match stream.read(&mut piece) {
        Ok(read) => {
            held.extend_from_slice(&piece[..read]);
            Ok(read > 0)
        }
        // It refused and closed while we were still sending.
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(false),
        Err(error) => Err(error.to_string()),
    }
}

const PATIENCE: Duration = Duration::from_secs(20);
