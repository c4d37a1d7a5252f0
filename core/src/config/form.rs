//! Forms of text: addresses, paths, tokens, names. URLs are in `url.rs`. Each check answers with what would have
//! been accepted, never with the text itself: it may be a secret.

use alloc::{
    format,
    string::{String, ToString},
};
use core::net::IpAddr;
use http::Method;

use super::{kind::Form, store_url::StoreUrl, url};
use crate::{event::Wanted, gateway::CompileError, routes::Pattern};

/// Checks one text.
pub(super) fn check(form: Form, text: &str) -> Result<(), String> {
    let accepted = match form {
        Form::Plain | Form::File => !text.chars().any(char::is_control),
        Form::HeaderValue => visible(text),
        Form::Address => address(text).is_some(),
        Form::Network => text.parse::<ipnet::IpNet>().is_ok() || address(text).is_some(),
        Form::Path => path(text),
        Form::Pattern => return pattern(text),
        Form::Token => token(text) && text.len() <= 64,
        Form::OriginName => origin_name(text),
        Form::Region => name(text),
        Form::HttpUrl => return url::http(text).map(drop),
        Form::StoreUrl => return StoreUrl::parse(text).map(drop),
        Form::KeyPrefix => visible(text) && text.len() <= 64 && !text.contains(['{', '}']),
        Form::BrowserOrigin => return browser_origin(text).map(drop),
        Form::HttpMethod => method(text).is_some(),
        Form::EventName => Wanted::list(&[text]).is_ok(),
        Form::Condition => true,
        Form::FieldName => http::HeaderName::try_from(text).is_ok(),
        Form::FieldLine => text.contains(':'),
        Form::StaticKeys | Form::HeaderPair | Form::Attribute | Form::OriginLine => !text.is_empty(),
    };
    if accepted { Ok(()) } else { Err(form.accepts().to_string()) }
}

/// An address; `localhost` and brackets are forgiven.
pub(super) fn address(text: &str) -> Option<IpAddr> {
    if text.eq_ignore_ascii_case("localhost") {
        return Some(IpAddr::from([127, 0, 0, 1]));
    }
    let bare = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    bare.parse().ok()
}

/// A method that can be forwarded: `CONNECT` would be a tunnel, `TRACE` an echo of credentials. Methods are
/// case-sensitive (RFC 9110 §9.1), so lower case is a mistake.
pub(super) fn method(text: &str) -> Option<Method> {
    let method = Method::from_bytes(text.as_bytes()).ok()?;
    let capitals = !text.bytes().any(|b| b.is_ascii_lowercase());
    (capitals && method != Method::CONNECT && method != Method::TRACE).then_some(method)
}

/// An origin as browsers send it: scheme, host, port unless it is the scheme's, no path. RFC 6454 §6.2.
pub(super) fn browser_origin(text: &str) -> Result<String, String> {
    let refused = || Form::BrowserOrigin.accepts().to_string();
    let (scheme, rest) = text.split_once("://").ok_or_else(refused)?;
    let scheme_ok = scheme.starts_with(|c: char| c.is_ascii_lowercase())
        && scheme.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"+-.".contains(&b));
    let host_ok = visible(rest) && !rest.contains(['/', '?', '#', '@', ',', ';', '*', '"', '\\']);
    if !scheme_ok || !host_ok {
        return Err(refused());
    }
    if matches!(scheme, "http" | "https") {
        let url = url::http(text)?;
        return Ok(url.serialised_origin());
    }
    Ok(text.to_ascii_lowercase())
}

/// One of `AUTH_API_KEYS`: it travels in a header, and its name in metrics and store keys.
pub(super) fn static_key(owner: &str, key: &str) -> Result<(), String> {
    if !token(owner) || owner.len() > 64 {
        return Err("a name of letters, digits, `-`, `_` and `.` before the colon, at most 64".to_string());
    }
    if !visible(key) {
        return Err("a key of visible ASCII characters without spaces".to_string());
    }
    Ok(())
}

/// Region, plugin, limit and origin names.
pub(super) fn name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 64
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
}

/// `host:port`, or what somebody chose: it stands in metrics and header fields.
fn origin_name(text: &str) -> bool {
    let letters = text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._:[]".contains(&b));
    !text.is_empty() && text.len() <= 260 && letters
}

/// RFC 9110 §5.6.2.
pub(super) fn token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b))
}

/// At least one character, all visible ASCII.
pub(super) fn visible(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic())
}

/// A pattern that the routes take.
fn pattern(text: &str) -> Result<(), String> {
    match Pattern::new(text) {
        Ok(_) => Ok(()),
        Err(CompileError::Route { reason, .. }) => Err(format!("{}: {reason}", Form::Pattern.accepts())),
        Err(_) => Err(Form::Pattern.accepts().to_string()),
    }
}

/// A literal path that means one thing to everybody.
fn path(text: &str) -> bool {
    let dots = |segment: &str| matches!(segment, "." | "..");
    text.starts_with('/')
        && visible(text)
        && !text.contains(['?', '#', '\\', '%', '{', '}', '*'])
        && !text.contains("//")
        && !text.split('/').any(dots)
}
