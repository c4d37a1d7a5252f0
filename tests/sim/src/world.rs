//! Time and tasks. Time stands still while anything can go on, and then moves to the next timer.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

type Task = Pin<Box<dyn Future<Output = ()>>>;

/// One world; everything in it is on one thread.
#[derive(Default)]
pub(crate) struct World {
    now_us: Cell<u64>,
    timers: RefCell<BTreeSet<(u64, u64)>>,
    timer_ids: Cell<u64>,
    tasks: RefCell<Vec<Task>>,
}

impl World {
    /// True time since the start, which nobody in the world can read.
    pub(crate) fn now_us(&self) -> u64 {
        self.now_us.get()
    }

    pub(crate) fn now_ms(&self) -> u64 {
        self.now_us.get() / 1000
    }

    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + 'static) {
        self.tasks.borrow_mut().push(Box::pin(task));
    }

    pub(crate) fn sleep_us(self: &Rc<Self>, us: u64) -> Timer {
        let id = self.timer_ids.get();
        self.timer_ids.set(id + 1);
        let entry = (self.now_us() + us, id);
        self.timers.borrow_mut().insert(entry);
        Timer { world: Rc::clone(self), entry }
    }

    /// Until nothing is left to do.
    ///
    /// # Errors
    /// Something waits for what never comes.
    pub(crate) fn run(&self) -> Result<(), String> {
        let mut tasks: Vec<Task> = Vec::new();
        loop {
            // A task can wait for another one, so all are asked until none of them comes further.
            loop {
                tasks.append(&mut self.tasks.borrow_mut());
                let before = (tasks.len(), self.timer_ids.get());
                tasks.retain_mut(|task| {
                    task.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending()
                });
                let spawned = !self.tasks.borrow().is_empty();
                if !spawned && before == (tasks.len(), self.timer_ids.get()) {
                    break;
                }
            }
            if tasks.is_empty() {
                return Ok(());
            }
            let next = self.timers.borrow().first().copied();
            let Some((at, _)) = next else { return Err(format!("{} tasks wait for nothing", tasks.len())) };
            self.now_us.set(at.max(self.now_us()));
        }
    }
}

/// Goes off when time has moved far enough.
pub(crate) struct Timer {
    world: Rc<World>,
    entry: (u64, u64),
}

impl Drop for Timer {
    fn drop(&mut self) {
        self.world.timers.borrow_mut().remove(&self.entry);
    }
}

impl Future for Timer {
    type Output = ();
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.world.now_us() < self.entry.0 {
            return Poll::Pending;
        }
        // What is polled no more must not hold time back.
        self.world.timers.borrow_mut().remove(&self.entry);
        Poll::Ready(())
    }
}
