//! What a shell tells the core about the moment of a request: time, chance and place as values.

use alloc::{string::String, vec::Vec};
use core::net::IpAddr;

use crate::origins::OriginView;

/// The moment of one request.
#[derive(Clone, Debug)]
pub struct Facts {
    /// Wall clock, unix milliseconds.
    pub now_ms: u64,
    /// Monotonic clock of this process, microseconds.
    pub mono_us: u64,
    /// Fresh random bytes: request id, trace id, span id, draws.
    pub entropy: Entropy,
    /// Who is at the other end of the connection.
    pub peer: Peer,
    /// What the platform says of the client (never read from a header that a client could have sent).
    pub hints: Hints,
    /// Load and health of each origin, by [`crate::origins::OriginId`].
    pub origins: Vec<OriginView>,
    /// How many requests of this process have gone to an origin (see [`crate::Step::takes_turn`]); drives
    /// strategies that take turns.
    pub turn: u64,
    /// Whether this build can pass WebSocket upgrades.
    pub can_upgrade: bool,
    /// Whether the process is draining: readiness is false.
    pub draining: bool,
    /// The target's name, where no process lives long enough to be asked what it has counted and how its store is: then the
    /// store keeps the counters of all instances, and the pages that tell of it ask it themselves. None: this process knows.
    pub fleet: Option<&'static str>,
    /// Which stored changes of the configuration this build has seen (see [`crate::control`]), so that the store can say if
    /// there are others; none: it does not follow them on requests.
    pub seen: Option<u64>,
}

impl Facts {
    /// Of a plain connection from `ip` at `now_ms`, with nothing else known and no chance: where to start for whoever drives the
    /// core without a platform.
    pub fn at(now_ms: u64, ip: IpAddr) -> Self {
        Self {
            now_ms,
            mono_us: 0,
            entropy: Entropy::default(),
            peer: Peer { ip, tls: false },
            hints: Hints::default(),
            origins: Vec::new(),
            turn: 0,
            can_upgrade: false,
            draining: false,
            fleet: None,
            seen: None,
        }
    }
}

/// 48 random bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entropy {
    /// For the request id (UUIDv7 uses 10).
    pub request: [u8; 16],
    /// For the trace id.
    pub trace: [u8; 16],
    /// For the span id.
    pub span: [u8; 8],
    /// For choices among origins.
    pub draw: u64,
}

impl Entropy {
    /// Divides random bytes among the purposes.
    pub fn from_bytes(bytes: [u8; 48]) -> Self {
        let mut entropy = Self::default();
        let mut draw = [0; 8];
        let mut rest = bytes.as_slice();
        for part in [&mut entropy.request[..], &mut entropy.trace, &mut entropy.span, &mut draw] {
            if let Some((bytes, more)) = rest.split_at_checked(part.len()) {
                part.copy_from_slice(bytes);
                rest = more;
            }
        }
        entropy.draw = u64::from_le_bytes(draw);
        entropy
    }
}

/// The connection's other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Its address; IPv4-mapped IPv6 already unmapped.
    pub ip: IpAddr,
    /// Whether the connection is encrypted.
    pub tls: bool,
}

/// What the platform knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// A country code, colo or cloud region, as the platform spells it; several stand in order, with commas between them,
    /// and the first that has a region counts.
    pub region: Option<String>,
    /// The client's address where the platform vouches for it (edge builds).
    pub client: Option<IpAddr>,
}
