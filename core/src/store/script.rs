//! Writes a [`Batch`] as one call of `script.lua`. It neither sends nor reads.
//!
//! The arguments are the time, then per operation a letter and its fields; the script's loop is the reader.

use alloc::{format, string::String, vec::Vec};
use sha1::{Digest, Sha1};

use super::{
    Batch, Guard, Life, LimitSpec, Op,
    resp::{bulk, head},
    rest::text_of,
};
use crate::config::Algorithm;

/// The script and its name on the server.
#[derive(Clone, Debug)]
pub struct Script {
    sha1: String,
}

/// When an operation of a batch applies, with the guard's reference resolved to a place in the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Always,
    /// The guard refers to nothing that could hold.
    Never,
    /// If the cell is this integer.
    Cell {
        cell: usize,
        equals: u8,
    },
}

/// Collects keys and arguments of the call.
trait Sink {
    fn key(&mut self, key: &[u8]);
    fn arg(&mut self, arg: &[u8]);
    fn number(&mut self, number: u64) {
        self.arg(itoa::Buffer::new().format(number).as_bytes());
    }
    /// Bytes of any kind; tells whether they were written as text.
    fn value(&mut self, value: &[u8]) -> bool {
        self.arg(value);
        false
    }
}

/// Both lists already in RESP.
#[derive(Default)]
struct Wire {
    keys: Vec<u8>,
    key_count: usize,
    args: Vec<u8>,
    arg_count: usize,
}

/// Both lists as they are.
#[derive(Default)]
struct Lists {
    only_text: bool,
    keys: Vec<Vec<u8>>,
    args: Vec<Vec<u8>>,
}

impl Script {
    /// The script's text.
    pub const SOURCE: &'static str = include_str!("script.lua");

    /// Names the script by its SHA-1, as `EVALSHA` wants it.
    pub fn new() -> Self {
        let digest = Sha1::digest(Self::SOURCE.as_bytes());
        Self { sha1: digest.iter().map(|byte| format!("{byte:02x}")).collect() }
    }

    /// Lower-case hex.
    pub fn sha1(&self) -> &str {
        &self.sha1
    }

    /// Appends the `EVALSHA` command, in RESP.
    pub fn encode_evalsha(&self, batch: &Batch, out: &mut Vec<u8>) {
        encode(b"EVALSHA", self.sha1.as_bytes(), batch, out);
    }

    /// Appends the `EVAL` command, in RESP: for a server that lacks the script, which then keeps it.
    pub fn encode_eval(&self, batch: &Batch, out: &mut Vec<u8>) {
        encode(b"EVAL", Self::SOURCE.as_bytes(), batch, out);
    }

    /// The words of the `EVALSHA` command (or `EVAL`), for transports that are not RESP.
    pub fn words(&self, batch: &Batch, whole: bool) -> Vec<Vec<u8>> {
        self.list(batch, whole, Lists::default())
    }

    /// As [`Script::words`], for transports that carry text alone: a value that is not UTF-8 goes as text, and the script
    /// stores the bytes that it stands for.
    pub fn text_words(&self, batch: &Batch, whole: bool) -> Vec<Vec<u8>> {
        self.list(batch, whole, Lists { only_text: true, ..Lists::default() })
    }

    fn list(&self, batch: &Batch, whole: bool, mut lists: Lists) -> Vec<Vec<u8>> {
        write(batch, &mut lists);
        let (command, script) = if whole { ("EVAL", Self::SOURCE) } else { ("EVALSHA", self.sha1.as_str()) };
        let mut words =
            Vec::from([command.into(), script.into(), format!("{}", lists.keys.len()).into_bytes()]);
        words.append(&mut lists.keys);
        words.append(&mut lists.args);
        words
    }
}

impl Default for Script {
    fn default() -> Self {
        Self::new()
    }
}

fn encode(command: &[u8], script: &[u8], batch: &Batch, out: &mut Vec<u8>) {
    let mut wire = Wire {
        keys: Vec::with_capacity(USUAL_BYTES),
        args: Vec::with_capacity(USUAL_BYTES),
        ..Wire::default()
    };
    write(batch, &mut wire);
    head(b'*', 3 + wire.key_count + wire.arg_count, out);
    bulk(command, out);
    bulk(script, out);
    bulk(itoa::Buffer::new().format(wire.key_count).as_bytes(), out);
    out.append(&mut wire.keys);
    out.append(&mut wire.args);
}

