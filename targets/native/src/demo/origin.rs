//! The simulated backend: the routes of the FastAPI service that a person tries first, over hyper, on loopback.
//! It is not the origin that tests use; that is a real FastAPI application.

use std::{cell::RefCell, convert::Infallible, net::SocketAddr, rc::Rc, time::Duration};

use acip_gateway::ports::now_ms;
use bytes::Bytes;
use futures_util::stream;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::{Frame, Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    book::{Book, Job, Worker, naive_utc},
    chance,
};

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Shared = Rc<RefCell<Book>>;

/// Serves the backend on `listener` for ever. Runs inside a `LocalSet`.
pub(super) async fn serve(listener: TcpListener) {
    let book = Shared::default();
    loop {
        let Ok((socket, _)) = listener.accept().await else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let book = Rc::clone(&book);
        tokio::task::spawn_local(async move {
            let service = hyper::service::service_fn(move |request| {
                let book = Rc::clone(&book);
                async move { Ok::<_, Infallible>(answer(&book, request).await) }
            });
            // A client that goes away in the middle is no news to a demo.
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(socket), service)
                .await;
        });
    }
}

/// Binds the backend to a free port of loopback.
pub(super) async fn bind() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

async fn answer(book: &Shared, request: Request<Incoming>) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return error(StatusCode::PAYLOAD_TOO_LARGE, "the demo takes bodies up to 1 MiB");
    };
    let body: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
    let path = head.uri.path().trim_end_matches('/').to_owned();
    let parts: Vec<&str> = path.split('/').skip(1).collect();
    let streams = head
        .headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.as_bytes().starts_with(b"text/event-stream"));
    match (&head.method, parts.as_slice()) {
        (&Method::GET, ["health"]) => ok(&json!({"status": "healthy"})),
        (&Method::GET, ["regions"]) => ok(&json!(["us-west", "eu-central"])),
        (&Method::POST, ["api", "v1", "jobs"]) => submit(book, &body, streams),
        (&Method::GET, ["api", "v1", "jobs", "stats", "queue"]) => ok(&book.borrow().stats()),
        (&Method::GET, ["api", "v1", "jobs", "direct", "nearest"]) => {
            ok(&json!({"worker_id": null, "direct_url": null, "region": null, "gpu_model": null}))
        }
        (&Method::GET, ["api", "v1", "jobs", id]) => found(book.borrow().job(id).map(Job::to_json)),
        (&Method::GET, ["api", "v1", "jobs", id, "stream"]) => {
            let job = book.borrow().job(id).cloned();
            job.map_or_else(|| found(None), |job| tokens(&job))
        }
        (&Method::DELETE, ["api", "v1", "jobs", id]) => {
            found(book.borrow_mut().cancel(id).map(|job| job.to_json()))
        }
        (&Method::GET, ["api", "v1", "workers"]) => ok(&book.borrow().workers()),
        (&Method::POST, ["api", "v1", "workers", "register"]) => register(book, &body),
        (method, ["api", "v1", "workers", id, call @ ..]) => {
            let presented = head.headers.get("x-worker-token").and_then(|token| token.to_str().ok());
            worker_call(book, method, id, call, presented, &body)
        }
        _ => error(StatusCode::NOT_FOUND, "Not Found"),
    }
}

fn submit(book: &Shared, body: &Value, streams: bool) -> Response<Body> {
    let Some(kind) = body["type"].as_str() else {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "`type` is required: llm, image_gen or whisper");
    };
    let prompt = body["params"]["prompt"].as_str().unwrap_or("nothing").to_owned();
    let id = uuid();
    let job = book.borrow_mut().submit(id, kind.to_owned(), prompt, now_ms());
    if streams || body["params"]["stream"] == json!(true) { tokens(&job) } else { ok(&job.to_json()) }
}

