//! `cargo xtask bench …`: speed as ratios measured in one run, against real rivals on the same machine.

mod bridge;
mod lambda;
mod quick;
mod spin;
mod stage;
mod telemetry;

/// The benches.
#[derive(clap::Subcommand)]
pub(crate) enum Bench {
    /// One gateway thread against nginx `proxy_pass` and nginx + Lua + Redis, wrk with 32 connections
    Quick {
        /// Seconds per measurement
        #[arg(long, default_value_t = 4)]
        seconds: u64,
        /// Measurements per contestant; the median counts
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// One thread of `redis-rest`, `GET key`, against nginx `proxy_pass`; then 10,000 idle connections
    Bridge {
        /// Seconds per measurement
        #[arg(long, default_value_t = 4)]
        seconds: u64,
        /// Measurements per contestant; the median counts
        #[arg(long, default_value_t = 3)]
        rounds: usize,
    },
    /// The Lambda function alone: from its start to its first byte, and from an event to that
    Lambda {
        /// Requests to each process once it is warm
        #[arg(long, default_value_t = 200)]
        requests: usize,
        /// Processes that are started
        #[arg(long, default_value_t = 20)]
        rounds: usize,
    },
    /// The Spin component against the native server: a request in an instance that lives, and in one made for it
    Spin {
        /// Requests per measurement
        #[arg(long, default_value_t = 300)]
        requests: usize,
        /// Measurements per contestant; the median counts
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
    /// What metrics, the access log and traces cost: one gateway thread with and without them
    Telemetry {
        /// Seconds per measurement
        #[arg(long, default_value_t = 4)]
        seconds: u64,
        /// Measurements per contestant; the median counts
        #[arg(long, default_value_t = 5)]
        rounds: usize,
    },
}

/// Runs a bench; an error is a mark that was missed, or a contestant that did not start.
pub(crate) fn run(bench: &Bench) -> Result<(), String> {
    match bench {
        Bench::Quick { seconds, rounds } => quick::measure(*seconds, *rounds),
        Bench::Bridge { seconds, rounds } => bridge::measure(*seconds, *rounds),
        Bench::Lambda { requests, rounds } => lambda::measure(*requests, *rounds),
        Bench::Spin { requests, rounds } => spin::measure(*requests, *rounds),
        Bench::Telemetry { seconds, rounds } => telemetry::measure(*seconds, *rounds),
    }
}
