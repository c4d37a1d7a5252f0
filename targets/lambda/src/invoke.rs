//! One invocation: its event becomes a request, its response goes to the runtime API, and what is left to do is done before
//! the next event is asked for, which is when Lambda may freeze the process.
//!
//! The client's last byte waits for nothing: the response ends first, then comes the epilogue.

use std::{
    cell::RefCell,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use acip_core::{
    ErrorCode, Refusal, RequestHead,
    arrival::wants_problem,
    config::LogLevel,
    facts::{Hints, Peer},
    telemetry::notice,
};
use acip_gateway::ports::now_ms;
use acip_shell::{Body, Visitor, refuse};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, header};
use http_body::Body as _;
use hyper_util::client::legacy::connect::HttpConnector;
use lambda_runtime::{
    Error, LambdaInvocation,
    tower::{Layer, Service},
};
use lambda_runtime_api_client::{PooledClient, body::Body as ApiBody, build_request};

use crate::{
    answer::{self, Envelope, Streamed},
    event::{self, Call, Caller, Unreadable},
    host::{Host, RequestBody, say},
    ports::LambdaPorts,
};

/// Answers invocations, one at a time.
pub(crate) struct Invoker {
    host: Rc<Host>,
    api: Api,
}

impl Invoker {
    pub(crate) fn new(host: Rc<Host>) -> Self {
        Self { host, api: Api::new() }
    }
}

/// Connections to the runtime API.
#[derive(Clone)]
struct Api(Rc<RefCell<Arc<PooledClient>>>);

impl Api {
    fn new() -> Self {
        Self(Rc::new(RefCell::new(Self::client())))
    }

    fn client() -> Arc<PooledClient> {
        // A response goes out in small writes: none of them waits for the other side to confirm the one before it.
        let mut connector = HttpConnector::new();
        connector.set_nodelay(true);
        Arc::new(PooledClient::builder().with_connector(connector).build())
    }

    fn get(&self) -> Arc<PooledClient> {
        Arc::clone(&self.0.borrow())
    }

    /// Ends the connections.
    fn end(&self) {
        self.0.replace(Self::client());
    }
}

impl<S> Layer<S> for Invoker {
    type Service = Self;

    fn layer(&self, _replaced: S) -> Self {
        Self { host: Rc::clone(&self.host), api: self.api.clone() }
    }
}

impl Service<LambdaInvocation> for Invoker {
    type Response = ();
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<(), Error>>>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, invocation: LambdaInvocation) -> Self::Future {
        let (host, api) = (Rc::clone(&self.host), self.api.clone());
        Box::pin(async move {
            host.wake().await;
            let path = format!("/2018-06-01/runtime/invocation/{}/response", invocation.context.request_id);
            let answered = answer(&host, &invocation.body).await;
            if let Err(error) = send(&api, &path, answered).await {
                // The client or the invocation is gone; the next one is not concerned.
                let message = "the runtime API did not take a response to its end";
                say(&notice::json_line(now_ms(), LogLevel::Warn, message, Some(&error.to_string())));
            }
            host.rest().await;
            Ok(())
        })
    }
}

/// A response, and how its caller and client take it.
struct Answered {
    response: Response<Body<LambdaPorts>>,
    envelope: Envelope,
    /// Errors go out as `application/problem+json`.
    problem: bool,
}

/// Serves the event, or says what is wrong with it.
async fn answer(host: &Rc<Host>, event: &[u8]) -> Answered {
    let ports = LambdaPorts::new(Rc::clone(host));
    let gateway = &host.instance.gateway();
    match event::read(event) {
        Ok(Call { request, caller, envelope }) => {
            let visitor = visitor(host, &caller);
            let problem = wants_problem(request.headers());
            let size = request.body().size_hint().exact().unwrap_or(u64::MAX);
            if size > event::MAX_BODY {
                let message = format!(
                    "the request body has {size} bytes; AWS Lambda takes at most {} in one event",
                    event::MAX_BODY
                );
                let refusal = Refusal::new(ErrorCode::PayloadTooLarge, "event_size", message);
                let response = refuse(&ports, gateway, visitor, Some(head(request)), refusal);
                return Answered { response, envelope, problem };
            }
            Answered { response: host.instance.serve(&ports, visitor, request).await, envelope, problem }
        }
        Err(Unreadable { reason, envelope }) => {
            let message = "an event is no HTTP request of a function URL, API Gateway or a load balancer";
            say(&notice::json_line(now_ms(), LogLevel::Error, message, Some(&reason)));
            let refusal = Refusal::new(ErrorCode::BadRequest, "event", format!("{message}: {reason}"));
            let visitor = visitor(host, &Caller::default());
            Answered { response: refuse(&ports, gateway, visitor, None, refusal), envelope, problem: false }
        }
    }
}

fn visitor(host: &Host, caller: &Caller) -> Visitor {
    Visitor {
        peer: Peer { ip: caller.ip.unwrap_or(event::UNKNOWN), tls: caller.tls },
        hints: Hints { region: host.region.clone(), client: caller.ip },
    }
}

fn head(request: Request<RequestBody>) -> RequestHead {
    let (parts, _) = request.into_parts();
    RequestHead { method: parts.method, uri: parts.uri, version: parts.version, headers: parts.headers }
}

/// Sends a response to the runtime API, as it comes where the caller can take it so.
async fn send(api: &Api, path: &str, answered: Answered) -> Result<(), Error> {
    let Answered { response, envelope, problem } = answered;
    let (parts, body) = response.into_parts();
    if envelope != Envelope::Stream {
        let whole = answer::whole(envelope, problem, &parts, body).await;
        let request = build_request().method(Method::POST).uri(path).body(ApiBody::from(whole))?;
        return taken(api.get().call(request).await);
    }
    let mut request = build_request().method(Method::POST).uri(path);
    if let Some(headers) = request.headers_mut() {
        streaming_fields(headers);
    }
    let (sender, stream) = ApiBody::channel();
    let post = api.get().call(request.body(stream)?);
    let (accepted, streamed) = tokio::join!(post, answer::stream(&parts, body, sender));
    let accepted = taken(accepted);
    if streamed == Streamed::Broken {
        // Emulators hear trailers, but break the client's connection only when this one ends.
        api.end();
    }
    accepted
}

fn streaming_fields(headers: &mut HeaderMap) {
    let mode = HeaderName::from_static("lambda-runtime-function-response-mode");
    headers.insert(mode, HeaderValue::from_static("streaming"));
    let kind = HeaderValue::from_static("application/vnd.awslambda.http-integration-response");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    headers.insert(header::TRAILER, HeaderValue::from_static(answer::ERROR_TRAILERS));
}

fn taken<B>(answer: Result<Response<B>, Error>) -> Result<(), Error> {
    let status = answer?.status();
    if status.is_success() { Ok(()) } else { Err(format!("it answered {status}").into()) }
}
