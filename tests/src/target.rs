//! Which build is under test, and how it reaches Redis. `ACIP_TARGET` and `ACIP_TRANSPORT` say so for a whole run; `cargo xtask
//! test` runs the suites once for each.

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

fn built(variable: &str, path: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| root().join(path), PathBuf::from)
}
