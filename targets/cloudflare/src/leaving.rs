//! Clients that leave: the request's signal as a future, and the promise that keeps a request's tasks alive meanwhile.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use js_sys::{Function, Promise};
use wasm_bindgen::{JsCast as _, JsValue, closure::Closure};

/// Completes when the client has left.
pub(crate) struct Leaving {
    signal: web_sys::AbortSignal,
    shared: Rc<Shared>,
    _told: Closure<dyn FnMut()>,
}

#[derive(Default)]
struct Shared {
    gone: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Leaving {
    /// Of a request's signal.
    pub(crate) fn of(signal: web_sys::AbortSignal) -> Self {
        let shared = Rc::<Shared>::default();
        shared.gone.set(signal.aborted());
        let told = Rc::clone(&shared);
        let told = Closure::<dyn FnMut()>::new(move || {
            told.gone.set(true);
            if let Some(waker) = told.waker.take() {
                waker.wake();
            }
        });
        signal.set_onabort(Some(told.as_ref().unchecked_ref()));
        Self { signal, shared, _told: told }
    }
}

impl Future for Leaving {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.shared.gone.get() {
            return Poll::Ready(());
        }
        *self.shared.waker.borrow_mut() = Some(cx.waker().clone());
        Poll::Pending
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        self.signal.set_onabort(None);
    }
}

/// Keeps a request's tasks alive until it is dropped.
pub(crate) struct Held {
    done: Option<Function>,
}

impl Held {
    /// For one request.
    pub(crate) fn new(context: &worker::Context) -> Self {
        let mut done = None;
        let promise = Promise::new(&mut |resolve, _| done = Some(resolve));
        // Fails only after the request's end.
        let _ = context.as_ref().wait_until(&promise);
        Self { done }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(done) = &self.done {
            let _ = done.call0(&JsValue::UNDEFINED);
        }
    }
}