fn write(batch: &Batch, sink: &mut impl Sink) {
    sink.number(batch.clamped_now());
    let last = batch.last_together();
    for (at, op) in batch.ops.iter().enumerate() {
        let fin: &[u8] = if last == Some(at) { b"2" } else { b"1" };
        let op = op.bare();
        match op {
            Op::Record { key } => {
                sink.key(key.as_bytes());
                sink.arg(b"R");
            }
            Op::WorkerRecord { key, presented } => {
                sink.key(key.as_bytes());
                sink.arg(b"W");
                sink.arg(presented.as_bytes());
            }
            Op::Spend { limit, guard, member, together } => {
                sink.arg(b"S");
                write_limit(limit, sink);
                sink.number(batch.test(at, *guard).encoded());
                sink.arg(if limit.algorithm == Algorithm::SlidingLog { member.as_bytes() } else { b"" });
                sink.arg(if *together { fin } else { b"0" });
            }
            Op::SpendRecord { record, prefix, fallback, member, factor } => {
                sink.arg(b"P");
                sink.number(batch.record_cell(at, *record).map_or(0, |cell| number_of(cell + 1)));
                sink.arg(prefix.as_bytes());
                sink.number((*factor).into());
                sink.arg(member.as_bytes());
                sink.arg(fin);
                match fallback {
                    Some(limit) => write_limit(limit, sink),
                    None => (0..4).for_each(|_| sink.arg(b"")),
                }
            }
            Op::Get { key } => {
                sink.key(key.as_bytes());
                sink.arg(b"G");
            }
            Op::Watch { key, seen } => {
                sink.key(key.as_bytes());
                sink.arg(b"V");
                sink.number(*seen);
                sink.number(number_of(batch.width()));
            }
            Op::Replace { key, seen, value } => {
                sink.key(key.as_bytes());
                sink.arg(b"X");
                sink.number(*seen);
                sink.arg(value.as_bytes());
            }
            Op::Workers { snapshot, index, max } => {
                sink.key(snapshot.as_bytes());
                sink.key(index.as_bytes());
                sink.arg(b"K");
                sink.arg(worker_base(index).as_bytes());
                sink.number((*max).into());
            }
            Op::Hash { key, max } => {
                sink.key(key.as_bytes());
                sink.arg(b"A");
                sink.number((*max).into());
            }
            _ => write_change(op, sink),
        }
    }
}

/// The operations that answer nothing.
fn write_change(op: &Op, sink: &mut impl Sink) {
    match op {
        Op::Refund { key, member } => {
            sink.key(key.as_bytes());
            sink.arg(b"U");
            sink.arg(member.as_bytes());
        }
        Op::Set { key, value, ttl_ms, only_new } => {
            sink.key(key.as_bytes());
            sink.arg(b"T");
            let as_text = sink.value(value);
            write_ttl(*ttl_ms, sink);
            sink.arg(match (as_text, *only_new) {
                (false, false) => b"0",
                (false, true) => b"1",
                (true, false) => b"2",
                (true, true) => b"3",
            });
        }
        Op::SetHash { key, fields, ttl_ms, only_new } => {
            sink.key(key.as_bytes());
            sink.arg(b"H");
            write_ttl(*ttl_ms, sink);
            sink.arg(if *only_new { b"1" } else { b"0" });
            sink.number(number_of(fields.len()));
            for (name, value) in fields {
                sink.arg(name.as_bytes());
                sink.arg(value.as_bytes());
            }
        }
        Op::Field { key, field } => {
            sink.key(key.as_bytes());
            sink.arg(b"E");
            sink.arg(field.as_bytes());
        }
        Op::Amend { key, fields, create, max, life } => {
            sink.key(key.as_bytes());
            sink.arg(b"M");
            sink.arg(if *create { b"1" } else { b"0" });
            sink.number((*max).into());
            match life {
                Life::AsBefore => sink.arg(b"="),
                Life::Forever => sink.arg(b""),
                Life::Ms(ttl_ms) => sink.number(clamped_ttl(*ttl_ms)),
            }
            sink.number(number_of(fields.len()));
            for (name, value) in fields {
                sink.arg(name.as_bytes());
                sink.arg(if value.is_some() { b"1" } else { b"0" });
                sink.arg(value.as_deref().unwrap_or_default().as_bytes());
            }
        }
        Op::Tally { key, adds, max, ttl_ms } => {
            sink.key(key.as_bytes());
            sink.arg(b"C");
            sink.number(clamped_ttl(*ttl_ms));
            sink.number((*max).into());
            sink.number(number_of(adds.len()));
            for add in adds {
                sink.arg(add.field.as_bytes());
                sink.arg(add.spill.as_bytes());
                sink.number(add.by.min(i64::MAX.unsigned_abs()));
            }
        }
        Op::Delete { key } => {
            sink.key(key.as_bytes());
            sink.arg(b"D");
        }
        Op::Publish { channel, message } => {
            sink.key(channel.as_bytes());
            sink.arg(b"N");
            sink.arg(message.as_bytes());
        }
        Op::Index { key, member, max, remove } => {
            sink.key(key.as_bytes());
            sink.arg(b"I");
            sink.arg(member.as_bytes());
            sink.number((*max).into());
            sink.arg(if *remove { b"1" } else { b"0" });
        }
        // INVARIANT: `write` handles every operation that answers.
        _ => {}
    }
}

