//! JSON merge patch (RFC 7396), and what differs between two trees.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    format,
    string::String,
    vec::Vec,
};
use serde_json::{Map, Value};

use crate::gather::gather;

/// Lays a patch over a target; `null` removes (RFC 7396 §2).
///
/// Over an overlay that means: what was changed is taken back, and file and environment count again.
pub fn merge_patch(target: &mut Map<String, Value>, patch: &Map<String, Value>) {
    for (name, value) in patch {
        match value {
            Value::Null => {
                target.remove(name);
            }
            Value::Object(patch) => {
                let slot = target.entry(name.clone()).or_insert(Value::Null);
                if !slot.is_object() {
                    *slot = Value::Object(Map::new());
                }
                if let Value::Object(table) = slot {
                    merge_patch(table, patch);
                    // A table of which everything was taken back says nothing.
                    if table.is_empty() {
                        target.remove(name);
                    }
                }
            }
            value => {
                target.insert(name.clone(), value.clone());
            }
        }
    }
}

/// The values of a tree by dotted path; an array is one value.
pub fn leaves(tree: &Map<String, Value>) -> BTreeMap<String, &Value> {
    let mut found = BTreeMap::new();
    walk("", tree, &mut found);
    found
}

fn walk<'t>(path: &str, tree: &'t Map<String, Value>, found: &mut BTreeMap<String, &'t Value>) {
    for (name, value) in tree {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        match value {
            Value::Object(table) => walk(&path, table, found),
            value => {
                found.insert(path, value);
            }
        }
    }
}

/// The paths where two trees differ, in order.
pub(super) fn differing(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<String> {
    let (before, after) = (leaves(before), leaves(after));
    let paths: BTreeSet<&String> = gather(before.keys().chain(after.keys()));
    paths.into_iter().filter(|path| before.get(*path) != after.get(*path)).cloned().collect()
}
