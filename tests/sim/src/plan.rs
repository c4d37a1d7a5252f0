//! What a seed stands for: the fleet, its limits, and what befalls it when.

use acip_core::config::Algorithm;

use crate::chance::Chance;

/// All that is decided before anything happens.
pub(crate) struct Plan {
    /// For clients, the network, and so on: each draws from its own.
    pub(crate) chance: Chance,
    pub(crate) gateways: Vec<Site>,
    pub(crate) origins: usize,
    pub(crate) algorithm: Algorithm,
    /// Of each key, per [`WINDOW_MS`].
    pub(crate) limit: u32,
    pub(crate) strict_ownership: bool,
    /// Store messages lost, per mille.
    pub(crate) loss: u64,
    /// Longest way of a store message, microseconds; now and then ten times that.
    pub(crate) latency_us: u64,
    /// How far the replica is behind.
    pub(crate) lag_us: u64,
    pub(crate) requests: u64,
    /// When something happens, true time.
    pub(crate) events: Vec<(u64, Befalls)>,
}

/// What a gateway is.
#[derive(Clone, Copy)]
pub(crate) struct Site {
    /// How its clock differs from true time.
    pub(crate) ahead_ms: u64,
    pub(crate) target: Target,
}

/// What it is built for, which says how long its instances live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// One process, all the time.
    Native,
    /// Some isolates, any of which takes a request; now and then the platform ends one.
    Worker,
    /// An instance for each request.
    Spin,
    /// A process for each request at a time, frozen until there is another.
    Lambda,
}

impl Target {
    /// What counters in the store are named after; none where the process counts.
    pub(crate) fn fleet(self) -> Option<&'static str> {
        match self {
            Self::Native => None,
            Self::Worker => Some("cloudflare"),
            Self::Spin => Some("spin"),
            Self::Lambda => Some("lambda"),
        }
    }
}

/// What befalls the fleet.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Befalls {
    /// The store is away for so long (ms), and has forgotten everything or nothing.
    Restart { away_ms: u64, forgets: bool },
    /// The replica takes over; what it had not heard of is lost.
    Failover,
    /// An origin is away for so long (ms).
    OriginDies { origin: usize, away_ms: u64, rude: bool },
    /// A gateway gets the other document.
    Reload { gateway: usize },
    /// A key is switched off in the store.
    Revoke { key: usize },
    /// An administrator changes the stored configuration through a gateway.
    Change { gateway: usize },
}

/// Clocks are ahead of true time by less than this: the differences between them are what counts.
pub(crate) const MAX_SKEW_MS: u64 = 400;
/// Length of a limit's window.
pub(crate) const WINDOW_MS: u64 = 2_000;
/// How long clients go on, ms.
pub(crate) const LASTS_MS: u64 = 12_000;

impl Plan {
    pub(crate) fn new(seed: u64) -> Self {
        let chance = Chance::new(seed);
        let skewed = chance.per_mille(600);
        let site = |_| Site {
            ahead_ms: if skewed { chance.between(0, MAX_SKEW_MS) } else { 0 },
            target: *chance.of(&[Target::Native, Target::Worker, Target::Spin, Target::Lambda]),
        };
        let gateways: Vec<Site> = (0..chance.between(2, 5)).map(site).collect();
        let origins = usize::try_from(chance.between(1, 4)).unwrap_or(1);
        let calm = chance.per_mille(250);
        let mut plan = Self {
            algorithm: *chance.of(&[
                Algorithm::SlidingWindow,
                Algorithm::SlidingLog,
                Algorithm::TokenBucket,
                Algorithm::FixedWindow,
            ]),
            limit: u32::try_from(chance.between(1, 12)).unwrap_or(1),
            strict_ownership: chance.per_mille(500),
            loss: if calm { 0 } else { chance.between(0, 60) },
            latency_us: chance.between(200, 8_000),
            lag_us: chance.between(1_000, 300_000),
            requests: chance.between(80, 220),
            events: Vec::new(),
            gateways,
            origins,
            chance: chance.fork(),
        };
        let mut befalls = |what| plan.events.push((chance.between(500, LASTS_MS), what));
        for _ in 0..if calm { 0 } else { chance.between(0, 3) } {
            befalls(Befalls::Restart { away_ms: chance.between(10, 2_500), forgets: chance.per_mille(500) });
        }
        if !calm && chance.per_mille(400) {
            befalls(Befalls::Failover);
        }
        for _ in 0..chance.between(0, 4) {
            let origin = usize::try_from(chance.between(0, origins as u64)).unwrap_or_default();
            let away_ms = chance.between(50, 4_000);
            befalls(Befalls::OriginDies { origin, away_ms, rude: chance.per_mille(500) });
        }
        for _ in 0..chance.between(0, 4) {
            let gateway = usize::try_from(chance.draw() % plan.gateways.len() as u64).unwrap_or_default();
            befalls(Befalls::Reload { gateway });
        }
        for key in 0..crate::client::KEYS.len() {
            if chance.per_mille(300) {
                befalls(Befalls::Revoke { key });
            }
        }
        for _ in 0..chance.between(0, 4) {
            let gateway = usize::try_from(chance.draw() % plan.gateways.len() as u64).unwrap_or_default();
            plan.events.push((chance.between(500, LASTS_MS), Befalls::Change { gateway }));
        }
        plan.events.sort_by_key(|(at, _)| *at);
        plan
    }
}
