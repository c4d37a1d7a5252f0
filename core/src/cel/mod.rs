//! Conditions written in the Common Expression Language, of which this is a subset: booleans, whole numbers, strings, maps
//! of strings. A [`Program`] is type-checked when it is compiled ([`parse`]), cannot loop, and is evaluated within a
//! [`Budget`] ([`eval`]). It knows nothing of requests: what can be named is declared by who compiles it.
//!
//! Left out of the language: `double`, `uint`, `bytes`, `null`, timestamps, messages, macros over lists. Lists stand only
//! right of `in`. Everything that is here means what the language's definition says.

use alloc::{borrow::Cow, format, string::String, sync::Arc};
use core::fmt;

mod eval;
mod parse;
mod pattern;
#[cfg(test)]
mod tests;
mod token;
mod tree;

pub use eval::{Budget, Fault};

/// A name that expressions may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Declared {
    /// With its dots: `request.method`.
    pub name: &'static str,
    /// What it is.
    pub kind: Kind,
    /// Keys of a map that no expression may name, since the map never shows them.
    pub hidden: &'static [&'static str],
    /// Whether all keys of a map are in lower case.
    pub lower_case: bool,
}

impl Declared {
    /// A plain name.
    pub const fn new(name: &'static str, kind: Kind) -> Self {
        Self { name, kind, hidden: &[], lower_case: false }
    }
}

/// What a declared name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// True or false.
    Bool,
    /// 64 bits with a sign.
    Int,
    /// Text.
    Text,
    /// Text by text: its entries are named, not the map itself.
    Map,
}

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value<'v> {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Text.
    Text(Cow<'v, str>),
}

/// Where values come from: indices are those of the declarations.
pub trait Scope {
    /// The value of a name that is no map.
    fn value(&self, name: usize) -> Value<'_>;

    /// An entry of a map; none where it has none.
    ///
    /// # Errors
    /// The map has no single answer.
    fn entry(&self, map: usize, key: &str) -> Result<Option<Cow<'_, str>>, Fault>;
}

/// A condition, compiled and type-checked.
#[derive(Clone)]
pub struct Program {
    source: Arc<str>,
    root: Arc<tree::Node>,
    uses: u64,
}

/// Why a text is no condition, and where: the column of a character in it, from 1.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct ParseError {
    /// Which character.
    pub column: usize,
    /// What is wrong, and what to do.
    pub message: String,
}

impl Program {
    /// Compiles a condition over some names, at most 64.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn compile(source: &str, names: &'static [Declared]) -> Result<Self, ParseError> {
        if source.len() > MAX_SOURCE_BYTES {
            let message = format!("longer than {MAX_SOURCE_BYTES} bytes; split it into several");
            return Err(ParseError { column: 1, message });
        }
        let (root, uses) = parse::condition(source, names)?;
        Ok(Self { source: source.into(), root: Arc::new(root), uses })
    }

    /// Whether the condition holds.
    ///
    /// # Errors
    /// Why that cannot be said.
    pub fn holds(&self, scope: &dyn Scope, budget: &mut Budget) -> Result<bool, Fault> {
        eval::condition(&self.root, scope, budget)
    }

    /// Whether it reads this name, by index of the declarations.
    pub fn reads(&self, name: usize) -> bool {
        self.uses & bit(name) != 0
    }

    /// Its text.
    pub fn source(&self) -> &str {
        &self.source
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Program({:?})", self.source)
    }
}

impl PartialEq for Program {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

fn bit(name: usize) -> u64 {
    u32::try_from(name).ok().and_then(|name| 1_u64.checked_shl(name)).unwrap_or(0)
}

/// A page of text; what is longer is a program, not a condition.
pub const MAX_SOURCE_BYTES: usize = 4096;
