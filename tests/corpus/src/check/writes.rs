//! Compares what the store was told.

use std::collections::BTreeMap;

use acip_core::store::{Life, Op};
use bytes::Bytes;

use super::{same, within};
use crate::expect::Write;

pub(super) fn check(expected: &[Write], ops: &[Op], wrong: &mut Vec<String>) {
    let names =
        |ops: &[Op]| ops.iter().map(|op| format!("{} {}", parts(op).0, parts(op).1)).collect::<Vec<_>>();
    let wanted: Vec<String> = expected.iter().map(|write| format!("{} {}", write.op, write.key)).collect();
    if wanted != names(ops) {
        wrong.push(format!("writes: expected {wanted:?}, are {:?}", names(ops)));
        return;
    }
    for (write, op) in expected.iter().zip(ops) {
        one(write, op, wrong);
    }
}

fn one(write: &Write, op: &Op, wrong: &mut Vec<String>) {
    let what = format!("write to `{}`", write.key);
    let (_, _, value, ttl_ms) = parts(op);
    if let Some(text) = &write.value {
        same(&what, &text.0, &String::from_utf8_lossy(&value).into_owned(), wrong);
    }
    if let Some(json) = &write.json {
        within(&what, json, &serde_json::from_slice(&value).unwrap_or_default(), wrong);
    }
    if let Some(fields) = &write.fields
        && let Op::SetHash { fields: is, .. } = op
    {
        let fields: BTreeMap<&str, &str> =
            fields.iter().map(|(name, value)| (name.as_str(), value.0.as_str())).collect();
        same(
            &what,
            &fields,
            &is.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect(),
            wrong,
        );
    }
    if let Some(ttl) = write.ttl {
        same(&format!("{what}: ttl ms"), &Some(ttl.ms()), &ttl_ms, wrong);
    }
}

fn parts(op: &Op) -> (&'static str, &str, Bytes, Option<u64>) {
    let text = |text: &String| Bytes::copy_from_slice(text.as_bytes());
    match op {
        Op::Set { key, value, ttl_ms, .. } => ("set", key, value.clone(), *ttl_ms),
        Op::SetHash { key, ttl_ms, .. } => ("hash", key, Bytes::new(), *ttl_ms),
        Op::Amend { key, life, .. } => {
            ("amend", key, Bytes::new(), if let Life::Ms(ttl_ms) = life { Some(*ttl_ms) } else { None })
        }
        Op::Delete { key } => ("delete", key, Bytes::new(), None),
        Op::Publish { channel, message } => ("publish", channel, text(message), None),
        Op::Index { key, member, remove, .. } => {
            (if *remove { "unindex" } else { "index" }, key, text(member), None)
        }
        Op::Spend { limit, .. } => ("spend", &limit.key, Bytes::new(), None),
        Op::Refund { key, .. } => ("refund", key, Bytes::new(), None),
        Op::Tally { key, ttl_ms, .. } => ("tally", key, Bytes::new(), Some(*ttl_ms)),
        Op::Record { key }
        | Op::WorkerRecord { key, .. }
        | Op::Get { key }
        | Op::Watch { key, .. }
        | Op::Replace { key, .. }
        | Op::Field { key, .. }
        | Op::Hash { key, .. } => ("read", key, Bytes::new(), None),
        Op::SpendRecord { prefix, .. } => ("spend-record", prefix, Bytes::new(), None),
        Op::Workers { index, .. } => ("workers", index, Bytes::new(), None),
        Op::Local(op) => match parts(op) {
            ("set", key, value, ttl_ms) => ("local set", key, value, ttl_ms),
            ("delete", key, value, ttl_ms) => ("local delete", key, value, ttl_ms),
            (_, key, value, ttl_ms) => ("local", key, value, ttl_ms),
        },
    }
}
