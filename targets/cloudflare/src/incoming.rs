//! The platform's request as the driver's.

use std::net::{IpAddr, Ipv4Addr};

use acip_core::facts::{Hints, Peer};
use acip_shell::Visitor;
use http::{Method, Request, Uri, header};
use js_sys::Reflect;
use wasm_bindgen::JsValue;

use crate::{body::Streamed, fields};

/// Reads a request. Its address and place are what the platform says in `CF-Connecting-IP` and `cf`; the platform sets that
/// field anew, so no client can.
///
/// # Errors
/// A method or target that is none.
pub(crate) fn read(request: &web_sys::Request) -> worker::Result<(Visitor, Request<Streamed>)> {
    let headers = fields::read(&request.headers());
    let url = worker::Url::parse(&request.url())?;
    let client =
        headers.get("cf-connecting-ip").and_then(|value| value.to_str().ok()?.parse::<IpAddr>().ok());
    let region = region(request);
    let visitor = Visitor {
        peer: Peer {
            ip: client.map_or(Ipv4Addr::UNSPECIFIED.into(), |client| client.to_canonical()),
            tls: url.scheme() == "https",
        },
        hints: Hints { region, client },
    };
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let bad = |error: &dyn std::fmt::Display| worker::Error::RustError(error.to_string());
    let length = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    let mut read = Request::new(Streamed::new(request.body(), length, None));
    *read.method_mut() = Method::from_bytes(request.method().as_bytes()).map_err(|error| bad(&error))?;
    *read.uri_mut() = target.parse::<Uri>().map_err(|error| bad(&error))?;
    *read.headers_mut() = headers;
    Ok((visitor, read))
}

/// The client's country, and for where that has no region the data centre that serves it.
fn region(request: &web_sys::Request) -> Option<String> {
    let cf = Reflect::get(request, &"cf".into()).ok().filter(JsValue::is_object)?;
    let text = |name: &str| Reflect::get(&cf, &name.into()).ok()?.as_string();
    let told: Vec<_> = ["country", "colo"].into_iter().filter_map(text).collect();
    (!told.is_empty()).then(|| told.join(","))
}
