//! The binary `acip-gateway`: the command line over the server.

use std::process::ExitCode;

/// A request makes many small pieces and a few of kilobytes, and frees them all within a millisecond: half the time of the
/// system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    #[cfg(feature = "components")]
    acip_gateway::plugins::register(acip_gateway::components::plugins);
    acip_gateway::run()
}
