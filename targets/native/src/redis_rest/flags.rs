//! Which commands only read: asked of Redis itself, by `COMMAND INFO`, so that modules and new commands are known too.
//!
//! A command is asked for when a read-only token first uses it; the answer is kept as long as the thread lives.

use std::{cell::RefCell, collections::BTreeMap};

use acip_core::store::{Reply, StoreError};

use super::json::Words;
use crate::store::StoreClient;

/// What Redis said about commands.
#[derive(Default)]
pub(super) struct Flags {
    known: RefCell<BTreeMap<String, Info>>,
}

/// One command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Info {
    read_only: bool,
    /// Its subcommands by name, where it has any.
    subcommands: BTreeMap<String, bool>,
}

impl Flags {
    /// Whether all these commands only read. `Err` holds the first that does not, or why nobody knows.
    pub(super) async fn only_read(&self, store: &StoreClient, words: &Words) -> Result<bool, StoreError> {
        let Some(name) = words.first().map(|word| word.to_ascii_lowercase()) else { return Ok(false) };
        let Ok(name) = String::from_utf8(name) else { return Ok(false) };
        if HARMLESS.contains(&name.as_str()) {
            return Ok(true);
        }
        if let Some(info) = self.known.borrow().get(&name) {
            return Ok(info.permits(words));
        }
        let info = match store.command(&["COMMAND", "INFO", &name]).await? {
            Reply::Array(found) => found.first().map(info).unwrap_or_default(),
            _ => Info::default(),
        };
        let permits = info.permits(words);
        // Unknown names are not kept: anybody can make up any number of them.
        if info != Info::default() && self.known.borrow().len() < MAX_KNOWN {
            self.known.borrow_mut().insert(name, info);
        }
        Ok(permits)
    }
}

impl Info {
    fn permits(&self, words: &Words) -> bool {
        if self.subcommands.is_empty() {
            return self.read_only;
        }
        let name = words.get(1).map(|word| word.to_ascii_lowercase());
        let name = name.and_then(|name| String::from_utf8(name).ok()).unwrap_or_default();
        self.subcommands.get(&name).copied().unwrap_or(false)
    }
}

/// One entry of `COMMAND INFO`: name, arity, flags, first key, last key, step, and since Redis 7 categories, tips, key
/// specifications, subcommands.
fn info(entry: &Reply) -> Info {
    let Reply::Array(parts) = entry else { return Info::default() };
    let flags = match parts.get(2) {
        Some(Reply::Array(flags)) => flags.as_slice(),
        _ => &[],
    };
    let has = |wanted: &[u8]| {
        flags.iter().any(|flag| matches!(flag, Reply::Status(it) | Reply::Bulk(it) if it == wanted))
    };
    let subcommands = match parts.get(9) {
        Some(Reply::Array(entries)) => entries.iter().filter_map(subcommand).collect(),
        _ => BTreeMap::new(),
    };
    Info { read_only: has(b"readonly") && !has(b"write"), subcommands }
}

fn subcommand(entry: &Reply) -> Option<(String, bool)> {
    let Reply::Array(parts) = entry else { return None };
    let name = parts.first()?.text()?;
    let (_, name) = name.split_once('|')?;
    Some((name.to_ascii_lowercase(), info(entry).read_only))
}

/// Neither reads nor writes: Redis gives them no flag that says so.
const HARMLESS: [&str; 5] = ["command", "echo", "ping", "time", "dbsize"];

/// Far more commands than any server has.
const MAX_KNOWN: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &'static str, flags: &[&'static str], subcommands: Vec<Reply>) -> Reply {
        let flags = flags.iter().map(|flag| Reply::Status((*flag).into())).collect();
        let mut parts = vec![Reply::Bulk(name.into()), Reply::Int(2), Reply::Array(flags)];
        parts.resize(9, Reply::Int(0));
        parts.push(Reply::Array(subcommands));
        Reply::Array(parts)
    }

    #[test]
    fn what_only_reads_is_told_from_the_rest() {
        let check = |entry: &Reply, words: &[&'static str], expected: bool| {
            let words = words.iter().map(|word| (*word).into()).collect();
            assert_eq!(info(entry).permits(&words), expected, "{words:?}");
        };
        check(&entry("get", &["readonly", "fast"], vec![]), &["GET", "k"], true);
        check(&entry("set", &["write"], vec![]), &["SET", "k", "v"], false);
        check(&entry("eval", &["noscript"], vec![]), &["EVAL"], false);
        let object = entry(
            "object",
            &[],
            vec![entry("object|encoding", &["readonly"], vec![]), entry("object|help", &[], vec![])],
        );
        check(&object, &["OBJECT", "Encoding"], true);
        check(&object, &["OBJECT", "HELP"], false);
        check(&object, &["OBJECT"], false);
        check(&Reply::Nil, &["NONE"], false);
    }
}
