//! Processes of the function, as Lambda would start them.

use std::{process::Stdio, time::Duration};

use tokio::{
    process::{Child, Command},
    time::sleep,
};

/// One of them; it ends when dropped.
pub(crate) struct Function(Child);

impl Function {
    /// Starts one that asks this runtime API for its events.
    pub(crate) fn start(api: &str) -> Result<Self, String> {
        let program = super::place("ACIP_LAMBDA_BOOTSTRAP", "../function/bootstrap")?;
        Command::new(&program)
            .env("AWS_LAMBDA_RUNTIME_API", api)
            .env("AWS_LAMBDA_FUNCTION_NAME", "gateway")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "1")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "256")
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map(Self)
            .map_err(|error| format!("cannot start {program}: {error}; run `cargo xtask lambda build`"))
    }

    /// Its process id; none when it has ended.
    pub(crate) fn id(&self) -> Option<u32> {
        self.0.id()
    }
}

/// Waits until one of these has ended by itself: then nothing can be relied on.
pub(crate) async fn watch(mut functions: Vec<Function>) -> Result<(), String> {
    loop {
        for Function(child) in &mut functions {
            if let Ok(Some(status)) = child.try_wait() {
                return Err(format!("a process of the function ended ({status})"));
            }
        }
        sleep(LOOK).await;
    }
}

/// Between looks at them.
const LOOK: Duration = Duration::from_millis(100);
