//! Spends that are counted together or not at all.

use alloc::{borrow::Cow, string::String, vec::Vec};

use super::{
    super::{
        limiter::{Ask, LogView, Outcome, State},
        script::{Test, clamped_window},
    },
    Batch, Carried, Cell, Op, Row, json,
    keys::{Keys, Value},
};
use crate::{config::Algorithm, store::LimitSpec};

/// What a group of spends would count.
pub(super) struct Group<'b> {
    now: u64,
    judged: Vec<Judged>,
    pending: Vec<Pending<'b>>,
    refused: bool,
}

/// A judged limit, for the row.
struct Judged {
    cell: usize,
    limit: u64,
    window: u64,
    name: String,
    outcome: Outcome,
}

/// A limit's state as the group leaves it.
struct Pending<'b> {
    key: Cow<'b, str>,
    algorithm: Algorithm,
    window: u64,
    state: State,
    /// What stands at the key is of another shape.
    stale: bool,
    dirty: bool,
}

/// One limit to spend from.
struct Want<'a> {
    cell: usize,
    key: Cow<'a, str>,
    algorithm: Algorithm,
    limit: u64,
    window: u64,
    cost: u64,
    member: &'a str,
    name: String,
}

impl<'b> Group<'b> {
    pub(super) fn new(now: u64) -> Self {
        Self { now, judged: Vec::with_capacity(1), pending: Vec::with_capacity(1), refused: false }
    }

    /// Judges the spend at index `at` of the batch.
    pub(super) fn judge(&mut self, keys: &Keys, batch: &'b Batch, at: usize, row: &Row) {
        let cell = batch.cell_of(at);
        match batch.ops.get(at) {
            Some(Op::Spend { limit, guard, member, .. }) => {
                let holds = match batch.test(at, *guard) {
                    Test::Always => true,
                    Test::Never => false,
                    Test::Cell { cell, equals } => row.cells.get(cell) == Some(&Cell::Int(equals.into())),
                };
                if holds {
                    self.spend(keys, Want::new(cell, limit, member));
                }
            }
            Some(Op::SpendRecord { record, prefix, fallback, member, factor }) => {
                let record = batch.record_cell(at, *record).and_then(|cell| row.carried.get(&cell));
                if let Some(carried) = record {
                    let fallback = fallback.as_ref().map(|limit| Want::new(cell, limit, member));
                    self.carried(keys, carried, (cell, prefix, member, *factor), fallback);
                }
            }
            _ => {}
        }
    }

    fn carried(
        &mut self,
        keys: &Keys,
        carried: &Carried,
        (cell, prefix, member, factor): (usize, &str, &'b str, u32),
        fallback: Option<Want<'b>>,
    ) {
        let Some((limits, own)) = json::limits(&carried.limits, &carried.daily) else {
            let outcome = Outcome {
                admitted: false,
                before: 0,
                after: 0,
                reset: self.now + INVALID_MS,
                reset_before: 0,
                retry_after: INVALID_MS,
                next: None,
            };
            self.refused = true;
            self.judged.push(Judged { cell, limit: 0, window: INVALID_MS, name: "invalid".into(), outcome });
            return;
        };
        for json::Limit { name, limit, window, algorithm, cost } in limits {
            let limit = (limit * u64::from(factor)).min(u32::MAX.into());
            let key = Cow::Owned([prefix, &name].concat());
            self.spend(keys, Want { cell, key, algorithm, limit, window, cost, member, name });
        }
        if let Some(want) = fallback.filter(|_| own == 0) {
            self.spend(keys, want);
        }
    }

    fn spend(&mut self, keys: &Keys, want: Want<'b>) {
        let Want { cell, key, algorithm, limit, window, cost, member, name } = want;
        let ask = Ask { now: self.now, limit, window, cost };
        let outcome = if limit == 0 {
            Outcome::never(ask)
        } else {
            let log = match keys.value(&key) {
                Some(Value::Log { window: length, log }) if *length == window => Some(log),
                _ => None,
            };
            let pending = self.state(keys, key, algorithm, window);
            let last = if let State::Log(view) = &pending.state { view.last } else { 0 };
            let nth_oldest = |nth| log.and_then(|log| log.nth_oldest(nth, ask.now.max(last), window));
            let fixed = algorithm == Algorithm::FixedWindow;
            let outcome = pending.state.judge(ask, fixed, member, nth_oldest);
            if let Some(next) = &outcome.next {
                pending.state = next.clone();
                pending.dirty = true;
            }
            outcome
        };
        self.refused |= !outcome.admitted;
        self.judged.push(Judged { cell, limit, window, name, outcome });
    }

    /// The state of a limit as this group has left it, or as it stands in the store.
    fn state(
        &mut self,
        keys: &Keys,
        key: Cow<'b, str>,
        algorithm: Algorithm,
        window: u64,
    ) -> &mut Pending<'b> {
        let held = self.pending.iter().rposition(|pending| pending.key == key);
        let known = held.and_then(|at| self.pending.get(at));
        let same = known.is_some_and(|known| known.algorithm == algorithm && known.window == window);
        let at = match held {
            Some(at) if same => at,
            _ => {
                let mut stale = held.is_some();
                let mut state = State::fresh(algorithm);
                match keys.value(&key) {
                    _ if stale => {}
                    Some(Value::Log { window: length, log })
                        if algorithm == Algorithm::SlidingLog && *length == window =>
                    {
                        let last = log.last();
                        let used = log.used(self.now.max(last), window);
                        state = State::Log(LogView { last, used, kept: used, added: Vec::new() });
                    }
                    Some(Value::Limit { algorithm: had, window: length, state: found })
                        if *had == algorithm && *length == window =>
                    {
                        state = found.clone();
                    }
                    Some(_) => stale = true,
                    None => {}
                }
                self.pending.push(Pending { key, algorithm, window, state, stale, dirty: false });
                self.pending.len() - 1
            }
        };
        // INVARIANT: `at` is a place in `pending`, found or just filled.
        #[expect(clippy::indexing_slicing, reason = "see above")]
        &mut self.pending[at]
    }

