//! A collector of traces: OTLP/HTTP as the official messages decode it, and Zipkin's list of spans.

use std::{
    convert::Infallible,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU16, AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    resource::v1::Resource,
    trace::v1::Span,
};
use prost::Message as _;
use serde_json::Value;
use tokio::{net::TcpListener, sync::watch};

use crate::wait_for;

/// A running collector, on the test's own runtime.
pub struct Collector {
    port: u16,
    seen: Arc<Mutex<Seen>>,
    status: Arc<AtomicU16>,
    door: watch::Sender<bool>,
    held: Arc<AtomicUsize>,
}

/// A request that waits for its answer, as long as whoever sent it does.
struct Held(Arc<AtomicUsize>);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// What came.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Spans, with what made them.
    pub spans: Vec<(Resource, Span)>,
    /// Zipkin's spans.
    pub zipkin: Vec<Value>,
    /// Each request: path, fields and body as text.
    pub requests: Vec<String>,
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let port = listener.local_addr().expect("bound").port();
        let (seen, status) = (Arc::<Mutex<Seen>>::default(), Arc::new(AtomicU16::new(200)));
        let (of_task, told) = (Arc::clone(&seen), Arc::clone(&status));
        let (door, held) = (watch::Sender::new(true), Arc::<AtomicUsize>::default());
        let (open, waiting) = (door.subscribe(), Arc::clone(&held));
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let (seen, status) = (Arc::clone(&of_task), Arc::clone(&told));
                let (open, waiting) = (open.clone(), Arc::clone(&waiting));
                let service = service_fn(move |request| {
                    let (seen, status) = (Arc::clone(&seen), status.load(Relaxed));
                    let (mut open, waiting) = (open.clone(), Arc::clone(&waiting));
                    async move {
                        waiting.fetch_add(1, Relaxed);
                        let held = Held(waiting);
                        // An error: the collector is gone, and nobody waits.
                        let _ = open.wait_for(|open| *open).await;
                        drop(held);
                        Ok::<_, Infallible>(take(&seen, status, request).await)
                    }
                });
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { port, seen, status, door, held }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Answers with this status from now on, and keeps nothing unless it is 200.
    pub fn answer(&self, status: u16) {
        self.status.store(status, Relaxed);
    }

    /// Answers nobody from now on, or everybody again, those who wait among them.
    pub fn open(&self, open: bool) {
        self.door.send_replace(open);
    }

    /// How many wait for an answer.
    pub fn held(&self) -> usize {
        self.held.load(Relaxed)
    }

    /// Everything so far.
    pub fn seen(&self) -> Seen {
        lock(&self.seen).clone()
    }

    /// The spans of a trace, once there are as many.
    pub async fn trace(&self, trace_id: &str, count: usize) -> Vec<Span> {
        let spans = || {
            let seen = self.seen();
            let all = seen.spans.into_iter().map(|(_, span)| span);
            all.filter(|span| hex(&span.trace_id) == trace_id).collect::<Vec<_>>()
        };
        wait_for(&format!("{count} spans of {trace_id}"), || async { spans().len() >= count }).await;
        spans()
    }
}

/// Lower-case hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn take(seen: &Mutex<Seen>, status: u16, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let json = parts.headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    let mut seen = lock(seen);
    seen.requests.push(format!("{} {:?} {}", parts.uri, parts.headers, String::from_utf8_lossy(&body)));
    let mut answer = Response::new(Full::default());
    *answer.status_mut() = status.try_into().expect("a status");
    if status != 200 {
        return answer;
    }
    let reply = match (parts.uri.path(), json) {
        ("/v1/traces", true) => serde_json::from_slice(&body).map_err(|error| error.to_string()),
        ("/v1/traces", false) => {
            ExportTraceServiceRequest::decode(body.clone()).map_err(|error| error.to_string())
        }
        ("/api/v2/spans", true) => match serde_json::from_slice::<Vec<Value>>(&body) {
            Ok(spans) => {
                seen.zipkin.extend(spans);
                *answer.status_mut() = http::StatusCode::ACCEPTED;
                return answer;
            }
            Err(error) => Err(error.to_string()),
        },
        (path, _) => Err(format!("nothing is collected at {path}")),
    };
    match reply {
        Ok(batch) => {
            for of_resource in batch.resource_spans {
                let resource = of_resource.resource.unwrap_or_default();
                let spans = of_resource.scope_spans.into_iter().flat_map(|of_scope| of_scope.spans);
                seen.spans.extend(spans.map(|span| (resource.clone(), span)));
            }
            let done = ExportTraceServiceResponse::default().encode_to_vec();
            *answer.body_mut() = if json { Full::from("{}") } else { Full::from(done) };
        }
        Err(error) => {
            *answer.status_mut() = http::StatusCode::BAD_REQUEST;
            *answer.body_mut() = Full::from(error);
        }
    }
    answer
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
