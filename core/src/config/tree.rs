//! A file as a tree of values with their places, before anybody asks what they mean. TOML and JSON meet here.

use alloc::{
    borrow::ToOwned,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;
use toml::de::{DeTable, DeValue};

use super::error::Faults;
use crate::gather::gather;

/// A file to read.
#[derive(Clone, Copy, Debug)]
pub struct Source<'a> {
    /// What errors call it.
    pub name: &'a str,
    /// Its text.
    pub text: &'a str,
    /// How it is written.
    pub format: Format,
}

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// TOML 1.0.
    Toml,
    /// JSON, RFC 8259.
    Json,
}

/// A value and the byte where it begins, if known.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) tree: Tree,
    pub(super) at: Option<usize>,
}

/// A value.
#[derive(Debug)]
pub(super) enum Tree {
    Null,
    Flag(bool),
    /// In decimal where it is whole, else as it was written.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Table(Vec<Entry>),
    /// A date or time.
    Time,
}

/// A key with its place, and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) at: Option<usize>,
    pub(super) node: Node,
}

impl Tree {
    /// The same as JSON; a date or time is none.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Null | Self::Time => Value::Null,
            Self::Flag(flag) => Value::Bool(*flag),
            Self::Number(number) => serde_json::from_str(number).unwrap_or_default(),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(items) => items.iter().map(|item| item.tree.to_value()).collect(),
            Self::Table(entries) => {
                let value = |entry: &Entry| (entry.key.clone(), entry.node.tree.to_value());
                Value::Object(gather(entries.iter().map(value)))
            }
        }
    }

    /// What it is, for errors; never its content.
    pub(super) const fn what(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Flag(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::Text(_) => "a string",
            Self::List(_) => "an array",
            Self::Table(_) => "a table",
            Self::Time => "a date or time",
        }
    }
}

/// Parses a file. Syntax errors are noted and leave nothing: what a broken line swallowed is unknown.
pub(super) fn parse(source: Source<'_>, faults: &mut Faults<'_>) -> Option<Node> {
    match source.format {
        Format::Toml => {
            let (table, errors) = DeTable::parse_recoverable(source.text);
            for error in &errors {
                faults.in_file("", error.span().map(|span| span.start), error.message());
            }
            errors.is_empty().then(|| Node { tree: from_table(table.get_ref()), at: None })
        }
        // Editors of some systems write a byte order mark, which JSON's grammar does not know.
        Format::Json => match serde_json::from_str::<Node>(source.text.trim_start_matches('\u{feff}')) {
            Ok(node) => Some(node),
            Err(error) => {
                let message = error.to_string();
                let message =
                    message.split_once(" at line ").map_or(message.as_str(), |(message, _)| message);
                faults.in_file("", byte_at(source.text, error.line(), error.column()), message);
                None
            }
        },
    }
}

fn from_table(table: &DeTable<'_>) -> Tree {
    let entry = |(key, value): (&toml::Spanned<alloc::borrow::Cow<'_, str>>, &toml::Spanned<DeValue<'_>>)| {
        Entry { key: key.get_ref().to_string(), at: Some(key.span().start), node: from_toml(value) }
    };
    Tree::Table(table.iter().map(entry).collect())
}

fn from_toml(value: &toml::Spanned<DeValue<'_>>) -> Node {
    let tree = match value.get_ref() {
        DeValue::String(text) => Tree::Text(text.to_string()),
        DeValue::Integer(digits) => Tree::Number(
            i128::from_str_radix(digits.as_str(), digits.radix())
                .map_or_else(|_too_large| digits.as_str().to_owned(), |n| n.to_string()),
        ),
        DeValue::Float(digits) => Tree::Number(digits.as_str().to_owned()),
        DeValue::Boolean(flag) => Tree::Flag(*flag),
        DeValue::Datetime(_) => Tree::Time,
        DeValue::Array(items) => Tree::List(items.iter().map(from_toml).collect()),
        DeValue::Table(table) => from_table(table),
    };
    Node { tree, at: Some(value.span().start) }
}

/// The byte at a line and column, both from 1.
fn byte_at(text: &str, line: usize, column: usize) -> Option<usize> {
    let before = text.split('\n').take(line.checked_sub(1)?).map(|line| line.len().saturating_add(1));
    Some(before.fold(0, usize::saturating_add).saturating_add(column.saturating_sub(1)))
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyNode).map(|tree| Self { tree, at: None })
    }
}

/// Keeps repeated keys, which `serde_json::Value` would drop in silence.
struct AnyNode;

impl<'de> Visitor<'de> for AnyNode {
    type Value = Tree;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Tree, E> {
        Ok(Tree::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Tree, E> {
        Ok(Tree::Flag(flag))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Tree, E> {
        Ok(Tree::Number(n.to_string()))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Tree, E> {
        Ok(Tree::Number(n.to_string()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Tree, E> {
        // `{:?}` keeps the point of `1.0`: a number that is not written as whole is not taken for one.
        Ok(Tree::Number(alloc::format!("{n:?}")))
    }

    fn visit_str<E>(self, text: &str) -> Result<Tree, E> {
        Ok(Tree::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Tree, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Tree::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Tree, A::Error> {
        let mut table = Vec::new();
        while let Some((key, node)) = entries.next_entry()? {
            table.push(Entry { key, at: None, node });
        }
        Ok(Tree::Table(table))
    }
}
