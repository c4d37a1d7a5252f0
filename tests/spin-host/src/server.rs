//! The HTTP server, which gives each request to an instance, as Spin 4 does: an instance takes up to 128 requests, 16 of them
//! at a time, and goes after a second without any; or, with `ACIP_SPIN_INSTANCE=fresh`, one request each. With `ACIP_SPIN_PLAIN` it
//! serves the component that was built without Spin's own interfaces, and offers none: WASI and an environment, as
//! `wasmtime serve` does.

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::{Duration, Instant},
};

use http::{HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};
use wasmtime::{
    Engine, Store, StoreContextMut,
    component::{GuestTaskId, Linker},
};
use wasmtime_wasi_http::{
    Error, WasiBody, WasiHttpView as _,
    handler::{
        HandlerState, Instance, Proxy, ProxyHandler, ShouldAccept, WorkerExpiration, WorkerState,
        WorkerStatus,
    },
    p3::bindings::ServicePre,
};

use crate::{
    allowed::AllowedHosts,
    client::Client,
    engine,
    manifest::Manifest,
    spin,
    state::{App, State},
    variables::Variables,
};

/// Serves the application until SIGTERM.
///
/// # Errors
/// What Spin would refuse to start with.
pub(crate) async fn run(root: &Path) -> Result<(), String> {
    let environment = |name: &str| std::env::var(name).ok();
    let manifest = Manifest::read(&root.join("spin.toml"))?;
    let component = manifest.component();
    let variables = Variables::read(&manifest, environment, OPEN)?;
    let fill = |template: &String| variables.fill(template);
    let allowed = component.allowed_outbound_hosts.iter().map(fill).collect::<Result<Vec<_>, _>>()?;
    let filled = component.variables.iter().map(|(name, template)| Ok((name.clone(), fill(template)?)));
    let mut app = App {
        variables: filled.collect::<Result<_, String>>()?,
        allowed: Arc::new(AllowedHosts::parse(allowed)?),
        environment: component.environment.clone(),
    };
    let mut source = source(&manifest);
    let plain = environment("ACIP_SPIN_PLAIN").is_some();
    if plain {
        source = PLAIN.into();
        app.environment.extend(std::env::vars());
    }
    let engine = engine::engine()?;
    let code = engine::load(&engine, &root.join(source))?;
    let mut linker = Linker::new(&engine);
    let trouble = |error: wasmtime::Error| format!("{error:#}");
    wasmtime_wasi::p2::add_to_linker_async(&mut linker).map_err(trouble)?;
    wasmtime_wasi::p3::add_to_linker(&mut linker).map_err(trouble)?;
    wasmtime_wasi_http::p3::add_to_linker(&mut linker).map_err(trouble)?;
    if !plain {
        spin::add_to_linker(&mut linker).map_err(trouble)?;
    }
    let instances = Instances {
        client: Client::new(Arc::clone(&app.allowed)),
        service: linker.instantiate_pre(&code).and_then(ServicePre::new).map_err(trouble)?,
        app: Arc::new(app),
        engine,
        most_requests: if environment("ACIP_SPIN_INSTANCE").is_some_and(|how| how == "fresh") {
            1
        } else {
            128
        },
    };
    let host = environment("GATEWAY_HOST").unwrap_or_else(|| "127.0.0.1".into());
    let port = environment("GATEWAY_PORT").unwrap_or_else(|| "3000".into());
    let address = format!("{host}:{port}");
    let listener =
        TcpListener::bind(&address).await.map_err(|error| format!("cannot listen on {address}: {error}"))?;
    let address = listener.local_addr().map_err(|error| error.to_string())?;
    println!("{{\"level\":\"info\",\"message\":\"serving\",\"address\":\"{address}\"}}");
    let mut terminated = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    tokio::select! {
        () = accept(listener, ProxyHandler::new(instances), plain) => Ok(()),
        _ = terminated.recv() => Ok(()),
    }
}

/// Of the component: that of the manifest, or the build that `ACIP_SPIN_COMPONENT` names.
pub(crate) fn source(manifest: &Manifest) -> PathBuf {
    std::env::var_os(OTHER).map_or_else(|| manifest.component().source().into(), PathBuf::from)
}

