//! How a field's type is read from text and shown again. Forms of text are in `form.rs`.

use alloc::{
    borrow::ToOwned,
    collections::BTreeSet,
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::{net::IpAddr, num::NonZeroU32};
use http::Method;
use ipnet::IpNet;
use serde_json::Value;

use super::{
    form,
    kind::Kind,
    model::{CorsOrigins, OriginUrl, StaticKey},
    secret::Secret,
    store_url::StoreUrl,
};
use crate::event::Wanted;

/// Why some text was not taken: which part of a list, and what would have been.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flaw {
    /// Index of the bad part; 0 for a single value.
    pub(super) part: usize,
    /// Completes "… is not accepted: write", or "… is not accepted:" plus a reason.
    pub(super) wanted: String,
}

impl Flaw {
    /// A flaw of the first or only part.
    pub(super) fn new(wanted: impl Into<String>) -> Self {
        Self { part: 0, wanted: wanted.into() }
    }
}

/// A type that a knob can have.
pub(super) trait Knob: Sized {
    /// Reads the parts; kinds other than lists have exactly one.
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw>;
    /// Shows the value in clear; null where it is unset.
    fn show(&self) -> Value;
}

/// The one part of a kind that is no list.
fn only<'a>(parts: &[&'a str]) -> &'a str {
    parts.first().copied().unwrap_or_default()
}

/// Reads each part, remembering which one failed.
fn each<T>(parts: &[&str], mut read: impl FnMut(usize, &str) -> Result<T, Flaw>) -> Result<Vec<T>, Flaw> {
    let indexed = parts.iter().enumerate();
    indexed.map(|(part, text)| read(part, text).map_err(|flaw| Flaw { part, ..flaw })).collect()
}

/// A whole number within the kind's range: digits only, so that `+5`, `1e3` and ` 7` are not guessed at.
fn number(parts: &[&str], kind: Kind) -> Result<u64, Flaw> {
    let refused = || Flaw::new(kind.accepts());
    let text = only(parts);
    if text.is_empty() || !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(refused());
    }
    let n: u64 = text.parse().map_err(|_overflow| refused())?;
    match kind {
        Kind::Number { min, max } if n < min || n > max => Err(refused()),
        _ => Ok(n),
    }
}

impl Knob for bool {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        match only(parts).to_ascii_lowercase().as_str() {
            "true" | "1" | "yes" | "on" => Ok(true),
            "false" | "0" | "no" | "off" => Ok(false),
            _ => Err(Flaw::new(kind.accepts())),
        }
    }

    fn show(&self) -> Value {
        Value::Bool(*self)
    }
}

macro_rules! numbers {
    ($($Type:ty),+) => {
        $(impl Knob for $Type {
            fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
                Self::try_from(number(parts, kind)?).map_err(|_too_large| Flaw::new(kind.accepts()))
            }

            fn show(&self) -> Value {
                Value::from(*self)
            }
        })+
    };
}
numbers!(u16, u32, u64);

impl Knob for NonZeroU32 {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        Self::new(u32::read(parts, kind)?).ok_or_else(|| Flaw::new(kind.accepts()))
    }

    fn show(&self) -> Value {
        Value::from(self.get())
    }
}

impl<T: Knob> Knob for Option<T> {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        T::read(parts, kind).map(Some)
    }

    fn show(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::show)
    }
}

impl Knob for String {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        let text = only(parts);
        match kind {
            Kind::Text(form) => form::check(form, text).map_err(Flaw::new)?,
            Kind::OneOf(words) if words.contains(&text) => {}
            _ => return Err(Flaw::new(kind.accepts())),
        }
        Ok(text.to_owned())
    }

    fn show(&self) -> Value {
        Value::String(self.clone())
    }
}

impl Knob for Secret {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        String::read(parts, kind).map(Secret::new)
    }

    fn show(&self) -> Value {
        Value::String(self.expose_secret().to_owned())
    }
}

impl Knob for StoreUrl {
    fn read(parts: &[&str], _kind: Kind) -> Result<Self, Flaw> {
        Self::parse(only(parts)).map_err(Flaw::new)
    }

    fn show(&self) -> Value {
        Value::String(self.expose_secret().to_owned())
    }
}

impl Knob for OriginUrl {
    fn read(parts: &[&str], _kind: Kind) -> Result<Self, Flaw> {
        Self::parse(only(parts)).map_err(Flaw::new)
    }

    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl Knob for IpAddr {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        form::address(only(parts)).ok_or_else(|| Flaw::new(kind.accepts()))
    }

    fn show(&self) -> Value {
        Value::String(self.to_string())
    }
}

impl Knob for Vec<IpNet> {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        each(parts, |_, text| {
            let host = || form::address(text).map(IpNet::from);
            text.parse().ok().or_else(host).ok_or_else(|| Flaw::new(kind.accepts()))
        })
    }

    fn show(&self) -> Value {
        self.iter().map(|net| Value::String(net.to_string())).collect()
    }
}

impl Knob for Vec<Method> {
    fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
        each(parts, |_, text| form::method(text).ok_or_else(|| Flaw::new(kind.accepts())))
    }

    fn show(&self) -> Value {
        self.iter().map(|method| Value::String(method.to_string())).collect()
    }
}

impl Knob for Wanted {
    fn read(parts: &[&str], _kind: Kind) -> Result<Self, Flaw> {
        let wanted = |why| format!("the name of an event: {why}");
        Self::list(parts).map_err(|(part, why)| Flaw { part, wanted: wanted(why) })
    }

    fn show(&self) -> Value {
        self.names().map(Value::from).collect()
    }
}

impl Knob for CorsOrigins {
    fn read(parts: &[&str], _kind: Kind) -> Result<Self, Flaw> {
        if parts == ["*"] {
            return Ok(Self::Any);
        }
        let origin = |_, text: &str| match text {
            "*" => Err(Flaw::new("`*` alone, or a list of origins without it")),
            _ => form::browser_origin(text).map_err(Flaw::new),
        };
        each(parts, origin).map(Self::List)
    }

    fn show(&self) -> Value {
        match self {
            Self::Any => Value::String("*".to_owned()),
            Self::List(origins) => origins.iter().cloned().map(Value::String).collect(),
        }
    }
}

impl Knob for Vec<StaticKey> {
    fn read(parts: &[&str], _kind: Kind) -> Result<Self, Flaw> {
        let mut earlier = BTreeSet::new();
        let keys = parts.iter().enumerate().map(|(part, text)| {
            let flaw = |wanted| Flaw { part, wanted };
            let (name, key) = match text.split_once(':') {
                Some((name, key)) => (name.trim().to_owned(), key.trim()),
                None => (format!("key-{}", part.saturating_add(1)), *text),
            };
            form::static_key(&name, key).map_err(flaw)?;
            if !earlier.insert(key) {
                return Err(flaw("each key once".to_owned()));
            }
            Ok(StaticKey { name, key: Secret::new(key) })
        });
        keys.collect()
    }

    /// Names only: the masked form, as nothing else may show it.
    fn show(&self) -> Value {
        self.iter().map(|key| Value::String(key.name.clone())).collect()
    }
}
