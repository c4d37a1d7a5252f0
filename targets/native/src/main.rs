//! The binary `acip-gateway`: the command line over the server.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(feature = "components")]
    acip_gateway::plugins::register(acip_gateway::components::plugins);
    acip_gateway::run()
}