    /// Counts if nothing was refused, and writes the tightest limit of each spend into its cells.
    pub(super) fn settle(self, keys: &mut Keys, cells: &mut [Cell]) {
        let Self { judged, pending, refused, .. } = self;
        let mut tightest: Vec<Judged> = Vec::with_capacity(judged.len());
        for judged in judged {
            match tightest.iter_mut().find(|held| held.cell == judged.cell) {
                None => tightest.push(judged),
                Some(held) if judged.tighter(held, refused) => *held = judged,
                Some(_) => {}
            }
        }
        for judged in tightest {
            let row = judged.row(refused);
            for (place, cell) in cells.iter_mut().skip(judged.cell).zip(row) {
                *place = cell;
            }
        }
        if !refused {
            pending.into_iter().filter(|pending| pending.dirty).for_each(|pending| pending.write(keys));
        }
    }
}

impl<'a> Want<'a> {
    fn new(cell: usize, spec: &'a LimitSpec, member: &'a str) -> Self {
        let LimitSpec { key, algorithm, limit, window_ms, cost } = spec;
        Self {
            cell,
            key: Cow::Borrowed(key),
            algorithm: *algorithm,
            limit: (*limit).into(),
            window: clamped_window(*window_ms),
            cost: (*cost).into(),
            member,
            name: String::new(),
        }
    }
}

impl Judged {
    fn left(&self, refused: bool) -> u64 {
        if refused && self.outcome.admitted { self.outcome.before } else { self.outcome.after }
    }

    fn tighter(&self, held: &Self, refused: bool) -> bool {
        match (self.outcome.admitted, held.outcome.admitted) {
            (true, true) => self.left(refused) < held.left(refused),
            (false, false) => self.outcome.retry_after > held.outcome.retry_after,
            (mine, _) => !mine,
        }
    }

    fn row(&self, refused: bool) -> [Cell; 7] {
        let Outcome { admitted, reset, reset_before, retry_after, .. } = self.outcome;
        let reset = if refused && admitted { reset_before } else { reset };
        let number = |value: u64| Cell::Int(i64::try_from(value).unwrap_or(i64::MAX));
        [
            Cell::Int(admitted.into()),
            number(self.limit),
            number(self.left(refused)),
            number(reset),
            number(retry_after),
            number(self.window),
            Cell::Bytes(self.name.clone().into()),
        ]
    }
}

impl Pending<'_> {
    fn write(self, keys: &mut Keys) {
        let Self { key, algorithm, window, state, stale, .. } = self;
        let expires = Some(keys.limit_expiry(window));
        let State::Log(view) = state else {
            return keys.put(&key, Value::Limit { algorithm, window, state }, expires);
        };
        let mut log = match keys.take(&key) {
            Some(Value::Log { log, .. }) if !stale => log,
            _ => super::log::Log::default(),
        };
        log.prune(view.last, window);
        for (member, units) in view.added {
            log.add(view.last, &member, units);
        }
        keys.put(&key, Value::Log { window, log }, expires);
    }
}

/// When to come back to a record whose limits make no sense: somebody has to mend it.
const INVALID_MS: u64 = 60_000;
