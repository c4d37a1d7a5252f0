//! Which limits a request spends from, and under which keys.

use alloc::{borrow::Cow, format, string::String, vec::Vec};

use super::{Asked, Named, RateLimit};
use crate::{
    config::{LimitBy, RouteLimit},
    flow::{Flow, Subject},
    hex::hex,
    http::target,
    request::Request,
    routes::RouteKind,
    store::{Ask, Guard, LimitSpec},
};

impl RateLimit {
    /// Asks for all of them.
    pub(super) fn ask(&self, flow: &Flow, ask: &mut Ask) -> Vec<Asked> {
        let mut asking = Asking { limits: self, flow, ask, asked: Vec::new() };
        asking.usual();
        asking.named();
        asking.asked
    }
}

/// One request's spends while they are collected.
struct Asking<'r> {
    limits: &'r RateLimit,
    flow: &'r Flow,
    ask: &'r mut Ask,
    asked: Vec<Asked>,
}

impl Asking<'_> {
    fn request(&self) -> &Request {
        &self.flow.request
    }

    /// The default limit, or what the route or the credential's record has in its place.
    fn usual(&mut self) {
        let Some((bucket, limit)) = self.bucket() else { return };
        let keys = &self.limits.keys;
        let request = &self.flow.request;
        let stored = &request.presented.stored;
        match self.flow.subject {
            Subject::Address => {
                let key = keys.by_address(request.client, &bucket);
                self.spend(bucket, limit.map(|limit| limit.at(key)), Guard::Always);
            }
            Subject::Configured => {
                let key = keys.by_credential(stored, &bucket);
                self.spend(bucket, limit.map(|limit| limit.at(key)), Guard::Always);
            }
            Subject::Record(record) => {
                let key = keys.by_credential(stored, &bucket);
                let factor = request.route.limit_factor;
                // Polling has buckets of its own, also of the limits that a record carries.
                let prefix = keys.by_credential(stored, if factor > 1 { "poll:" } else { "" });
                let limit = limit.map(|limit| limit.at(key));
                // A route's own limit replaces the default one, not what the key was given.
                let replaced = request.route.limit.is_some();
                let fallback = limit.clone().filter(|_| !replaced);
                let slot = self.ask.spend_record(record, prefix, fallback, member(request), factor);
                let on_store_error = self.limits.on_store_error;
                self.asked.push(Asked { name: bucket.clone(), slot, on_store_error });
                self.spend(bucket, limit.filter(|_| replaced), Guard::IfLive(record.op));
            }
            Subject::Worker(worker) => {
                let Some(limit) = limit else { return };
                // An unknown token proves no worker: those calls count by address.
                let of_worker = keys.by_worker(request.worker_id.as_deref().unwrap_or_default(), &bucket);
                let of_address = keys.by_address(request.client, &bucket);
                self.spend(
                    bucket.clone(),
                    Some(limit.clone().at(of_worker)),
                    Guard::IfWorkerMatches(worker.op),
                );
                self.spend(bucket, Some(limit.at(of_address)), Guard::IfWorkerUnknown(worker.op));
            }
        }
    }

    /// The bucket's name and numbers; no numbers where the route is unlimited.
    fn bucket(&self) -> Option<(Cow<'static, str>, Option<Numbers>)> {
        let route = &self.request().route;
        let default = &self.limits.default;
        let name = match (route.kind, self.flow.subject) {
            (RouteKind::Register, _) => "register",
            (RouteKind::RefreshToken, _) => "refresh",
            (RouteKind::Verify, _) => "verify",
            (_, Subject::Worker(_)) => "calls",
            _ if route.limit_factor > 1 => "poll",
            _ => "default",
        };
        let usual = Numbers {
            limit: default.max_requests.saturating_mul(route.limit_factor.max(1)),
            window_ms: default.window_ms,
            algorithm: default.algorithm,
        };
        let Some(RouteLimit { max_requests, window_ms, algorithm }) = route.limit else {
            return Some((name.into(), Some(usual)));
        };
        let limit = max_requests.map(|limit| Numbers {
            limit,
            window_ms: window_ms.unwrap_or(usual.window_ms),
            algorithm: algorithm.unwrap_or(usual.algorithm),
        });
        let name = format!("route:{}", route.pattern);
        Some((name.into(), limit))
    }

    fn spend(&mut self, name: Cow<'static, str>, limit: Option<LimitSpec>, guard: Guard) {
        let Some(limit) = limit else { return };
        let slot = self.ask.spend(limit, guard, member(self.request()), true);
        let on_store_error = self.limits.on_store_error;
        self.asked.push(Asked { name, slot, on_store_error });
    }

    /// `[[limits]]` whose pattern fits.
    fn named(&mut self) {
        if self.limits.named.is_empty() {
            return;
        }
        let path = target::read(&self.flow.request.head.uri).ok();
        let limits = self.limits;
        for (index, named) in limits.named.iter().enumerate() {
            if let Some(chosen) = self.flow.chosen_limits.iter().rev().find(|chosen| chosen.index == index) {
                self.named_one(named, chosen.cost);
                continue;
            }
            let fits = !named.limit.on_demand
                && match (&named.path, &path) {
                    (None, _) => true,
                    (Some(pattern), Some(path)) => pattern.matches(&path.decoded),
                    (Some(_), None) => false,
                };
            if fits {
                self.named_one(named, None);
            }
        }
    }

    fn named_one(&mut self, Named { limit, .. }: &Named, cost: Option<u32>) {
        let keys = &self.limits.keys;
        let request = &self.flow.request;
        // Apart from the names of records' limits, which are chosen by others.
        let name = format!("limits:{}", limit.name);
        let by_address = keys.by_address(request.client, &name);
        let by_route = keys.by_route(&request.route.pattern, &name);
        let by_key = || match self.flow.subject {
            Subject::Address => by_address.clone(),
            Subject::Configured | Subject::Record(_) => keys.by_credential(&request.presented.stored, &name),
            Subject::Worker(_) => keys.by_worker(request.worker_id.as_deref().unwrap_or_default(), &name),
        };
        let (known, unknown) = match limit.by {
            LimitBy::Key => (by_key(), by_address),
            LimitBy::Ip => (by_address.clone(), by_address),
            LimitBy::Route => (by_route.clone(), by_route),
        };
        let (window_ms, algorithm, cost) = (limit.window_ms, limit.algorithm, cost.unwrap_or(limit.cost));
        let named = || Cow::Owned(limit.name.clone());
        let spec = |key| LimitSpec { key, algorithm, limit: limit.limit, window_ms, cost };
        let first = self.asked.len();
        match self.flow.subject {
            Subject::Address | Subject::Configured => {
                self.spend(named(), Some(spec(known)), Guard::Always);
            }
            Subject::Record(record) => {
                self.spend(named(), Some(spec(known)), Guard::IfLive(record.op));
            }
            Subject::Worker(worker) => {
                self.spend(named(), Some(spec(known)), Guard::IfWorkerMatches(worker.op));
                self.spend(named(), Some(spec(unknown)), Guard::IfWorkerUnknown(worker.op));
            }
        }
        for asked in self.asked.iter_mut().skip(first) {
            asked.on_store_error = limit.on_store_error.unwrap_or(asked.on_store_error);
        }
    }
}

/// A limit without its key; one request costs one.
#[derive(Clone, Debug)]
struct Numbers {
    limit: u32,
    window_ms: u64,
    algorithm: crate::config::Algorithm,
}

impl Numbers {
    fn at(self, key: String) -> LimitSpec {
        let Self { limit, window_ms, algorithm } = self;
        LimitSpec { key, algorithm, limit, window_ms, cost: 1 }
    }
}

/// Fresh chance: a client chooses its own `X-Request-ID`.
fn member(request: &Request) -> String {
    hex(&request.facts.entropy.request)
}
