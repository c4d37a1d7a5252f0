//! The Lambda runtime API, for the processes of the function: each has a path of its own under it.
//!
//! A process that asks for its next event is frozen, where `ACIP_LAMBDA_FREEZE` says so, until there is one, as in Lambda.

use std::{
    collections::BTreeMap,
    convert::Infallible,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpListener, process::Command};

use crate::{
    answer::{Answer, Posted},
    queue::Queue,
};

/// What its connections share.
pub(crate) struct Runtime {
    pub(crate) queue: Arc<Queue>,
    /// Whether processes at rest are frozen.
    pub(crate) freezes: bool,
    /// Process ids by path.
    pub(crate) processes: Mutex<BTreeMap<String, u32>>,
}

impl Runtime {
    /// Serves the function.
    pub(crate) async fn serve(self: Arc<Self>, listener: TcpListener) -> Result<(), String> {
        loop {
            let (socket, _) = listener.accept().await.map_err(|error| error.to_string())?;
            let _ = socket.set_nodelay(true);
            let runtime = Arc::clone(&self);
            tokio::spawn(async move {
                let service = service_fn(move |request| {
                    let runtime = Arc::clone(&runtime);
                    async move { Ok::<_, Infallible>(runtime.respond(request).await) }
                });
                let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
            });
        }
    }

    async fn respond(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let path = request.uri().path().to_owned();
        let Some((process, rest)) = path.trim_start_matches('/').split_once(VERSION) else {
            return status(StatusCode::NOT_FOUND);
        };
        if rest == "next" && request.method() == Method::GET {
            return self.next(process).await;
        }
        match rest.split_once('/') {
            Some((id, "response")) => self.response(id, request).await,
            Some((id, "error")) => {
                let told = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
                eprintln!("acip-lambda-host: the function failed: {told:?}");
                // Nobody answers the client any more.
                drop(self.queue.end(id));
                status(StatusCode::ACCEPTED)
            }
            _ => status(StatusCode::NOT_FOUND),
        }
    }

    async fn next(&self, process: &str) -> Response<Full<Bytes>> {
        self.signal(process, "STOP").await;
        let next = self.queue.next().await;
        self.signal(process, "CONT").await;
        let Some((id, event)) = next else {
            return status(StatusCode::INTERNAL_SERVER_ERROR);
        };
        let mut response = Response::new(Full::new(event));
        let fields = [
            ("lambda-runtime-aws-request-id", id.as_str()),
            ("lambda-runtime-deadline-ms", "4102444800000"),
            ("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:gateway"),
        ];
        for (name, value) in fields {
            if let Ok(value) = value.parse() {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }

    async fn response(&self, id: &str, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Some(answer) = self.queue.end(id) else {
            return status(StatusCode::NOT_FOUND);
        };
        let mode = request.headers().get("lambda-runtime-function-response-mode");
        let streamed = mode.is_some_and(|mode| mode == "streaming");
        let (body, read) = Posted::new(request.into_body());
        // Where the client has left, the body is dropped, and the function hears of that.
        drop(answer.send(Answer { streamed, body }));
        let _ = read.await;
        status(StatusCode::ACCEPTED)
    }

    async fn signal(&self, process: &str, signal: &str) {
        if !self.freezes {
            return;
        }
        let id = self.processes.lock().unwrap_or_else(PoisonError::into_inner).get(process).copied();
        if let Some(id) = id {
            let _ = Command::new("kill").args(["-s", signal, &id.to_string()]).status().await;
        }
    }
}

fn status(status: StatusCode) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = status;
    response
}

/// Between a process's own path and what it asks for.
const VERSION: &str = "/2018-06-01/runtime/invocation/";
