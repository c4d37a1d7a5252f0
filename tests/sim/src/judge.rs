//! What must hold whatever happens.

use std::collections::BTreeMap;

use http::Method;
use serde_json::Value;

use crate::{
    client::{CONTROLS, DOCUMENT_KEY, Fleet, KEYS, START_MS, bounds, tenant_of},
    plan::{MAX_SKEW_MS, WINDOW_MS},
    ports::{Asked, By, TIMEOUT_US},
    world::World,
};

/// A rule that was broken.
#[derive(Clone, Debug)]
pub struct Wrong {
    /// Which one.
    pub rule: &'static str,
    /// How.
    pub how: String,
}

/// One answer as the client has it, with what only the world knows.
pub(crate) struct Answer {
    pub(crate) number: u64,
    pub(crate) gateway: usize,
    /// Which of its instances.
    pub(crate) life: usize,
    pub(crate) document: usize,
    pub(crate) key: &'static str,
    pub(crate) method: Method,
    pub(crate) path: String,
    /// True ms.
    pub(crate) began_ms: u64,
    /// The gateway's ms at that moment.
    pub(crate) local_ms: u64,
    pub(crate) answered_ms: u64,
    pub(crate) status: u16,
    pub(crate) cache: String,
    /// None where it broke off.
    pub(crate) body: Option<Vec<u8>>,
}

