//! The credential in a head, as the only form in which the gateway keeps it: a hash.

use alloc::{string::String, vec::Vec};
use core::fmt;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use crate::{
    config::Document,
    hex::hex,
    http::names,
    refusal::{ErrorCode, Refusal},
};

/// The credential a request came with.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Presented {
    /// Stored form under the salt (API keys of the gateway's, worker tokens), or without where it begins with `ent_`; empty if none came.
    pub stored: String,
    /// Whether it equals `ADMIN_TOKEN`.
    pub is_admin_token: bool,
    /// Index into `auth.api_keys` where it equals one of them.
    pub static_key: Option<usize>,
}

impl fmt::Debug for Presented {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The hash of a guessable key is as good as the key.
        f.write_str(if self.stored.is_empty() { "Presented(none)" } else { "Presented(…)" })
    }
}

/// What credentials are compared with: the hashes of the document's own, made once.
#[derive(Clone)]
pub struct AuthSettings {
    salt: String,
    admin: Option<String>,
    keys: Vec<String>,
}

impl fmt::Debug for AuthSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AuthSettings({} keys)", self.keys.len())
    }
}

impl AuthSettings {
    /// Hashes the document's keys.
    pub fn compile(document: &Document) -> Self {
        let auth = &document.auth;
        let salt = auth.token_salt.clone();
        let admin = auth.admin_token.as_ref().map(|token| stored_form(&salt, token.expose_secret()));
        let keys = auth.api_keys.iter().map(|key| stored_form(&salt, key.key.expose_secret())).collect();
        Self { salt, admin, keys }
    }

    /// The stored form of a token under this document's salt.
    pub fn stored(&self, token: &str) -> String {
        stored_form(&self.salt, token)
    }
}

/// Reads the credential of a head: `X-API-Key`, `X-Worker-Token`, `Authorization: Bearer` (RFC 6750 §2.1). Other
/// schemes of `Authorization` are not for the gateway and count as none.
///
/// # Errors
/// A field that is empty or not UTF-8, or several that disagree: whichever one would be chosen, the origin might
/// choose the other.
pub fn present(settings: &AuthSettings, headers: &HeaderMap) -> Result<Presented, Refusal> {
    let mut found: Option<&str> = None;
    for name in [names::X_API_KEY, names::X_WORKER_TOKEN, header::AUTHORIZATION] {
        for value in headers.get_all(&name) {
            let text = str::from_utf8(value.as_bytes()).map_err(|_| bad("the credential is not UTF-8"))?;
            for line in lines(&name, text) {
                let Some(token) = token(&name, line)? else { continue };
                if found.is_some_and(|first| !same(first, token)) {
                    return Err(bad("more than one credential was sent, and they differ; send one"));
                }
                found = found.or(Some(token));
            }
        }
    }
    let Some(token) = found else { return Ok(Presented::default()) };
    let stored = settings.stored(token);
    let is_admin_token = settings.admin.as_ref().is_some_and(|admin| same(admin, &stored));
    // Every key is compared, so that the time tells neither whether nor where one matched.
    let mut static_key = None;
    for (index, key) in settings.keys.iter().enumerate() {
        if same(key, &stored) {
            static_key = static_key.or(Some(index));
        }
    }
    Ok(Presented { stored, is_admin_token, static_key })
}

/// The credential of a head as a field's value; none where [`present`] finds none.
pub(super) fn first_token(headers: &HeaderMap) -> Option<HeaderValue> {
    let fields = [names::X_API_KEY, names::X_WORKER_TOKEN, header::AUTHORIZATION];
    let text = fields.iter().find_map(|name| {
        let values = headers.get_all(name).iter().filter_map(|value| str::from_utf8(value.as_bytes()).ok());
        values.flat_map(|text| lines(name, text)).find_map(|line| token(name, line).ok().flatten())
    })?;
    let mut value = HeaderValue::from_str(text).or_else(|_| HeaderValue::from_bytes(text.as_bytes())).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// The form in which a credential is stored and compared: lower-case hex of SHA-256 over `salt`, `:` and the token;
/// over the key alone for the backend's enterprise keys, which begin with `ent_`.
pub fn stored_form(salt: &str, token: &str) -> String {
    let mut hash = Sha256::new();
    if !token.starts_with(ENTERPRISE) {
        hash.update(salt.as_bytes());
        hash.update(b":");
    }
    hash.update(token.as_bytes());
    hex(&hash.finalize())
}

/// The lines of a field, which platforms and proxies may have joined (RFC 9110 §5.3). `Authorization` has but one.
fn lines<'h>(name: &HeaderName, text: &'h str) -> impl Iterator<Item = &'h str> + use<'h> {
    // A search that costs little, before the one for what hardly any field has.
    let is_one = *name == header::AUTHORIZATION || !text.contains(',');
    text.splitn(if is_one { 1 } else { usize::MAX }, ", ")
}

/// The token in one line; none where the field is not about us.
fn token<'h>(name: &HeaderName, line: &'h str) -> Result<Option<&'h str>, Refusal> {
    let mut text = line.trim_matches([' ', '\t']);
    if name == header::AUTHORIZATION {
        let (scheme, rest) = text.split_once([' ', '\t']).unwrap_or((text, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Ok(None);
        }
        text = rest.trim_matches([' ', '\t']);
        if text.contains([' ', '\t', ',']) {
            return Err(bad("`Authorization: Bearer` must be followed by one token"));
        }
    }
    if text.is_empty() {
        return Err(bad("the credential is empty; leave the field out or send one"));
    }
    Ok(Some(text))
}

fn same(one: &str, two: &str) -> bool {
    let equal: Choice = one.as_bytes().ct_eq(two.as_bytes());
    equal.into()
}

fn bad(message: &'static str) -> Refusal {
    Refusal::new(ErrorCode::BadRequest, "credential", message)
}

/// How keys begin that the backend made itself.
const ENTERPRISE: &str = "ent_";
