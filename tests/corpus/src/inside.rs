//! The core and its driver in this process: a store of the runner's choice, the case's clock, chance and origins. Nothing
//! here waits: when all that is under way waits for time, time moves to the next timer.

use std::{
    cell::RefCell,
    future::Future,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use acip_core::{
    config::{Document, Format, Platform, Source},
    facts::{Hints, Peer},
    origins::{Board, Observation},
    store::{Batch, Cell, Memory, Op},
};
use acip_shell::{Visitor, plugins::compile_with, serve};
use bytes::Bytes;
use http::{Request, Version};
use http_body::Body as _;
use serde_json::{Value, json};

use crate::{
    case::{Case, Need, OriginIs, Step, StoreIs},
    kept::Kept,
    run::{Inside as Told, Seen, Target},
    said,
    template::stored,
};
use ports::{CasePorts, Sent, World};

mod event;
mod failing;
mod ports;

/// A store that answers at once.
pub trait Store {
    /// What the matrix calls it.
    fn name(&self) -> &'static str;

    /// Empties it.
    fn clear(&mut self) -> Result<(), String>;

    /// Answers a batch.
    fn apply(&mut self, batch: &Batch) -> Result<Vec<Cell>, String>;

    /// What it lacks to run a case.
    fn lacks(&self, case: &Case) -> Option<String>;
}

impl Store for Memory {
    fn name(&self) -> &'static str {
        "embedded"
    }

    fn clear(&mut self) -> Result<(), String> {
        *self = Self::default();
        Ok(())
    }

    fn apply(&mut self, batch: &Batch) -> Result<Vec<Cell>, String> {
        Ok(Self::apply(self, batch))
    }

    fn lacks(&self, _: &Case) -> Option<String> {
        None
    }
}

/// The target.
pub struct InProcess {
    store: Rc<RefCell<dyn Store>>,
    running: Option<Running>,
}

struct Running {
    world: Rc<World>,
    kept: Kept,
}

impl InProcess {
    /// With a store.
    pub fn new(store: impl Store + 'static) -> Self {
        Self { store: Rc::new(RefCell::new(store)), running: None }
    }

    fn put(&self, case: &Case) -> Result<(), String> {
        let ops = contents(case);
        let batch = Batch { now_ms: crate::moment::START_MS, ops };
        self.store.borrow_mut().apply(&batch).map(|_| ())
    }
}

impl Target for InProcess {
    fn name(&self) -> String {
        format!("core, {} store", self.store.borrow().name())
    }

    fn lacks(&self, case: &Case) -> Option<String> {
        self.store.borrow().lacks(case)
    }

    fn start(&mut self, case: &Case) -> Result<(), String> {
        self.store.borrow_mut().clear()?;
        self.put(case)?;
        let text = document(case).to_string();
        let source = Source { name: "document", text: &text, format: Format::Json };
        let document = Document::read(Some(source), case.variables.clone(), Platform::Native)
            .map_err(|errors| errors.to_string())?;
        let gateway = compile_with(document, failing::plugins).map_err(|error| error.to_string())?;
        let world = Rc::new(World::new(Arc::new(gateway), Rc::clone(&self.store)));
        self.running = Some(Running { world, kept: Kept::default() });
        Ok(())
    }

    fn send(&mut self, step: &Step) -> Result<Seen, String> {
        let running = self.running.as_mut().ok_or("was not started")?;
        let seen = running.send(&running.kept.fill(step))?;
        running.kept.learn(step, &seen);
        Ok(seen)
    }

    fn read(&mut self, key: &str) -> Result<Option<Bytes>, String> {
        let now_ms = self.running.as_ref().map_or(0, |running| running.world.now_ms());
        let batch = Batch { now_ms, ops: vec![Op::Get { key: key.to_owned() }] };
        match self.store.borrow_mut().apply(&batch)?.into_iter().next() {
            Some(Cell::Bytes(bytes)) => Ok(Some(bytes)),
            _ => Ok(None),
        }
    }

    fn stop(&mut self) {
        self.running = None;
    }
}

