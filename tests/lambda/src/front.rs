//! What clients speak to: a function URL at every path, and the invoke API of Lambda for events as they are.

use std::{convert::Infallible, net::SocketAddr, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::{TcpListener, TcpStream};

use crate::{
    answer::{self, Broken, Content},
    queue::Queue,
};

/// Serves clients.
pub(crate) async fn serve(listener: TcpListener, queue: Arc<Queue>) -> Result<(), String> {
    loop {
        let (socket, peer) = listener.accept().await.map_err(|error| error.to_string())?;
        tokio::spawn(connection(socket, peer, Arc::clone(&queue)));
    }
}

async fn connection(socket: TcpStream, peer: SocketAddr, queue: Arc<Queue>) {
    let _ = socket.set_nodelay(true);
    let service = service_fn(move |request| {
        let queue = Arc::clone(&queue);
        async move {
            let response = respond(request, peer, &queue).await.unwrap_or_else(|error| {
                eprintln!("acip-lambda-host: {error}");
                plain(StatusCode::BAD_GATEWAY, "Internal Server Error")
            });
            Ok::<_, Infallible>(response)
        }
    });
    // Its errors are the clients' and the function's; both see them.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

async fn respond(
    request: Request<Incoming>,
    peer: SocketAddr,
    queue: &Queue,
) -> Result<Response<Content>, Broken> {
    let (parts, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Ok(plain(StatusCode::PAYLOAD_TOO_LARGE, "Request Too Long"));
    };
    let body = body.to_bytes();
    if parts.uri.path() == INVOKE {
        let answer = queue.invoke(body).await.ok_or(FAILED)?;
        return Ok(Response::new(answer.body.boxed_unsync()));
    }
    let answer = queue.invoke(event(&parts, &body, peer).to_string().into()).await.ok_or(FAILED)?;
    answer::response(answer).await
}

/// The event of a function URL, format 2.0.
fn event(parts: &Parts, body: &Bytes, peer: SocketAddr) -> Value {
    let path = parts.uri.path();
    let mut event = json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": fields(&parts.headers),
        "requestContext": {
            "accountId": "anonymous",
            "apiId": "emulated",
            "domainName": "emulated.lambda-url.us-east-1.on.aws",
            "domainPrefix": "emulated",
            "http": {
                "method": parts.method.as_str(),
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": peer.ip().to_string(),
            },
            "routeKey": "$default",
            "stage": "$default",
        },
        "isBase64Encoded": false,
    });
    let cookies: Vec<_> = parts.headers.get_all(header::COOKIE).iter().map(text).collect();
    if !cookies.is_empty() {
        event["cookies"] = cookies.iter().flat_map(|line| line.split("; ")).collect();
    }
    if !body.is_empty() {
        match str::from_utf8(body) {
            Ok(text) if is_text(&parts.headers) => event["body"] = text.into(),
            _ => {
                event["body"] = STANDARD.encode(body).into();
                event["isBase64Encoded"] = true.into();
            }
        }
    }
    event
}

/// One value per field; cookies stand apart.
fn fields(headers: &HeaderMap) -> Map<String, Value> {
    let names = headers.keys().filter(|name| *name != header::COOKIE);
    let values = |name| headers.get_all(name).iter().map(text).collect::<Vec<_>>().join(",");
    names.map(|name| (name.as_str().to_owned(), values(name).into())).collect()
}

fn text(value: &http::HeaderValue) -> String {
    String::from_utf8_lossy(value.as_bytes()).into_owned()
}

fn is_text(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).map(text).unwrap_or_default();
    kind.starts_with("text/") || kind.starts_with("application/json")
}

fn plain(status: StatusCode, text: &'static str) -> Response<Content> {
    let mut response = Response::new(Full::from(text).map_err(|never| match never {}).boxed_unsync());
    *response.status_mut() = status;
    response
}

/// Where an event may be posted as it is; the answer is what the function posted. The name is what `cargo lambda watch` calls a
/// function that it did not start.
const INVOKE: &str = "/2015-03-31/functions/_/invocations";

const FAILED: &str = "the function failed";

/// More than Lambda takes, so that the function can say how much that is.
const MAX_BODY: usize = 64 << 20;