fn write_limit(limit: &LimitSpec, sink: &mut impl Sink) {
    sink.key(limit.key.as_bytes());
    sink.arg(match limit.algorithm {
        Algorithm::SlidingWindow => b"W",
        Algorithm::SlidingLog => b"L",
        Algorithm::TokenBucket => b"B",
        Algorithm::FixedWindow => b"F",
    });
    sink.number(limit.limit.into());
    sink.number(clamped_window(limit.window_ms));
    sink.number(limit.cost.into());
}

fn write_ttl(ttl_ms: Option<u64>, sink: &mut impl Sink) {
    match ttl_ms {
        Some(ttl) => sink.number(clamped_ttl(ttl)),
        None => sink.arg(b""),
    }
}

/// The start of the worker keys, from the key of their index: `worker:index` gives `worker:`.
pub(super) fn worker_base(index: &str) -> &str {
    index.strip_suffix("index").unwrap_or(index)
}

/// Windows are 1 ms to 2^32 - 1 ms (49 days): more would leave the integers that Lua holds exactly.
pub(super) fn clamped_window(window_ms: u64) -> u64 {
    window_ms.clamp(1, u32::MAX.into())
}

/// A time to live of 0 is an error to Redis.
pub(super) fn clamped_ttl(ttl_ms: u64) -> u64 {
    ttl_ms.clamp(1, MAX_MS)
}

fn number_of(count: usize) -> u64 {
    count.try_into().unwrap_or(u64::MAX)
}

impl Batch {
    /// The time as the script counts it.
    pub(super) fn clamped_now(&self) -> u64 {
        self.now_ms.min(MAX_MS)
    }

    /// Index of the operation at which the `together` spends are judged and counted.
    pub(super) fn last_together(&self) -> Option<usize> {
        self.ops.iter().rposition(Op::is_together)
    }

    /// The first cell of an operation.
    pub(super) fn cell_of(&self, op: usize) -> usize {
        self.ops.iter().take(op).map(Op::width).sum()
    }

    /// The first cell of the [`Op::Record`] at `record`, if that is one and stands before `at`.
    pub(super) fn record_cell(&self, at: usize, record: usize) -> Option<usize> {
        (record < at && matches!(self.ops.get(record), Some(Op::Record { .. }))).then(|| self.cell_of(record))
    }

    /// Resolves the guard of the operation at `at`.
    pub(super) fn test(&self, at: usize, guard: Guard) -> Test {
        let (op, equals, worker) = match guard {
            Guard::Always => return Test::Always,
            Guard::IfLive(op) => (op, 1, false),
            Guard::UnlessLive(op) => (op, 0, false),
            Guard::IfWorkerMatches(op) => (op, 1, true),
            Guard::IfWorkerDiffers(op) => (op, 2, true),
            Guard::IfWorkerUnknown(op) => (op, 0, true),
        };
        let found = match self.ops.get(op) {
            Some(Op::Record { .. }) => !worker,
            Some(Op::WorkerRecord { .. }) => worker,
            _ => false,
        };
        if found && op < at { Test::Cell { cell: self.cell_of(op), equals } } else { Test::Never }
    }
}

impl Op {
    /// Whether this is counted only if all others like it are.
    pub(super) fn is_together(&self) -> bool {
        matches!(self, Self::Spend { together: true, .. } | Self::SpendRecord { .. })
    }
}

impl Test {
    /// 4 x the script's cell number (from 1) + the value it must have; 0 always holds, 1 never.
    fn encoded(self) -> u64 {
        match self {
            Self::Always => 0,
            Self::Never => 1,
            Self::Cell { cell, equals } => number_of(cell + 1) * 4 + u64::from(equals),
        }
    }
}

impl Sink for Wire {
    fn key(&mut self, key: &[u8]) {
        bulk(key, &mut self.keys);
        self.key_count += 1;
    }

    fn arg(&mut self, arg: &[u8]) {
        bulk(arg, &mut self.args);
        self.arg_count += 1;
    }
}

impl Sink for Lists {
    fn key(&mut self, key: &[u8]) {
        self.keys.push(key.to_vec());
    }

    fn arg(&mut self, arg: &[u8]) {
        self.args.push(arg.to_vec());
    }

    fn value(&mut self, value: &[u8]) -> bool {
        let as_text = self.only_text && core::str::from_utf8(value).is_err();
        self.args.push(if as_text { text_of(value) } else { value.to_vec() });
        as_text
    }
}

/// Of the keys, or of the arguments, of a request's batch.
const USUAL_BYTES: usize = 512;

/// Latest moment and longest time to live: 10^15 ms, some 31,000 years, and far below 2^53.
const MAX_MS: u64 = 1_000_000_000_000_000;
