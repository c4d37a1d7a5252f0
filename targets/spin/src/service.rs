//! The handler: opens the instance at its first request and serves with it from then on. The platform may give an instance one
//! request or many, several at a time.

use std::{cell::RefCell, rc::Rc};

use acip_core::{config::LogLevel, telemetry::notice};
use acip_shell::{Instance, Moment, Opened};
use spin_sdk::{
    http::{Request, Result},
    http_service,
    wasip3::http::types::{ErrorCode, Response},
};

use crate::{
    incoming, outgoing,
    ports::{SpinPorts, mono_us, now_ms},
    store::Store,
    variables,
};

/// What an instance of the component keeps between requests.
pub(crate) struct Component {
    /// The gateway and what it has learned.
    pub(crate) instance: Instance,
    /// How the store is reached.
    pub(crate) store: Store,
}

thread_local! {
    static COMPONENT: RefCell<Option<Rc<Component>>> = const { RefCell::new(None) };
}

#[http_service]
async fn handle(request: Request) -> Result<Response> {
    let component = component().await?;
    let method = request.method().clone();
    let (visitor, request) = incoming::read(request).await;
    let ports = SpinPorts::new(Rc::clone(&component));
    let response = component.instance.serve(&ports, visitor, request).await;
    Ok(outgoing::write(&method, response))
}

/// Writes a line to the platform's log.
pub(crate) fn say(line: &str) {
    eprintln!("{line}");
}

async fn component() -> Result<Rc<Component>, ErrorCode> {
    let opened = || COMPONENT.with_borrow(Option::clone);
    if let Some(component) = opened() {
        return Ok(component);
    }
    let variables = variables::read().await.map_err(|error| {
        // The next request tries again: a provider of variables may come back.
        let message = "a variable cannot be read; this request is answered with 500";
        say(&notice::json_line(now_ms(), LogLevel::Error, message, Some(&error)));
        ErrorCode::ConfigurationError
    })?;
    // Another request may have opened it meanwhile.
    if let Some(component) = opened() {
        return Ok(component);
    }
    let moment = Moment { now_ms: now_ms(), mono_us: mono_us() };
    let Opened { instance, log } = Instance::open("spin", variables, moment);
    log.iter().for_each(|line| say(line));
    let store = Store::open(&instance.document().store);
    let component = Rc::new(Component { instance, store });
    COMPONENT.set(Some(Rc::clone(&component)));
    Ok(component)
}