/// Where something was counted (none: in the store), of which key, kind of route and window.
type Counted = (Option<(usize, usize)>, &'static str, bool, u64);

/// Collects and compares.
#[derive(Default)]
pub(crate) struct Judge {
    pub(crate) wrong: Vec<Wrong>,
    pub(crate) counts: BTreeMap<String, u64>,
    pub(crate) transcript: String,
    /// What was admitted.
    admitted: BTreeMap<Counted, u64>,
}

impl Judge {
    pub(crate) fn wrong(&mut self, world: &World, rule: &'static str, how: &str) {
        self.wrong.push(Wrong { rule, how: format!("at {} ms: {how}", world.now_ms()) });
    }

    pub(crate) fn note(&mut self, what: &str) {
        *self.counts.entry(what.to_owned()).or_default() += 1;
    }

    pub(crate) fn answer(&mut self, fleet: &Fleet, answer: &Answer, asked: &Asked) {
        let Answer { number, gateway, key, method, path, status, cache, body, .. } = answer;
        let said = format!(
            "{number} gateway {gateway} {key} {method} {path}: {status} {cache} by {:?}",
            asked.by.get()
        );
        let shown = body.as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
        self.transcript.push_str(&format!("{} {said} {shown}\n", answer.answered_ms));
        self.note(&format!("{status} {cache}"));
        let mut wrong = |rule, why: &str| self.wrong(&fleet.world, rule, &format!("{said}: {why}"));
        let good = (200..300).contains(status);
        let json: Value = serde_json::from_str(&shown).unwrap_or_default();

        // Revocation.
        let by_store = asked.by.get() == By::Store;
        if good && by_store && asked.key.is_some() && !asked.live.get() {
            wrong("revocation from the next request", "the store had the key switched off");
        }
        if good && *key == DOCUMENT_KEY && answer.document == 1 {
            wrong("revocation from the next request", "the document in force has no such key");
        }
        if good && tenant_of(key).is_empty() {
            wrong("only known credentials pass", "nobody has this key");
        }
        if good && asked.key.is_some() && !by_store {
            wrong("a credential that nobody could check does not pass", "the store did not answer");
        }

        // Tenants.
        let told = |name: &str| json.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        if good && path.starts_with("/own/") && body.is_some() && told("key") != *key {
            wrong("tenants are apart", &format!("the answer was made for {}", told("key")));
        }
        if let Some(job) = &asked.job {
            let owner = asked.owner.borrow().clone();
            let foreign = owner.as_ref().is_some_and(|owner| owner != tenant_of(key).as_bytes());
            let unknown = owner.is_none() && fleet.plan.strict_ownership;
            if good && (foreign || unknown || !by_store) {
                wrong("jobs are their tenant's", &format!("{job} is {owner:?}'s in the store"));
            }
            // A body that broke off tells nothing.
            let read = good && method == Method::GET && body.is_some();
            if read && fleet.plan.strict_ownership && told("tenant") != tenant_of(key) {
                wrong("jobs are their tenant's", &format!("{job} is {}'s at the origin", told("tenant")));
            }
        }

        // Staleness.
        let control = path.rsplit('/').next().and_then(|last| last.parse::<usize>().ok());
        if let (Some((_, fresh_s, past_s)), Some(at), true) =
            (control.and_then(|index| CONTROLS.get(index)), json.get("at").and_then(Value::as_u64), good)
        {
            let age = answer.answered_ms.saturating_sub(at);
            // Clocks differ both ways, ages are told in whole seconds, and what is judged may still take a while.
            let slack = MAX_SKEW_MS + 1_000 + answer.answered_ms - answer.began_ms;
            let most = match cache.as_str() {
                "HIT" => fresh_s * 1_000 + slack,
                "STALE" if *past_s > 0 => (fresh_s + past_s) * 1_000 + slack,
                "STALE" => 0,
                _ => answer.answered_ms - answer.began_ms,
            };
            if age > most {
                wrong("nothing staler than allowed", &format!("{age} ms old, at most {most}"));
            }
        }

        // Limits: what was not refused was counted somewhere.
        if !matches!(status, 400 | 401 | 403 | 429 | 503) && asked.by.get() != By::Nobody {
            let place = (!by_store).then_some((*gateway, answer.life));
            let polls = method == Method::GET && asked.job.is_some();
            let counted = asked.counted_ms.get().filter(|_| by_store);
            let moment = counted.map_or(answer.local_ms, |moment| moment - START_MS);
            let window = moment / WINDOW_MS;
            *self.admitted.entry((place, *key, polls, window)).or_default() += 1;
        }
    }

    /// After all is over: limits, and what memory has grown to.
    pub(crate) fn limits(&mut self, fleet: &Fleet) {
        use acip_core::config::Algorithm;
        let limit = u64::from(fleet.plan.limit);
        let losses = fleet.redis.borrow().losses.clone();
        let mut found = Vec::new();
        for ((place, key, polls, window), count) in &self.admitted {
            let limit = if *polls { limit * 10 } else { limit };
            // A bucket may be full and fill once more within a window.
            let once = if fleet.plan.algorithm == Algorithm::TokenBucket { 2 * limit } else { limit };
            let (begins, ends) = (window * WINDOW_MS, (window + 1) * WINDOW_MS);
            let near = |at: u64| at + MAX_SKEW_MS >= begins && at <= ends + TIMEOUT_US / 1000;
            let lost = losses.iter().filter(|at| near(**at)).count() as u64;
            let most = match place {
                // Of its own clock alone.
                Some(_) => once,
                // However clocks differ: a limit has one clock, the latest of all that it has seen.
                None => once + lost * once,
            };
            if *count > most {
                let place =
                    place.map_or("the store".to_owned(), |place| format!("instance {place:?} by itself"));
                let how = format!("{place} admitted {count} of {key} in window {window}, at most {most}");
                found.push(how);
            }
        }
        for how in found {
            self.wrong(&fleet.world, "limits hold", &how);
        }
        let bounds = bounds();
        for (place, instance) in fleet.gateways.iter().enumerate() {
            for life in instance.lives.all() {
                let usage = life.memory.borrow().usage();
                let kept = usage.records <= bounds.records
                    && usage.limiters <= bounds.limiters
                    && usage.cache_entries <= bounds.cache_entries
                    && usage.strings <= bounds.strings;
                if !kept {
                    let how = format!("gateway {place} holds {usage:?}");
                    self.wrong(&fleet.world, "memory is bounded", &how);
                }
            }
        }
        let usage = fleet.redis.borrow().usage();
        // Each key has at most a path's entry per credential, a limit per kind, and a job an owner.
        if usage.cache_entries > CONTROLS.len() * (KEYS.len() + 3) {
            self.wrong(&fleet.world, "memory is bounded", &format!("the store holds {usage:?}"));
        }
    }
}