impl Running {
    fn send(&self, step: &Step) -> Result<Seen, String> {
        let world = &self.world;
        let gateway = Arc::clone(&world.gateway.borrow());
        world.prepare(step);
        if let Some(origins) = &step.origins {
            let document = gateway.document();
            let mut board = Board::new(document.origins.len());
            for (name, is) in origins {
                let place = document.origins.iter().position(|origin| origin.name == *name);
                let place = place.ok_or_else(|| format!("no origin is named `{name}`"))?;
                set(&mut board, acip_core::origins::OriginId(place), *is, world.now_ms());
            }
            *world.board.borrow_mut() = board;
        }
        let (method, uri) = step.line()?;
        let body = step.bytes();
        let mut headers = said::fields(&step.headers)?;
        let asks_none = |name: &str| !step.headers.contains_key(name);
        if asks_none("host") {
            headers.insert("host", http::HeaderValue::from_static("gateway.test"));
        }
        if !body.is_empty() && asks_none("content-length") && asks_none("transfer-encoding") {
            headers.insert("content-length", body.len().into());
        }
        let chunked = headers.contains_key("transfer-encoding");
        let body = if chunked { ports::Whole::chunked(body) } else { ports::Whole::new(body) };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = uri;
        *request.version_mut() = Version::HTTP_11;
        *request.headers_mut() = headers;
        let hints = Hints { region: step.region.clone(), client: step.vouched };
        let peer = Peer { ip: step.client.unwrap_or(CLIENT), tls: step.tls };
        let ports = CasePorts(Rc::clone(world));
        let mut seen = Seen::default();
        let answer = serve(&ports, Arc::clone(&gateway), Visitor { peer, hints }, request);
        let response = world.until(answer)?;
        seen.status = response.status().as_u16();
        seen.headers = response.headers().clone();
        let mut body = response.into_body();
        if !step.leaves {
            let mut whole = Vec::new();
            let read = async {
                while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
                    match frame {
                        Ok(frame) => whole.extend_from_slice(&frame.into_data().unwrap_or_default()),
                        Err(_) => return true,
                    }
                }
                false
            };
            seen.broke = world.until(read)?;
            seen.body = whole.into();
        }
        drop(body);
        let before = world.sent.borrow().len();
        world.settle()?;
        let sent = std::mem::take(&mut *world.sent.borrow_mut());
        let timeout_ms = sent.first().and_then(|sent| sent.timeout_ms);
        let mut asked: Vec<_> = sent.into_iter().map(|Sent { asked, .. }| asked).collect();
        seen.behind = asked.split_off(before.min(asked.len()));
        seen.asked = asked;
        seen.inside = Some(self.told(timeout_ms));
        Ok(seen)
    }

    fn told(&self, timeout_ms: Option<u64>) -> Told {
        let world = &self.world;
        let epilogues = std::mem::take(&mut *world.epilogues.borrow_mut());
        let batches = std::mem::take(&mut *world.asked.borrow_mut());
        // What the process keeps for itself is no command.
        let for_store = |batch: &Batch| match batch.homes() {
            Some(homes) => Some(homes.store.batch).filter(|rest| !rest.is_empty()),
            None => Some(batch.clone()),
        };
        let written: Vec<Batch> = epilogues.iter().filter_map(|it| for_store(it.batch.as_ref()?)).collect();
        let claims = |batch: &&Batch| matches!(batch.ops.last(), Some(Op::Set { only_new: true, .. }));
        let asks = batches.iter().filter(|batch| !written.contains(*batch) && !claims(batch)).count();
        let refreshes = epilogues.len().saturating_sub(1);
        let gateway = self.world.gateway.borrow();
        let document = gateway.document();
        let mut told = Told {
            commands: u64::try_from(asks + written.len()).unwrap_or(u64::MAX),
            // A refresh behind the client's back asks for its claim alone.
            asks: u32::try_from(asks).unwrap_or(u32::MAX),
            timeout_ms,
            ..Told::default()
        };
        for epilogue in &epilogues {
            told.events.extend(epilogue.events.iter().map(|event| event::text(event, document)));
            told.writes.extend(epilogue.batch.iter().flat_map(|batch| batch.ops.clone()));
            told.told.push_str(&acip_core::telemetry::access::json_line(&epilogue.record, document));
        }
        if let Some(first) = epilogues.first() {
            let record = &first.record;
            told.refused = record.refused.map(str::to_owned);
            told.route = record.route.as_ref().map(|route| route.pattern.clone());
            told.identity.clone_from(&record.identity);
        }
        told.told.push_str(&format!("{:?} {batches:?} {refreshes}", told.events));
        told
    }
}

