//! Which build is under test, how it reaches Redis, and what a build cannot do.
//!
//! `ACIP_TARGET` and `ACIP_TRANSPORT` say so for a whole run; `cargo xtask test` runs the suites once for each. A test that needs
//! what a target lacks begins with `if !supported(&[Feature::…]) { return; }`. Each [`Feature`] stands in `docs/targets.md`.

use std::{path::PathBuf, process::Command};

use crate::{gateway_binary, root};

/// A build of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The server `acip-gateway`.
    Native,
    /// The Cloudflare Worker, on workerd.
    Worker,
    /// The Spin component, in the test host.
    Spin,
    /// The Lambda function, behind an emulator of the Lambda APIs.
    Lambda,
}

/// How the gateway reaches Redis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// RESP: over TCP, or through the platform's own client.
    Tcp,
    /// HTTP, through `acip-gateway redis-rest`.
    Rest,
}

/// What some target lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// The native server's own: command line, signals, a file that is read again.
    Process,
    /// The gateway ends TLS itself.
    Tls,
    /// The gateway reads the bytes of HTTP itself, so that malformed ones are its business.
    Wire,
    /// HTTP/2 from clients without TLS.
    H2c,
    /// WebSocket upgrades pass.
    Upgrades,
    /// All requests of a gateway see one memory, without a Redis.
    SharedMemory,
    /// Origins are looked after between requests.
    ActiveChecks,
    /// Request bodies are streamed, and may be large.
    StreamedUploads,
    /// The client's address is the other end of the connection, so that tests can send from several.
    PeerAddress,
    /// Redis is reached by its own protocol.
    Resp,
}

impl Target {
    /// The one under test.
    ///
    /// # Panics
    /// Where `ACIP_TARGET` is none of ours.
    pub fn current() -> Self {
        match std::env::var("ACIP_TARGET").as_deref() {
            Err(_) | Ok("native") => Self::Native,
            Ok("worker") => Self::Worker,
            Ok("spin") => Self::Spin,
            Ok("lambda") => Self::Lambda,
            Ok(other) => panic!("ACIP_TARGET=`{other}`: write native, worker, spin or lambda"),
        }
    }

    /// Its name, as `ACIP_TARGET` spells it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Worker => "worker",
            Self::Spin => "spin",
            Self::Lambda => "lambda",
        }
    }

    /// The command that serves it: takes the gateway's variables from its environment, prints
    /// `"address":"127.0.0.1:PORT"`, and ends with all its children on SIGTERM.
    pub(crate) fn launcher(self) -> Command {
        match self {
            Self::Native => {
                let mut command = Command::new(gateway_binary());
                command.arg("serve");
                command
            }
            Self::Worker => {
                let mut command = Command::new("node");
                command.arg(root().join("targets/cloudflare/dev.mjs"));
                command
            }
            Self::Spin => Command::new(built("ACIP_SPIN_HOST", "target/e2e/acip-spin-host")),
            Self::Lambda => Command::new(built("ACIP_LAMBDA_HOST", "target/e2e/acip-lambda-host")),
        }
    }
}

impl Transport {
    /// The one under test.
    ///
    /// # Panics
    /// Where `ACIP_TRANSPORT` is none of ours.
    pub fn current() -> Self {
        match std::env::var("ACIP_TRANSPORT").as_deref() {
            Err(_) | Ok("tcp") => Self::Tcp,
            Ok("rest") => Self::Rest,
            Ok(other) => panic!("ACIP_TRANSPORT=`{other}`: write tcp or rest"),
        }
    }
}

impl Feature {
    /// Why it is missing there; none where it is not.
    pub fn missing(self, target: Target, transport: Transport) -> Option<&'static str> {
        use Target::{Lambda, Native, Spin, Worker};
        match (self, target) {
            (Self::Resp, _) => (transport == Transport::Rest).then_some("Redis is reached over HTTP"),
            (_, Native) => None,
            (Self::Process, _) => Some("the platform has its own command line and configuration"),
            (Self::Tls, _) => Some("the platform ends TLS"),
            (Self::Wire | Self::H2c, _) => Some("the platform reads HTTP"),
            (Self::Upgrades, Worker) => None,
            (Self::Upgrades, Spin | Lambda) => Some("the platform passes no upgrades"),
            (Self::SharedMemory, _) => Some("each instance has a memory of its own"),
            (Self::ActiveChecks, _) => Some("nothing runs between requests"),
            (Self::StreamedUploads, Lambda) => Some("request bodies are one event of at most 6 MB"),
            (Self::StreamedUploads, _) => None,
            (Self::PeerAddress, _) => Some("the platform says who the client is"),
        }
    }
}

/// Whether the build under test has all of these; says why where it has not.
pub fn supported(features: &[Feature]) -> bool {
    let (target, transport) = (Target::current(), Transport::current());
    for feature in features {
        if let Some(reason) = feature.missing(target, transport) {
            println!("skipped on {}: {feature:?}: {reason}", target.name());
            return false;
        }
    }
    true
}

fn built(variable: &str, path: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| root().join(path), PathBuf::from)
}
