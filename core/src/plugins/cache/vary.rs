//! Which of several stored answers fits a request (RFC 9111 §4.1). Of the request's fields only a digest is
//! kept: they may hold credentials.

use alloc::vec::Vec;
use http::{HeaderMap, HeaderName, header};
use sha2::{Digest, Sha256};

use crate::{
    gather::sort_short,
    http::{list, names},
};

/// The request fields that a response varies on, and what they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Selector {
    /// Sorted, each once.
    pub(super) names: Vec<HeaderName>,
    /// Over the store key, the names and their values.
    pub(super) digest: [u8; 32],
}

impl Selector {
    /// Reads `Vary` of a response to this request; none where it lets no other request use the answer.
    pub(super) fn of(key: &str, request: &HeaderMap, response: &HeaderMap) -> Option<Self> {
        let mut names = Vec::new();
        for line in response.get_all(header::VARY) {
            for member in line.to_str().ok()?.split(',').map(|member| member.trim_matches([' ', '\t'])) {
                if member.is_empty() {
                    continue;
                }
                let name = HeaderName::try_from(member).ok().filter(is_the_clients)?;
                if names.len() > MAX_NAMES {
                    return None;
                }
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        }
        sort_short(&mut names, |one, two| one.as_str() < two.as_str());
        if names.len() > MAX_NAMES {
            return None;
        }
        let digest = digest(key, &names, request);
        Some(Self { names, digest })
    }

    /// The selector of the same answer for an equal request whose key and fields are called otherwise.
    pub(super) fn renamed(&self, key: &str, request: &HeaderMap) -> Self {
        Self { names: self.names.clone(), digest: digest(key, &self.names, request) }
    }

    /// Whether a request may use the answer.
    pub(super) fn fits(&self, key: &str, request: &HeaderMap) -> bool {
        self.digest == digest(key, &self.names, request)
    }
}

/// `*` is no field name to begin with. What the gateway writes itself is not in the client's head, or another
/// value there.
fn is_the_clients(name: &HeaderName) -> bool {
    let text = name.as_str();
    text != "*"
        && ![header::HOST, header::FORWARDED, header::VIA, names::X_REQUEST_ID].contains(name)
        && ![names::TRACEPARENT, names::TRACESTATE, names::X_TIMESTAMP].contains(name)
        && !["x-forwarded-", "x-gateway-", "x-signature"].iter().any(|prefix| text.starts_with(prefix))
}

fn digest(key: &str, names: &[HeaderName], request: &HeaderMap) -> [u8; 32] {
    // Most answers vary on nothing, and a hit should not pay for it.
    if names.is_empty() {
        return [0; 32];
    }
    let mut hash = Sha256::new();
    let mut part = |bytes: &[u8]| {
        hash.update(u64::try_from(bytes.len()).unwrap_or(u64::MAX).to_be_bytes());
        hash.update(bytes);
    };
    part(key.as_bytes());
    for name in names {
        part(name.as_str().as_bytes());
        let values = normal(name, request);
        part(&u64::try_from(values.len()).unwrap_or(u64::MAX).to_be_bytes());
        values.iter().for_each(|value| part(value));
    }
    hash.finalize().into()
}

/// The members of all lines; lines that cannot be read as text stay whole.
fn normal(name: &HeaderName, request: &HeaderMap) -> Vec<Vec<u8>> {
    let lower = LOWER.contains(name);
    let mut values = Vec::new();
    for line in request.get_all(name) {
        match line.to_str() {
            Ok(text) if lower => {
                values.extend(list::split(text, ',').map(|it| it.to_ascii_lowercase().into_bytes()));
            }
            Ok(text) => values.extend(list::split(text, ',').map(|it| it.as_bytes().to_vec())),
            Err(_) => values.push(line.as_bytes().to_vec()),
        }
    }
    values
}

/// Fields whose values know no case.
const LOWER: [HeaderName; 3] = [header::ACCEPT_ENCODING, header::ACCEPT_LANGUAGE, header::ACCEPT_CHARSET];
/// More is no negotiation but an accident.
const MAX_NAMES: usize = 16;
