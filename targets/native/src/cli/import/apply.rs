//! Brings the store to what a page of rows says. Only what differs is written, and only if no gateway has learned something
//! newer since: the store is looked at first, then the row is read again, then written on the condition that the
//! store is as it was.

use std::collections::{BTreeMap, BTreeSet};

use acip_core::store::Reply;

use super::rows::{KeyRow, Kind, Wanted, WorkerRow};
use crate::cli::{
    Failure,
    store::{KeyStore, text},
};

/// A row of either table.
pub(super) enum Entry {
    Worker(WorkerRow),
    Key(KeyRow),
}

/// What happened.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) read: u64,
    pub(super) written: u64,
    pub(super) same: u64,
    /// Rows by how they count.
    pub(super) kinds: BTreeMap<Kind, u64>,
    /// Rows that a gateway knew something newer of.
    pub(super) overtaken: u64,
    /// Keys that are disabled at the gateway and not at the backend.
    pub(super) kept_off: u64,
    /// Keys whose record cannot say all that the row says.
    pub(super) restricted: u64,
}

type Fields = BTreeMap<String, String>;

impl From<WorkerRow> for Entry {
    fn from(row: WorkerRow) -> Self {
        Self::Worker(row)
    }
}

impl From<KeyRow> for Entry {
    fn from(row: KeyRow) -> Self {
        Self::Key(row)
    }
}

impl Entry {
    fn id(&self) -> &str {
        match self {
            Self::Worker(row) => &row.id,
            Self::Key(row) => &row.id,
        }
    }

    fn meaning(&self, now: u64) -> (Kind, Vec<Wanted>) {
        match self {
            Self::Worker(row) => row.meaning(now),
            Self::Key(row) => row.meaning(now),
        }
    }
}

/// Applies a page; `fresh` reads rows by their ids once more.
pub(super) async fn apply(
    store: &KeyStore,
    page: Vec<Entry>,
    fresh: impl AsyncFn(Vec<String>) -> Result<Vec<Entry>, Failure>,
    now: u64,
    dry: bool,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let meant: Vec<(Entry, Vec<Wanted>)> = page
        .into_iter()
        .map(|entry| {
            let (kind, wanted) = entry.meaning(now);
            counts.note(&entry, kind);
            (entry, wanted)
        })
        .collect();
    let keys: Vec<&str> = meant.iter().flat_map(|(_, wanted)| wanted).map(|it| it.key.as_str()).collect();
    let known = look(store, &keys).await?;
    let mut differing = Vec::new();
    for (entry, wanted) in &meant {
        let kept_off = wanted.iter().any(|it| known.get(&it.key).is_some_and(|known| is_kept_off(it, known)));
        counts.kept_off += u64::from(kept_off);
        if wanted.iter().any(|it| differs(it, known.get(&it.key))) {
            differing.push(entry.id().to_owned());
        } else if !wanted.is_empty() {
            counts.same += 1;
        }
    }
    if dry || differing.is_empty() {
        counts.written += u64::try_from(differing.len()).unwrap_or_default();
        return Ok(());
    }
    let rows = fresh(differing).await?;
    write(store, &rows, &known, now, counts).await
}

async fn write(
    store: &KeyStore,
    rows: &[Entry],
    known: &BTreeMap<String, Fields>,
    now: u64,
    counts: &mut Counts,
) -> Result<(), Failure> {
    let mut commands: Vec<Vec<String>> = Vec::new();
    let mut owners = Vec::new();
    let nothing = Fields::new();
    for (owner, row) in rows.iter().enumerate() {
        for wanted in row.meaning(now).1 {
            let before = known.get(&wanted.key).unwrap_or(&nothing);
            if differs(&wanted, Some(before)) {
                commands.push(command(store, wanted, before));
                owners.push(owner);
            }
        }
    }
    let replies = store.commands(&commands).await?;
    let overtaken: BTreeSet<usize> = replies
        .iter()
        .zip(&owners)
        .filter_map(|(reply, owner)| matches!(reply, Reply::Int(0)).then_some(*owner))
        .collect();
    let overtaken = u64::try_from(overtaken.len()).unwrap_or_default();
    counts.overtaken += overtaken;
    counts.written += u64::try_from(rows.len()).unwrap_or_default().saturating_sub(overtaken);
    Ok(())
}

