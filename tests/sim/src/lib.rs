//! A fleet in one thread. Several gateways of any target mix, as the driver and the core are, share a store that is slow, loses messages,
//! restarts and fails over; their clocks differ, their origins die, their files and the stored configuration change, and clients of three tenants
//! send what they like. All of it comes from one seed, no time passes, and every answer is held against what
//! must hold whatever happens ([`Wrong`]).
//!
//! Start at [`run`]. [`world`] is time and tasks, [`redis`] the store, [`ports`] what a gateway sees of all this, [`plan`] what
//! a seed stands for, [`life`] how long instances of each target live, [`client`] who asks, [`control`] who changes the stored configuration, [`judge`] the rules.

mod chance;
mod client;
mod control;
mod judge;
mod life;
mod plan;
mod ports;
mod redis;
mod world;

use std::rc::Rc;

use sha2::{Digest as _, Sha256};

pub use judge::Wrong;
use plan::Plan;

/// What a run came to.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Requests answered, by what became of them.
    pub counts: std::collections::BTreeMap<String, u64>,
    /// SHA-256 over all answers in order: the same seed, the same bytes.
    pub digest: String,
    /// All answers in order.
    pub transcript: String,
    /// What must not be.
    pub wrong: Vec<Wrong>,
}

/// Runs a seed to its end.
pub fn run(seed: u64) -> Told {
    let fleet = Rc::new(client::Fleet::new(Plan::new(seed)));
    client::start(&fleet);
    let ended = fleet.world.run();
    let mut judge = fleet.judge.borrow_mut();
    if let Err(stuck) = ended {
        judge.wrong(&fleet.world, "a request hangs", &stuck);
    }
    judge.limits(&fleet);
    let digest = Sha256::digest(judge.transcript.as_bytes());
    let digest = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let judge = std::mem::take(&mut *judge);
    Told { counts: judge.counts, digest, transcript: judge.transcript, wrong: judge.wrong }
}
