//! The event handler: opens the isolate's instance at its first request and serves with it from then on.

use std::{cell::OnceCell, pin::pin, rc::Rc};

use acip_shell::{Instance, Moment, Opened};
use futures_util::future::{Either, select};
use js_sys::{Array, Object, Reflect};
use wasm_bindgen::{JsCast as _, JsValue};
use worker::{Context, Env, event};

use crate::{
    incoming,
    leaving::{Held, Leaving},
    outgoing,
    ports::{WorkerPorts, now_ms},
    store::Store,
};

/// What the isolate keeps between requests: values alone, for what does I/O belongs to the request that made it.
pub(crate) struct Isolate {
    /// The gateway and what it has learned.
    pub(crate) instance: Instance,
    /// How the store is reached.
    pub(crate) store: Store,
    /// Where a defect is to be played, to see what it does to the requests beside it: `DEBUG_PANIC_PATH`.
    panic_path: Option<String>,
}

thread_local! {
    static ISOLATE: OnceCell<Rc<Isolate>> = const { OnceCell::new() };
}

/// A panic cannot be caught: what it says must be said before this instance is given up, and `entry.mjs` be told.
#[event(start)]
fn start() {
    std::panic::set_hook(Box::new(|info| {
        say(&info.to_string());
        let panicked = Reflect::get(&js_sys::global(), &"gatewayPanicked".into());
        if let Some(panicked) = panicked.ok().and_then(|it| it.dyn_into::<js_sys::Function>().ok()) {
            let _ = panicked.call0(&JsValue::UNDEFINED);
        }
    }));
}

#[event(fetch)]
async fn fetch(asked: web_sys::Request, env: Env, context: Context) -> worker::Result<web_sys::Response> {
    let isolate = ISOLATE.with(|isolate| Rc::clone(isolate.get_or_init(|| Rc::new(open(&env)))));
    let context = Rc::new(context);
    let ports = WorkerPorts::new(Rc::clone(&isolate), Rc::clone(&context));
    // The platform ends a request's tasks when its client leaves, unless something is still waited for: the accounts.
    let held = Held::new(&context);
    let mut leaving = Leaving::of(asked.signal());
    let (visitor, request) = incoming::read(&asked)?;
    if isolate.panic_path.as_deref() == Some(request.uri().path()) {
        panic!("a panic on `{}`, as asked", request.uri().path());
    }
    let serving = pin!(isolate.instance.serve(&ports, visitor, request));
    match select(serving, &mut leaving).await {
        Either::Left((response, _)) => {
            Ok(outgoing::write(response, &ports, &asked, &context, leaving, held)?)
        }
        // Nobody reads it.
        Either::Right(_) => Ok(web_sys::Response::error()),
    }
}

/// Writes a line to the platform's log.
pub(crate) fn say(line: &str) {
    web_sys::console::log_1(&line.into());
}

fn open(env: &Env) -> Isolate {
    let moment = Moment { now_ms: now_ms(), mono_us: now_ms().saturating_mul(1000) };
    let variables = variables(env);
    let panic_path = variables.iter().find(|(name, _)| name == "DEBUG_PANIC_PATH");
    let panic_path = panic_path.map(|(_, path)| path.clone());
    let Opened { instance, log } = Instance::open(TARGET, variables, moment);
    log.iter().for_each(|line| say(line));
    let store = Store::open(&instance.document().store);
    Isolate { instance, store, panic_path }
}

/// Variables and secrets are the texts among the bindings.
fn variables(env: &Env) -> Vec<(String, String)> {
    Object::entries(env.unchecked_ref())
        .iter()
        .filter_map(|entry| {
            let entry = Array::from(&entry);
            Some((entry.get(0).as_string()?, entry.get(1).as_string()?))
        })
        .collect()
}

/// Name of this build.
const TARGET: &str = "cloudflare";
