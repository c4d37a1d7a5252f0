//! Which events a listener of `GET /gateway/events` wants to hear of, and from where on.

use alloc::{format, string::String, vec::Vec};

use super::NAMES;
use crate::{config::suggestion, http::query::decoded};

/// What a listener asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listening {
    /// Which events.
    pub wanted: Wanted,
    /// The `Last-Event-ID` of one that was here before.
    pub after: Option<String>,
}

/// A choice among the names of events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted(u32);

impl Default for Wanted {
    /// All of them.
    fn default() -> Self {
        Self(u32::MAX)
    }
}

impl Wanted {
    /// From a query: `name=gateway:job:*,gateway:auth:rejected`, also several times. A name that ends in `*` stands for all
    /// that begin so; without any, all are wanted.
    ///
    /// # Errors
    /// What is no name of an event, or another parameter.
    pub(crate) fn read(query: &str) -> Result<Self, String> {
        let mut bits = None;
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            if key != "name" {
                return Err(format!("`{key}` is no parameter of this page; it has `name`"));
            }
            let value = decoded(value).ok_or("`name` is not UTF-8")?;
            for name in value.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                bits = Some(bits.unwrap_or_default() | of(name)?);
            }
        }
        Ok(bits.map_or_else(Self::default, Self))
    }

    /// No event at all.
    pub const NONE: Self = Self(0);

    /// Of names, or of what they begin with and a `*`.
    ///
    /// # Errors
    /// Which of them, counted from 0, is no name of an event, and what to write.
    pub(crate) fn list(names: &[&str]) -> Result<Self, (usize, String)> {
        let mut bits = 0;
        for (place, name) in names.iter().enumerate() {
            bits |= of(name).map_err(|error| (place, error))?;
        }
        Ok(Self(bits))
    }

    /// The names of those that are wanted, in their order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        places().filter(move |(bit, _)| self.0 & bit != 0).map(|(_, name)| name)
    }

    /// Those of these names.
    pub fn of<'n>(names: impl IntoIterator<Item = &'n str>) -> Self {
        Self(names.into_iter().filter_map(|name| of(name).ok()).fold(0, |all, bits| all | bits))
    }

    /// Whether an event of this name is among them.
    pub fn admits(self, name: &str) -> bool {
        places().find(|(_, known)| *known == name).is_none_or(|(bit, _)| self.0 & bit != 0)
    }
}

fn of(wanted: &str) -> Result<u32, String> {
    let matches = |name: &str| match wanted.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == wanted,
    };
    let bits = places().filter(|(_, name)| matches(name)).fold(0, |bits, (bit, _)| bits | bit);
    if bits == 0 {
        Err(format!("`{wanted}` is no event{}", suggestion(wanted, NAMES.iter().copied())))
    } else {
        Ok(bits)
    }
}

fn places() -> impl Iterator<Item = (u32, &'static str)> {
    (0..).map(|place| 1_u32 << place).zip(NAMES.iter().copied())
}

impl core::fmt::Display for Wanted {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let names: Vec<&str> = self.names().collect();
        f.write_str(&names.join(","))
    }
}

#[cfg(test)]
mod tests;
