//! Runtimes of one thread, and hyper's tasks on the thread they were born on.

use std::{future::Future, io};

use tokio::runtime::{Builder, LocalOptions, LocalRuntime};

/// A runtime whose tasks never leave the calling thread.
///
/// # Errors
/// The system gives no poller or timer.
pub fn local() -> io::Result<LocalRuntime> {
    Builder::new_current_thread().enable_all().build_local(LocalOptions::default())
}

/// Spawns on the current [`LocalRuntime`].
#[derive(Clone, Copy, Debug)]
pub struct Local;

impl<F> hyper::rt::Executor<F> for Local
where
    F: Future + 'static,
    F::Output: 'static,
{
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}