async fn accept(listener: TcpListener, handler: ProxyHandler<Instances>, plain: bool) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else { continue };
        let handler = handler.clone();
        tokio::spawn(async move {
            let service =
                service_fn(move |request| answer(handler.clone(), request, (!plain).then_some(peer)));
            // A client that breaks off is no concern of the host.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn answer(
    handler: ProxyHandler<Instances>,
    request: Request<Incoming>,
    peer: Option<SocketAddr>,
) -> Result<Response<WasiBody>, Infallible> {
    let prepared = match peer {
        Some(peer) => prepare(request, peer),
        // Hosts that only serve components tell no more than they were sent.
        None => Ok(request),
    };
    let request = prepared.map(|request| request.map(|body| body.map_err(Error::from).boxed_unsync()));
    let answered = match request {
        Ok(request) => handler.handle((), request).await.map_err(|error| format!("{error:#}")),
        Err(error) => Err(error),
    };
    Ok(answered.unwrap_or_else(|error| {
        eprintln!("acip-spin-host: a request failed: {error}");
        let mut response = Response::new(Empty::new().map_err(Error::from).boxed_unsync());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    }))
}

/// Completes the URI and adds the fields that Spin adds, as far as they tell something for this route.
fn prepare(mut request: Request<Incoming>, peer: SocketAddr) -> Result<Request<Incoming>, String> {
    request.headers_mut().remove(header::CONNECTION);
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    let told = match request.headers().get(header::HOST) {
        Some(host) => {
            let host = host.to_str().map_err(|_| "the Host field is no text")?;
            Some(host.parse().map_err(|_| "the Host field names no authority")?)
        }
        None => None,
    };
    uri.authority = match (told, uri.authority) {
        (Some(told), Some(named)) if told != named => return Err("Host and target disagree".into()),
        (Some(one), _) | (None, Some(one)) => Some(one),
        (None, None) => return Err("no Host field".into()),
    };
    uri.scheme = Some(http::uri::Scheme::HTTP);
    *request.uri_mut() = Uri::from_parts(uri).map_err(|error| error.to_string())?;
    let path = request.uri().path().to_owned();
    let (address, full) = (peer.to_string(), request.uri().to_string());
    for (name, value) in [
        ("spin-path-info", path.as_str()),
        ("spin-full-url", &full),
        ("spin-matched-route", "/..."),
        ("spin-base-path", "/"),
        ("spin-raw-component-route", "/..."),
        ("spin-component-route", ""),
        ("spin-client-addr", &address),
    ] {
        let value = HeaderValue::from_str(value).map_err(|error| error.to_string())?;
        request.headers_mut().insert(name, value);
    }
    Ok(request)
}

/// Makes instances.
struct Instances {
    engine: Engine,
    service: ServicePre<State>,
    app: Arc<App>,
    client: Client,
    most_requests: usize,
}

impl HandlerState for Instances {
    type StoreData = State;
    type WorkerExpiration = Expiration;
    type WorkerState = Worker;

    async fn instantiate(&self) -> wasmtime::Result<Instance<State, Expiration, Worker>> {
        let mut store = Store::new(&self.engine, State::new(&self.app, &self.client));
        let service = self.service.instantiate_async(&mut store).await?;
        Ok(Instance {
            store,
            proxy: Proxy::P3(service),
            view: State::http,
            expiration: Expiration { idle: None },
            state: Worker { most_requests: self.most_requests },
        })
    }
}

/// Goes off after a second without requests.
struct Expiration {
    /// Since when, and the timer.
    idle: Option<(Instant, Pin<Box<tokio::time::Sleep>>)>,
}

impl WorkerExpiration for Expiration {
    fn poll(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        status: WorkerStatus,
        since: Instant,
    ) -> Poll<()> {
        if status != WorkerStatus::Idle {
            self.idle = None;
            return Poll::Pending;
        }
        let timer = match &mut self.idle {
            Some((began, timer)) if *began == since => timer,
            idle => {
                let timer = Box::pin(tokio::time::sleep_until((since + IDLE).into()));
                &mut idle.insert((since, timer)).1
            }
        };
        timer.as_mut().poll(cx)
    }
}

/// How many requests an instance takes.
struct Worker {
    most_requests: usize,
}

impl WorkerState for Worker {
    type StoreData = State;
    type RequestData = ();

    fn should_accept_request(&self, now: usize, so_far: usize) -> ShouldAccept {
        match () {
            () if so_far >= self.most_requests => ShouldAccept::Never,
            () if now >= MOST_AT_A_TIME => ShouldAccept::No,
            () => ShouldAccept::Yes,
        }
    }

    fn on_request_start(
        &self,
        _: StoreContextMut<'_, State>,
        (): (),
        _: GuestTaskId,
    ) -> Pin<Box<dyn Future<Output = ()> + Send + Sync>> {
        Box::pin(std::future::pending())
    }

    fn drop(&self, _: Store<State>, result: Result<(), wasmtime::Error>) {
        if let Err(error) = result {
            eprintln!("acip-spin-host: an instance failed: {error:?}");
        }
    }
}

const OTHER: &str = "ACIP_SPIN_COMPONENT";

/// Built without the crate's feature `spin`, for the tests.
pub(crate) const PLAIN: &str = "target/spin-plain/wasm32-wasip2/e2e/acip_spin.wasm";

const MOST_AT_A_TIME: usize = 16;
const IDLE: Duration = Duration::from_secs(1);

/// Whoever serves the gateway on loopback has said by its variables where it connects to; the manifest's own defaults are for
/// those who deploy it.
const OPEN: &[(&str, &str)] = &[("allowed_origin", "http://*:*"), ("allowed_store", "*://*:*")];
