//! The other end of the pipeline: what goes to the origin ([`forward`]), what comes back from it ([`seal`](Forward::seal)), and
//! the fields that every answer carries ([`dress`]).

use alloc::{format, string::String, vec::Vec};
use http::{
    HeaderName, HeaderValue,
    uri::{Authority, PathAndQuery, Scheme, Uri},
};

use crate::{
    config::{Document, Origin},
    gateway::CompileError,
    http::{list, names},
};

mod dress;
mod forward;
mod seal;
mod sign;
#[cfg(test)]
mod tests;

pub(crate) use dress::dress;
pub(crate) use forward::forward;

/// What every departure needs, made once per document.
#[derive(Clone, Debug)]
pub(crate) struct Departure {
    targets: Vec<Target>,
    /// Our own line of `Via` (RFC 9110 §7.6.3).
    via: HeaderValue,
    /// Our name as a structured field's item (RFC 9651 §3.3.4).
    name: String,
}

/// Where an origin is.
#[derive(Clone, Debug)]
struct Target {
    scheme: Scheme,
    authority: Authority,
    prefix: String,
}

impl Departure {
    /// Prepares targets and names.
    ///
    /// # Errors
    /// An origin that cannot stand in a request target.
    pub(crate) fn compile(document: &Document) -> Result<Self, CompileError> {
        let name = &document.identity.name;
        let leads = |char: char| char.is_ascii_alphabetic() || char == '*';
        let item = if name.starts_with(leads) { name.clone() } else { quoted(name) };
        let via = HeaderValue::try_from(format!("1.1 {name}"));
        Ok(Self {
            targets: document.origins.iter().map(Target::new).collect::<Result<_, _>>()?,
            via: via.unwrap_or(HeaderValue::from_static("1.1 acip")),
            name: if list::is_token(name) { item } else { String::from("acip") },
        })
    }
}

impl Target {
    fn new(origin: &Origin) -> Result<Self, CompileError> {
        let url = &origin.url;
        let (scheme, usual) = if url.tls { (Scheme::HTTPS, 443) } else { (Scheme::HTTP, 80) };
        let text = if url.port == usual { url.host.clone() } else { format!("{}:{}", url.host, url.port) };
        let authority = Authority::from_maybe_shared(text.into_bytes())
            .map_err(|_| CompileError::Origin { name: origin.name.clone() })?;
        Ok(Self { scheme, authority, prefix: url.prefix.clone() })
    }

    /// The absolute target of one request; none where prefix and path do not fit together.
    fn uri(&self, path: &PathAndQuery) -> Option<Uri> {
        let path = match self.prefix.as_str() {
            "" => path.clone(),
            prefix => PathAndQuery::try_from(format!("{prefix}{path}")).ok()?,
        };
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.clone());
        uri.path_and_query(path).build().ok()
    }
}

/// `X-Gateway-Duration`: elapsed microseconds as whole milliseconds, rounded to the nearest.
pub fn duration_header(elapsed_us: u64) -> (HeaderName, HeaderValue) {
    let ms = elapsed_us.saturating_add(500) / 1000;
    let value = HeaderValue::try_from([itoa::Buffer::new().format(ms), "ms"].concat());
    (names::X_GATEWAY_DURATION, value.unwrap_or(HeaderValue::from_static("0ms")))
}

/// A structured field's string (RFC 9651 §3.3.3); what it cannot hold becomes `?`.
fn quoted(text: &str) -> String {
    let mut out = String::with_capacity(text.len().saturating_add(2));
    out.push('"');
    if text.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
        out.push_str(text);
        out.push('"');
        return out;
    }
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            ' '..='~' => out.push(char),
            _ => out.push('?'),
        }
    }
    out.push('"');
    out
}

/// `X-Gateway-Version`.
const VERSION: HeaderValue = HeaderValue::from_static(env!("CARGO_PKG_VERSION"));
