//! `acip-gateway` as its feature `components` makes it, for end-to-end tests. An example, for whoever builds all tests builds it
//! with them, from what is built already; and under a name of its own, for the plain gateway is tested beside it.

use std::process::ExitCode;

fn main() -> ExitCode {
    acip_gateway::plugins::register(acip_components::plugins);
    acip_gateway::run()
}