/// The job's answer as server-sent events, one token each, at the pace of a small model.
fn tokens(job: &Job) -> Response<Body> {
    let mut events: Vec<String> = Vec::new();
    for (index, token) in job.tokens().into_iter().enumerate() {
        events.push(format!("id: {index}\ndata: {}\n\n", json!({"job_id": job.id, "token": token})));
    }
    events.push("event: done\ndata: [DONE]\n\n".to_owned());
    let frames = stream::unfold(events.into_iter(), |mut rest| async move {
        let event = rest.next()?;
        tokio::time::sleep(TOKEN_PAUSE).await;
        Some((Ok::<_, Infallible>(Frame::data(Bytes::from(event))), rest))
    });
    let mut response = Response::new(StreamBody::new(frames).boxed_unsync());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    response
}

fn register(book: &Shared, body: &Value) -> Response<Body> {
    let Some(region) = body["region"].as_str() else {
        return error(StatusCode::UNPROCESSABLE_ENTITY, "`region` is required");
    };
    let (id, token) = (uuid(), format!("wt-{}", uuid()));
    let worker = Worker { token: token.clone(), region: region.to_owned() };
    if !book.borrow_mut().register(id.clone(), worker) {
        return error(StatusCode::SERVICE_UNAVAILABLE, "the demo keeps at most 100 workers");
    }
    ok(&json!({
        "worker_id": id,
        "token": token,
        "refresh_token": uuid(),
        "signing_secret": uuid(),
        "token_expires_at": naive_utc(now_ms() + DAY_MS),
        "message": "registered",
    }))
}

fn worker_call(
    book: &Shared,
    method: &Method,
    id: &str,
    call: &[&str],
    presented: Option<&str>,
    body: &Value,
) -> Response<Body> {
    let known = book.borrow().worker(id).map(|worker| worker.token.clone());
    match known {
        None => return error(StatusCode::NOT_FOUND, "Worker not found"),
        Some(token) if presented != Some(token.as_str()) => {
            return error(StatusCode::UNAUTHORIZED, "Invalid worker token");
        }
        Some(_) => {}
    }
    match (method, call) {
        (&Method::POST, ["heartbeat"]) => ok(&json!({"status": "ok", "config_changed": false})),
        (&Method::GET, ["next-job"]) => {
            let job = book.borrow_mut().take(id);
            ok(&job.map_or(Value::Null, |job| {
                json!({"job_id": job.id, "type": job.kind, "params": {"prompt": job.prompt}, "timeout_seconds": 300})
            }))
        }
        (&Method::POST, ["jobs", job, "complete"]) => {
            let success = body["success"] == json!(true);
            let known = book.borrow_mut().complete(job, success, body.get("result").cloned());
            found(known.then(|| json!({"status": "ok"})))
        }
        (&Method::POST, ["going-offline" | "offline"]) => ok(&json!({"status": "ok"})),
        _ => error(StatusCode::NOT_FOUND, "Not Found"),
    }
}

fn found(value: Option<Value>) -> Response<Body> {
    value.map_or_else(|| error(StatusCode::NOT_FOUND, "Not Found"), |value| ok(&value))
}

fn ok(value: &Value) -> Response<Body> {
    json_response(StatusCode::OK, value)
}

fn error(status: StatusCode, detail: &str) -> Response<Body> {
    json_response(status, &json!({ "detail": detail }))
}

fn json_response(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Full::from(value.to_string()).boxed_unsync());
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn uuid() -> String {
    let hex = acip_core::hex::hex(&chance::<16>());
    let part = |from, to| hex.get(from..to).unwrap_or_default();
    format!("{}-{}-4{}-8{}-{}", part(0, 8), part(8, 12), part(13, 16), part(17, 20), part(20, 32))
}

/// Between tokens: slow enough to watch.
const TOKEN_PAUSE: Duration = Duration::from_millis(60);

/// After a failed accept (out of file descriptors).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const MAX_BODY: usize = 1 << 20;

const DAY_MS: u64 = 86_400_000;