/// The document of a case, with what most cases share.
pub(crate) fn document(case: &Case) -> Value {
    let mut document = case.document.clone();
    document.entry("origins").or_insert_with(|| json!([{ "name": "a", "url": "http://a.test:8000" }]));
    let auth = document.entry("auth").or_insert_with(|| json!({}));
    if let Value::Object(auth) = auth {
        auth.entry("api_keys").or_insert_with(|| json!(["alice:alice-key-01", "bob:bob-key-02"]));
        auth.entry("admin_token").or_insert_with(|| json!("admin-token-03"));
        auth.retain(|_, value| *value != json!(false) || value.is_null());
    }
    Value::Object(document)
}

/// What a case puts into the store.
pub(crate) fn contents(case: &Case) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut hash = |key: String, fields: Vec<(String, String)>, ttl_ms| {
        ops.push(Op::SetHash { key, fields, ttl_ms, only_new: false });
    };
    let plain = |value: &Value| match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    for (key, record) in &case.keys {
        let fields = record.iter().map(|(name, value)| (name.clone(), plain(value))).collect();
        hash(format!("gateway:key:{{{}}}", stored(key)), fields, None);
    }
    for (id, learned) in &case.workers {
        let mut fields = vec![("hash".to_owned(), stored(&learned.token))];
        fields.extend(learned.expires_at.map(|at| ("expires_at".to_owned(), at.to_string())));
        hash(format!("gateway:worker:{id}"), fields, None);
    }
    for (key, entry) in &case.store {
        let ttl_ms = entry.ttl.map(crate::moment::Span::ms);
        if let Some(fields) = &entry.hash {
            let fields = fields.iter().map(|(name, value)| (name.clone(), value.0.clone())).collect();
            ops.push(Op::SetHash { key: key.clone(), fields, ttl_ms, only_new: false });
            continue;
        }
        let text = entry.text.as_ref().map(|text| text.0.clone());
        let text = text.or_else(|| entry.json.as_ref().map(ToString::to_string));
        let value = Bytes::from(text.unwrap_or_default());
        ops.push(Op::Set { key: key.clone(), value, ttl_ms, only_new: false });
    }
    ops
}

fn set(board: &mut Board, origin: acip_core::origins::OriginId, is: OriginIs, now_ms: u64) {
    if is.ewma_us > 0 {
        board.observe(origin, Observation::Answered { us: is.ewma_us }, now_ms);
    }
    (0..is.in_flight).for_each(|_| board.start(origin));
    if is.ejected {
        board.observe(origin, Observation::Failed, now_ms);
    }
}

impl World {
    /// Drives a future to its end, time included.
    fn until<F: Future>(&self, future: F) -> Result<F::Output, String> {
        let mut future = pin!(future);
        loop {
            match future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                Poll::Ready(value) => return Ok(value),
                Poll::Pending => self.wait()?,
            }
        }
    }

    /// Lets everything that runs behind the client's back come to its end.
    fn settle(&self) -> Result<(), String> {
        loop {
            let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
            if tasks.is_empty() {
                return Ok(());
            }
            for task in tasks {
                self.until(task)?;
            }
        }
    }
}

impl Need {
    /// What a person reads in the matrix.
    pub fn reason(self) -> &'static str {
        match self {
            Self::Clock => "needs a clock of its own",
            Self::Chance => "needs turns and draws of its own",
            Self::Place => "needs a client address of its own",
            Self::Failure => "needs a store that fails on demand",
            Self::Expiry => "needs keys that expire by its own clock",
            Self::Origins => "needs origins in a state of its own",
            Self::Inside => "looks at what only the inside shows",
            Self::Wire => "needs the head as it came over the wire",
            Self::Raw => "needs its method, path and host as the client wrote them",
            Self::Edge => "is about builds of which no process sees all requests",
            Self::Memory => "needs one memory for all requests",
            Self::Example => "needs a build with the example plugin",
            Self::Failing => "needs a build with a plugin that fails",
        }
    }
}

impl StoreIs {
    fn is_up(self) -> bool {
        self == Self::Up
    }
}

const CLIENT: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));
