//! Choices among a few words: each has its names, is read from one and shows as one.

use alloc::borrow::ToOwned;
use serde_json::Value;

use super::{
    kind::Kind,
    knob::{Flaw, Knob},
    model::{
        Algorithm, CacheBackend, JobOwnership, LimitBy, LogFormat, LogLevel, OnStoreError, OtlpProtocol,
        RouteAuth, Sampler, Strategy, WorkerTokens, WorkersFormat,
    },
};
use crate::plugin::OnError;

macro_rules! words {
    ($($Type:ident { $($Variant:ident = $word:literal),+ $(,)? })+) => {
        $(impl $Type {
            /// The accepted words, in the order of the documentation.
            pub const NAMES: &'static [&'static str] = &[$($word),+];

            /// Its word in documents, metrics and store keys.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$Variant => $word),+ }
            }

            /// The value of a word; words are lower case.
            pub fn from_name(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$Variant),)+ _ => None }
            }
        }

        impl Knob for $Type {
            fn read(parts: &[&str], kind: Kind) -> Result<Self, Flaw> {
                let word = parts.first().map(|word| word.to_ascii_lowercase());
                word.and_then(|word| Self::from_name(&word)).ok_or_else(|| Flaw::new(kind.accepts()))
            }

            fn show(&self) -> Value {
                Value::String(self.name().to_owned())
            }
        })+
    };
}

words! {
    OnError { Allow = "allow", Deny = "deny" }
    OnStoreError { Allow = "allow", Deny = "deny", Local = "local" }
    WorkerTokens { Learn = "learn", Strict = "strict" }
    JobOwnership { Learned = "learned", Strict = "strict", Off = "off" }
    Algorithm {
        SlidingWindow = "sliding-window",
        SlidingLog = "sliding-log",
        TokenBucket = "token-bucket",
        FixedWindow = "fixed-window",
    }
    Strategy {
        RoundRobin = "round-robin",
        LeastConnections = "least-connections",
        RegionAffinity = "region-affinity",
        Weighted = "weighted",
        P2cEwma = "p2c-ewma",
        ConsistentHash = "consistent-hash",
    }
    CacheBackend { Store = "store", Memory = "memory" }
    LogLevel { Error = "error", Warn = "warn", Info = "info", Debug = "debug", Trace = "trace" }
    Sampler {
        AlwaysOn = "always_on",
        AlwaysOff = "always_off",
        Ratio = "traceidratio",
        ParentBasedAlwaysOn = "parentbased_always_on",
        ParentBasedAlwaysOff = "parentbased_always_off",
        ParentBasedRatio = "parentbased_traceidratio",
    }
    OtlpProtocol { Json = "http/json", Protobuf = "http/protobuf" }
    LogFormat { Json = "json", Pretty = "pretty" }
    WorkersFormat { Gateway = "gateway", Backend = "backend" }
    LimitBy { Key = "key", Ip = "ip", Route = "route" }
    RouteAuth { Open = "open", ApiKey = "api-key", Worker = "worker", Admin = "admin" }
}