/// Replaces the whole record, unless the watched field has changed.
fn command(store: &KeyStore, mut wanted: Wanted, before: &Fields) -> Vec<String> {
    if is_kept_off(&wanted, before)
        && let Some((_, enabled)) = wanted.fields.iter_mut().find(|(name, _)| name == ENABLED)
    {
        *enabled = OFF.to_owned();
    }
    let expected = before.get(wanted.watched).cloned().unwrap_or_default();
    let expiry = wanted.expires_at.map(|at| at.to_string()).unwrap_or_default();
    let mut command: Vec<String> = ["EVAL", REPLACE, "1"].map(str::to_owned).into();
    command.extend([store.name_of(&wanted.key), wanted.watched.to_owned(), expected, expiry]);
    command.extend(wanted.fields.into_iter().flat_map(|(name, value)| [name, value]));
    command
}

/// All records of these names.
async fn look(store: &KeyStore, keys: &[&str]) -> Result<BTreeMap<String, Fields>, Failure> {
    let commands: Vec<Vec<String>> =
        keys.iter().map(|key| vec!["HGETALL".into(), store.name_of(key)]).collect();
    let replies = store.commands(&commands).await?;
    let known = keys.iter().zip(replies).map(|(key, reply)| {
        let parts: Vec<String> = match reply {
            Reply::Array(parts) => parts.iter().filter_map(text).collect(),
            _ => Vec::new(),
        };
        let pairs = parts.chunks_exact(2).filter_map(|pair| match pair {
            [name, value] => Some((name.clone(), value.clone())),
            _ => None,
        });
        ((*key).to_owned(), pairs.collect())
    });
    Ok(known.collect())
}

fn differs(wanted: &Wanted, known: Option<&Fields>) -> bool {
    let mut fields: Fields = wanted.fields.iter().cloned().collect();
    let Some(known) = known else { return !fields.is_empty() };
    if is_kept_off(wanted, known) {
        fields.insert(ENABLED.to_owned(), OFF.to_owned());
    }
    fields != *known
}

/// Whether somebody disabled at the gateway what the row would enable.
fn is_kept_off(wanted: &Wanted, known: &Fields) -> bool {
    wanted.fields.iter().any(|(name, value)| name == ENABLED && value != OFF)
        && known.get(ENABLED).is_some_and(|enabled| enabled == OFF)
}

impl Counts {
    fn note(&mut self, entry: &Entry, kind: Kind) {
        self.read += 1;
        *self.kinds.entry(kind).or_default() += 1;
        self.restricted += u64::from(matches!(entry, Entry::Key(row) if row.is_restricted));
    }
}

const ENABLED: &str = "enabled";
const OFF: &str = "0";
/// `KEYS[1]` becomes a hash of the pairs from `ARGV[4]` on, or goes where there are none; it expires at `ARGV[3]`. But only if
/// its field `ARGV[1]` is still `ARGV[2]`.
const REPLACE: &str = "if (redis.call('HGET', KEYS[1], ARGV[1]) or '') ~= ARGV[2] then return 0 end \
    redis.call('DEL', KEYS[1]) \
    if ARGV[4] then redis.call('HSET', KEYS[1], unpack(ARGV, 4)) end \
    if ARGV[4] and ARGV[3] ~= '' then redis.call('PEXPIREAT', KEYS[1], ARGV[3]) end \
    return 1";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_same_is_left_alone() {
        let hash = |list: &[(&str, &str)]| -> Vec<(String, String)> {
            list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let (on, off, other) = (hash(&[("enabled", "1")]), hash(&[("enabled", "0")]), hash(&[("hash", "a")]));
        type Hash<'a> = &'a [(String, String)];
        let cases: [(Hash<'_>, Option<Hash<'_>>, bool, bool); 7] = [
            (&on, None, true, false),
            (&on, Some(&on), false, false),
            (&on, Some(&off), false, true),
            (&off, Some(&on), true, false),
            (&[], Some(&other), true, false),
            (&[], Some(&[]), false, false),
            (&[], None, false, false),
        ];
        for (fields, known, differing, kept) in cases {
            let wanted =
                Wanted { key: "k".into(), watched: "enabled", fields: fields.to_vec(), expires_at: None };
            let known: Option<Fields> = known.map(|known| known.iter().cloned().collect());
            assert_eq!(differs(&wanted, known.as_ref()), differing, "{fields:?} {known:?}");
            assert_eq!(known.is_some_and(|known| is_kept_off(&wanted, &known)), kept, "{fields:?}");
        }
    }
}
