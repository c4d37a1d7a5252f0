//! What rules can name, and its values for one request. No credential can be named: the fields that carry them are not
//! there.

use alloc::{borrow::Cow, string::ToString};

use crate::{
    cel::{Declared, Fault, Kind, Scope, Value},
    flow::{Flow, IdentityKind},
    http::{query::decoded, target},
};

/// The names; [`Seen`] knows them by place.
pub(super) static NAMES: [Declared; 12] = [
    Declared::new("request.method", Kind::Text),
    Declared::new("request.path", Kind::Text),
    Declared::new("request.route", Kind::Text),
    Declared::new("request.host", Kind::Text),
    Declared::new("client.ip", Kind::Text),
    Declared::new("client.region", Kind::Text),
    Declared::new("time_ms", Kind::Int),
    Declared::new("identity.id", Kind::Text),
    Declared::new("identity.tenant", Kind::Text),
    Declared::new("identity.kind", Kind::Text),
    Declared::new("request.query", Kind::Map),
    Declared { hidden: &HIDDEN_FIELDS, lower_case: true, ..Declared::new("request.headers", Kind::Map) },
];

/// Places of the names that are known only once the store has answered.
pub(super) const IDENTITY: [usize; 3] = [7, 8, 9];

/// Fields that carry credentials.
pub static HIDDEN_FIELDS: [&str; 6] =
    ["authorization", "cookie", "proxy-authorization", "set-cookie", "x-api-key", "x-worker-token"];

/// One request as rules see it.
pub(super) struct Seen<'f> {
    pub(super) flow: &'f Flow,
}

impl Scope for Seen<'_> {
    fn value(&self, name: usize) -> Value<'_> {
        let request = &self.flow.request;
        let identity = self.flow.identity.as_ref();
        Value::Text(match name {
            0 => Cow::Borrowed(request.head.method.as_str()),
            // A path that cannot be read was refused on arrival.
            1 => target::read(&request.head.uri).map(|path| path.decoded).unwrap_or_default(),
            2 => Cow::Borrowed(request.route.pattern.as_str()),
            3 => self.host(),
            4 => Cow::Owned(request.client.to_string()),
            5 => Cow::Borrowed(request.region.as_deref().unwrap_or_default()),
            6 => return Value::Int(i64::try_from(request.facts.now_ms).unwrap_or(i64::MAX)),
            7 => Cow::Borrowed(identity.map_or("", |identity| identity.id.as_str())),
            8 => Cow::Borrowed(identity.map_or("", |identity| identity.tenant.as_str())),
            _ => Cow::Borrowed(identity.map_or("", |identity| match identity.kind {
                IdentityKind::ApiKey => "api-key",
                IdentityKind::Admin => "admin",
                IdentityKind::Worker => "worker",
            })),
        })
    }

    fn entry(&self, map: usize, key: &str) -> Result<Option<Cow<'_, str>>, Fault> {
        if map == 10 { self.parameter(key) } else { self.field(key) }
    }
}

impl Seen<'_> {
    /// In lower case, without its port.
    fn host(&self) -> Cow<'_, str> {
        let head = &self.flow.request.head;
        let named = head.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let host = head.uri.authority().map(http::uri::Authority::as_str).or(named).unwrap_or_default();
        let bare = match host.rsplit_once(':') {
            Some((bare, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => bare,
            _ => host,
        };
        if bare.bytes().any(|byte| byte.is_ascii_uppercase()) {
            Cow::Owned(bare.to_ascii_lowercase())
        } else {
            Cow::Borrowed(bare)
        }
    }

    /// One that stands there twice has two meanings: the origin may take the other.
    fn parameter(&self, key: &str) -> Result<Option<Cow<'_, str>>, Fault> {
        let mut found = None;
        for pair in self.flow.request.head.uri.query().unwrap_or_default().split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            if pair.is_empty() || decoded(name).as_deref() != Some(key) {
                continue;
            }
            if found.is_some() {
                return Err(Fault::new("the parameter stands in the query twice"));
            }
            found = Some(decoded(value).ok_or(Fault::new("the parameter is not UTF-8"))?);
        }
        Ok(found)
    }

    /// Lines of one name are one list (RFC 9110 §5.3).
    fn field(&self, key: &str) -> Result<Option<Cow<'_, str>>, Fault> {
        if HIDDEN_FIELDS.iter().any(|hidden| hidden.eq_ignore_ascii_case(key)) {
            return Ok(None);
        }
        let text = |value: &'_ http::HeaderValue| {
            str::from_utf8(value.as_bytes())
                .map_err(|_| Fault::new("the field is not UTF-8"))
                .map(ToString::to_string)
        };
        let mut lines = self.flow.request.head.headers.get_all(key).iter();
        let Some(first) = lines.next() else { return Ok(None) };
        let Some(second) = lines.next() else {
            let only = str::from_utf8(first.as_bytes()).map_err(|_| Fault::new("the field is not UTF-8"))?;
            return Ok(Some(Cow::Borrowed(only)));
        };
        let mut joined = text(first)?;
        for line in core::iter::once(second).chain(lines) {
            joined.push_str(", ");
            joined.push_str(&text(line)?);
        }
        Ok(Some(Cow::Owned(joined)))
    }
}
