//! The stored configuration: who changes it, and what gateways make of it.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    net::IpAddr,
    rc::Rc,
    sync::Arc,
};

use acip_core::{
    Gateway,
    control::version_of,
    facts::{Hints, Peer},
    store::{self, Batch, Op},
};
use acip_shell::{Visitor, serve};
use bytes::Bytes;
use http::{Method, Request, Uri, Version};
use serde_json::json;

use crate::{
    client::{ADMIN, Fleet},
    ports::{Busy, SimPorts, Whole},
};

/// The two documents under all that was ever stored, and what that was.
pub(crate) struct Control {
    /// By document and stored text: each is compiled once.
    gateways: RefCell<BTreeMap<(usize, Bytes), Arc<Gateway>>>,
    documents: [Arc<Gateway>; 2],
    /// What was written, by its version.
    written: RefCell<BTreeMap<u64, String>>,
    changes: Cell<u64>,
}

impl Control {
    pub(crate) fn new(documents: [Arc<Gateway>; 2]) -> Self {
        Self {
            gateways: RefCell::default(),
            documents,
            written: RefCell::default(),
            changes: Cell::default(),
        }
    }

    /// A document with these changes over it.
    pub(crate) fn gateway(&self, document: usize, changes: &Bytes) -> Arc<Gateway> {
        let base = &self.documents[document];
        if changes.is_empty() {
            return Arc::clone(base);
        }
        let mut gateways = self.gateways.borrow_mut();
        let made = gateways
            .entry((document, changes.clone()))
            .or_insert_with(|| Arc::new(base.follow(changes).expect("what was accepted fits")));
        Arc::clone(made)
    }

    /// Notes what a batch has written, and tells where a version has come again.
    pub(crate) fn written(&self, batch: &Batch, row: &[store::Cell], wrong: impl FnOnce(&str)) {
        let mut cell = 0;
        for op in &batch.ops {
            if let Op::Replace { value, .. } = op
                && row.get(cell) == Some(&store::Cell::Int(1))
            {
                let version = version_of(value.as_bytes());
                let before = self.written.borrow_mut().insert(version, value.clone());
                if before.is_some_and(|before| before != *value) {
                    wrong(&format!("version {version} was written twice"));
                }
                return;
            }
            cell += op.width();
        }
    }
}

/// An administrator changes something that nobody sees, and tries until the gateway says that it has.
pub(crate) async fn change(fleet: &Rc<Fleet>, gateway: usize) {
    let number = fleet.control.changes.get();
    fleet.control.changes.set(number + 1);
    let body = json!({ "identity": { "name": format!("acip-{number}") } }).to_string();
    for _ in 0..MAX_TRIES {
        let status = patch(fleet, gateway, &body).await;
        fleet.judge.borrow_mut().note(&format!("change {status}"));
        match status {
            200 => return,
            409 | 429 | 503 => fleet.world.sleep_us(PAUSE_US).await,
            _ => {
                let how = format!("a change was answered with {status}");
                return fleet.judge.borrow_mut().wrong(&fleet.world, "changes are made", &how);
            }
        }
    }
}

async fn patch(fleet: &Rc<Fleet>, gateway: usize, body: &str) -> u16 {
    let ports = SimPorts::open(fleet, gateway, None, None);
    let _busy = Busy::new(&ports);
    let mut request = Request::new(Whole { chunk: Some(body.to_owned().into()), breaks: false });
    *request.method_mut() = Method::PATCH;
    *request.uri_mut() = Uri::from_static("/gateway/config");
    *request.version_mut() = Version::HTTP_11;
    for (name, value) in [
        ("host", "gateway.test".to_owned()),
        ("authorization", format!("Bearer {ADMIN}")),
        ("content-length", body.len().to_string()),
    ] {
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    let peer = Peer { ip: IpAddr::from([192, 0, 2, 99]), tls: false };
    let visitor = Visitor { peer, hints: Hints { region: None, client: None } };
    let response = serve(&ports, ports.in_force(), visitor, request).await;
    response.status().as_u16()
}

/// Where it is stored.
pub(crate) const CONFIG: &str = "gateway:config";
/// More than a store is away for.
const MAX_TRIES: u32 = 200;
const PAUSE_US: u64 = 100_000;
