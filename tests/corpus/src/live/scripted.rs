//! Origins that answer what they are told, on free ports of loopback. A request that nobody announced is answered with 599
//! and counts as asked all the same.

use std::{
    collections::{BTreeMap, VecDeque},
    io::Write as _,
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::wire;
use crate::{case::Says, run::Asked};

/// All origins of one gateway.
pub(super) struct Origins {
    ports: BTreeMap<String, u16>,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Default)]
struct Shared {
    script: VecDeque<Says>,
    asked: Vec<Asked>,
}

impl Origins {
    pub(super) fn start(names: &[String]) -> Result<Self, String> {
        let shared = Arc::default();
        let mut ports = BTreeMap::new();
        for name in names {
            let failed = |error: std::io::Error| format!("an origin: {error}");
            let listener = TcpListener::bind(("127.0.0.1", 0)).map_err(failed)?;
            ports.insert(name.clone(), listener.local_addr().map_err(failed)?.port());
            let (name, shared) = (name.clone(), Arc::clone(&shared));
            // Ends with the process: a listener that nobody asks costs nothing.
            thread::spawn(move || {
                for stream in listener.incoming().flatten() {
                    let (name, shared) = (name.clone(), Arc::clone(&shared));
                    thread::spawn(move || serve(stream, &name, &shared));
                }
            });
        }
        Ok(Self { ports, shared })
    }

    pub(super) fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}", self.ports.get(name).copied().unwrap_or_default())
    }

    /// What they say next.
    pub(super) fn script(&self, says: &[Says]) {
        let mut shared = lock(&self.shared);
        shared.script = says.to_vec().into();
        shared.asked.clear();
    }

    /// What they were asked since then.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut lock(&self.shared).asked)
    }
}

fn serve(mut stream: TcpStream, name: &str, shared: &Mutex<Shared>) {
    let mut held = Vec::new();
    while let Ok(Some(message)) = wire::read(&mut stream, &mut held, false) {
        let (method, target) = message.first.split_once(' ').unwrap_or_default();
        let target = target.rsplit_once(' ').map_or(target, |(target, _)| target);
        let says = {
            let mut shared = lock(shared);
            shared.asked.push(Asked {
                origin: name.to_owned(),
                request: format!("{method} {target}"),
                headers: message.headers,
                body: message.body,
            });
            shared.script.pop_front().unwrap_or(Says { status: Some(599), ..Says::default() })
        };
        let Ok(headers) = says.head() else { return };
        let status = says.status.unwrap_or(200);
        let body = says.bytes();
        let bodiless = method == "HEAD" || status == 204 || status == 304;
        let mut out = format!("HTTP/1.1 {status} Said\r\n").into_bytes();
        for (field, value) in &headers {
            out.extend_from_slice(field.as_str().as_bytes());
            out.extend_from_slice(b": ");
            out.extend_from_slice(value.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
        if !bodiless && !headers.contains_key("content-length") {
            out.extend_from_slice(format!("content-length: {}\r\n", body.len()).as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        if !bodiless {
            out.extend_from_slice(&body);
        }
        // One that announces more than it has breaks off.
        let short = headers
            .get("content-length")
            .is_some_and(|it| it.as_bytes() != body.len().to_string().as_bytes());
        if stream.write_all(&out).is_err() || (short && !bodiless) {
            return;
        }
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
