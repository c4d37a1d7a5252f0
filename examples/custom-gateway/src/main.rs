//! `acip-gateway` with the plugin: every command as it was.

use std::process::ExitCode;

fn main() -> ExitCode {
    acip_gateway::plugins::register(custom_plugin::plugins);
    acip_gateway::run()
}
