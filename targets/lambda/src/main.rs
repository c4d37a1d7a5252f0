//! The gateway as an AWS Lambda function: the program `bootstrap` of a custom runtime, behind a function URL, API Gateway
//! or an Application Load Balancer.
//!
//! An event becomes a request ([`event`]), the driver of `acip-shell` answers it over [`ports`], and [`answer`] gives the
//! response the shape that the caller of the function expects. [`invoke`] is one invocation from end to end; [`host`]
//! is what the process keeps between them, [`variables`] its configuration. Policy is the core's, connections are the
//! native build's.

mod answer;
mod event;
mod host;
mod invoke;
mod ports;
mod variables;

use std::process::ExitCode;

use lambda_runtime::{Error, LambdaEvent, Runtime, service_fn};
use tokio::task::LocalSet;

fn main() -> ExitCode {
    if std::env::var_os("AWS_LAMBDA_RUNTIME_API").is_none() {
        eprintln!(
            "this program runs in AWS Lambda; to try it here, run `cargo xtask lambda dev --port 3000`"
        );
        return ExitCode::FAILURE;
    }
    // One invocation at a time: one thread.
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(LocalSet::new().run_until(run())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the runtime API failed: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let invoker = invoke::Invoker::new(host::Host::open().await);
    // The layer takes the place of the crate's own handler, which would have to be `Send`, writes an origin's failure into
    // the body, and leaves no time between the end of a response and the next invocation.
    let unused = service_fn(async |_: LambdaEvent<()>| Ok::<(), Error>(()));
    Runtime::new(unused).layer(invoker).run().await
}
