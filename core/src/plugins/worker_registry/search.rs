//! Workers that write their own keys and stand in no index: how the background search asks for them. Who runs it brings
//! the commands to the store and back; a request never does.

use alloc::{borrow::ToOwned, collections::BTreeSet, format, string::String, vec, vec::Vec};

use super::{INDEX, MOST};
use crate::{
    config::Document,
    gather::gather,
    keyspace::Keyspace,
    store::{Op, Roster},
};

/// The background search over one store.
#[derive(Clone, Debug)]
pub struct Search {
    keys: Keyspace,
}

impl Search {
    /// Ms between two rounds of one gateway.
    pub const INTERVAL_MS: u64 = 10_000;
    /// `SCAN`s of a round.
    pub const STEPS: usize = 200;
    /// Key of the ids that the list reads.
    pub const INDEX: &str = INDEX;

    /// For the store of a document.
    pub fn new(document: &Document) -> Self {
        Self { keys: Keyspace::new(document) }
    }

    /// The command that claims a round: of a fleet, one gateway is told `OK`.
    pub fn claim(&self) -> Vec<String> {
        let hold_ms = format!("{}", Self::INTERVAL_MS / 10 * 8);
        vec!["SET".into(), self.keys.search(), "1".into(), "NX".into(), "PX".into(), hold_ms]
    }

    /// The command that reads where the last round stopped.
    pub fn resume(&self) -> Vec<String> {
        vec!["GET".into(), self.keys.search_place()]
    }

    /// The command that writes where this round stopped; forgotten after ten rounds.
    pub fn stop_at(&self, place: &str) -> Vec<String> {
        let kept_ms = format!("{}", Self::INTERVAL_MS * 10);
        vec!["SET".into(), self.keys.search_place(), place.into(), "PX".into(), kept_ms]
    }

    /// The command of one step.
    pub fn step(cursor: &str) -> Vec<String> {
        ["SCAN", cursor, "MATCH", "worker:*:[sh]*", "COUNT", "1000"].map(String::from).into()
    }

    /// The worker whose key this is.
    pub fn worker(key: &[u8]) -> Option<String> {
        let rest = core::str::from_utf8(key).ok()?.strip_prefix("worker:")?;
        let id = rest.strip_suffix(":status").or_else(|| rest.strip_suffix(":heartbeat"))?;
        let fits = !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control);
        fits.then(|| id.to_owned())
    }

    /// What puts those found into the index, given what stands there; at most 500 at a time.
    pub fn additions(found: &BTreeSet<String>, index: Option<&[u8]>) -> Vec<Op> {
        let known: BTreeSet<String> = gather(Roster { cell: 0, index: String::new(), max: MOST }.ids(index));
        let room = usize::try_from(MOST).unwrap_or(usize::MAX).saturating_sub(known.len()).min(MOST_ADDED);
        let add = |id: &String| Op::Index { key: INDEX.into(), member: id.clone(), max: MOST, remove: false };
        found.difference(&known).take(room).map(add).collect()
    }
}

/// Bytes of an id.
const MAX_ID: usize = 128;
/// Ids added by one round: each is a rewrite of the index.
const MOST_ADDED: usize = 500;

#[cfg(test)]
mod tests {
    use alloc::{format, string::String};

    use super::Search;
    use crate::store::Op;

    #[test]
    fn keys_of_workers() {
        let check = |key: &str, expected: Option<&str>| {
            assert_eq!(Search::worker(key.as_bytes()).as_deref(), expected, "{key}");
        };
        check("worker:w1:status", Some("w1"));
        check("worker:w1:heartbeat", Some("w1"));
        check("worker:a:b:status", Some("a:b"));
        check("worker::status", None);
        check("worker:w1:gpu", None);
        check("worker:w1:statuses", None);
        check("worker:index", None);
        check("other:w1:status", None);
        check("worker:a\nb:status", None);
        check(&format!("worker:{}:status", "x".repeat(129)), None);
    }

    #[test]
    fn only_what_is_missing_is_added() {
        let check = |index: Option<&str>, expected: &[&str]| {
            let found = ["a", "b"].map(String::from).into();
            let added = Search::additions(&found, index.map(str::as_bytes));
            let members = added.iter().map(|op| match op {
                Op::Index { member, remove: false, .. } => member.as_str(),
                _ => panic!("{op:?}"),
            });
            assert!(members.eq(expected.iter().copied()), "{added:?}");
        };
        check(None, &["a", "b"]);
        check(Some("[\"a\",\"c\"]"), &["b"]);
        check(Some("[\"a\",\"b\"]"), &[]);
        check(Some("no array"), &["a", "b"]);
        let full: alloc::vec::Vec<_> = (0..10_000).collect();
        check(
            Some(&format!("{:?}", full.iter().map(|at| format!("{at}")).collect::<alloc::vec::Vec<_>>())),
            &[],
        );
    }
}
