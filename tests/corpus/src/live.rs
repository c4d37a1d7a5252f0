//! A built gateway over HTTP: its process, a real Redis, and origins that answer what the case says. Time and chance are
//! its own, so a case that needs others is left out, with the reason.
//!
//! After each step the runner waits until Redis has seen as many commands as the core and the driver send for it in this
//! process: what a step leaves behind is there when the next one begins.

use std::{
    collections::BTreeMap,
    thread,
    time::{Duration, Instant},
};

use acip_core::store::{Batch, Cell, Memory, Op};
use acip_tests::{Gateway, Redis, Target as Build, Transport};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::{
    case::{Case, Need, Says, Step, StoreIs},
    inside::{InProcess, Store as _, contents, document},
    kept::Kept,
    redis::RedisStore,
    run::{Seen, Target},
};
use scripted::Origins;

mod scripted;
mod wire;

/// The target that `ACIP_TARGET` and `ACIP_TRANSPORT` name.
pub struct Live {
    /// Says how many commands a step costs.
    model: InProcess,
    store: RedisStore,
    redis: Redis,
    /// Runs on from case to case while they share a configuration.
    running: Option<Running>,
    /// Scripts that Redis had run when the last step began.
    seen_scripts: u64,
    kept: Kept,
}

struct Running {
    /// Dropped first: it must not complain that its origins are gone.
    gateway: Gateway,
    origins: Origins,
    configuration: String,
}

impl Live {
    /// Starts a Redis; gateways start with their cases.
    ///
    /// # Errors
    /// What stands in the way.
    pub fn start() -> Result<Self, String> {
        let redis = Redis::start();
        let store = RedisStore::connect(redis.port())?;
        let model = InProcess::new(Memory::default());
        Ok(Self { model, store, redis, running: None, seen_scripts: 0, kept: Kept::default() })
    }

    fn open(&self, case: &Case, configuration: String) -> Result<Running, String> {
        let mut document = document(case);
        let names = names(&document);
        let origins = Origins::start(&names)?;
        let urls: Vec<String> = names.iter().map(|name| origins.url(name)).collect();
        set_origins(&mut document, &urls);
        let text = if Build::current() == Build::Native {
            toml::to_string(&document).map_err(|error| error.to_string())?
        } else {
            document.to_string()
        };
        let url = self.redis.url();
        let mut variables: BTreeMap<&str, &str> = [
            ("REDIS_URL", url.as_str()),
            // The document's own; an empty variable is none.
            ("AUTH_API_KEYS", ""),
            ("ADMIN_TOKEN", ""),
            ("REDIS_TIMEOUT", "5000"),
            ("ROUTER_HEALTH_CHECK_INTERVAL", "3600000"),
        ]
        .into();
        variables.extend(case.variables.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let variables: Vec<(&str, &str)> = variables.into_iter().collect();
        let gateway = Gateway::with_file(&[], &variables, Some(&text));
        Ok(Running { gateway, origins, configuration })
    }

    /// Waits until nothing comes any more of what a gateway does at its start: builds that count in the store count being asked
    /// whether they are ready, after they have said so, and that is not to be taken for what a step leaves behind.
    fn rest(&mut self) -> Result<(), String> {
        if Build::current() == Build::Native { Ok(()) } else { self.quiet(QUIET) }
    }

    /// Waits until Redis has run so many scripts more. A step that asks nothing may look for another configuration: which of its
    /// scripts has run cannot be told then, so what might still come is waited for.
    fn settle(&mut self, commands: u64, may_look: bool) -> Result<(), String> {
        let end = Instant::now() + SETTLES;
        let wanted = self.seen_scripts + commands;
        while self.store.scripts_run()? < wanted && Instant::now() < end {
            thread::sleep(Duration::from_millis(1));
        }
        if may_look && commands > 0 {
            self.quiet(LOOKS)?;
        }
        self.seen_scripts = self.store.scripts_run()?;
        Ok(())
    }

    /// Waits until no script has been run for so long.
    fn quiet(&mut self, long: Duration) -> Result<(), String> {
        let mut run = self.store.scripts_run()?;
        let mut since = Instant::now();
        while since.elapsed() < long {
            thread::sleep(Duration::from_millis(1));
            let now = self.store.scripts_run()?;
            if now != run {
                (run, since) = (now, Instant::now());
            }
        }
        Ok(())
    }
}

impl Target for Live {
    fn name(&self) -> String {
        let transport = if Transport::current() == Transport::Rest { "rest" } else { "tcp" };
        let example = if has_example() { ", with the example plugin" } else { "" };
        format!("{}, Redis over {transport}{example}", Build::current().name())
    }

    fn lacks(&self, case: &Case) -> Option<String> {
        let inferred = case.step.iter().find_map(lacks);
        let wire = || case.step.iter().any(is_about_the_wire).then_some(Need::Wire);
        let lacks = |need: &&Need| match need {
            Need::Example => !has_example(),
            Need::Edge => Build::current() == Build::Native,
            Need::Memory => Build::current() != Build::Native,
            _ => true,
        };
        let needs = case.needs.iter().filter(lacks);
        let need = needs.min().copied().or(inferred).or_else(wire);
        // Nobody reads it before the native build does.
        let need = need.filter(|need| *need != Need::Wire || Build::current() != Build::Native);
        let worker = || Build::current() == Build::Worker && case.step.iter().any(is_read_by_workerd);
        let need = need.or_else(|| worker().then_some(Need::Raw));
        need.map(|need| need.reason().to_owned())
    }

    fn start(&mut self, case: &Case) -> Result<(), String> {
        self.model.start(case)?;
        self.kept = Kept::default();
        let configuration = format!("{} {:?}", document(case), case.variables);
        if self.running.as_ref().is_none_or(|running| running.configuration != configuration) {
            self.running = None;
            self.running = Some(self.open(case, configuration)?);
            self.rest()?;
        }
        self.store.clear()?;
        let batch = Batch { now_ms: wire::now_ms(), ops: contents(case) };
        self.store.apply(&batch)?;
        self.seen_scripts = self.store.scripts_run()?;
        Ok(())
    }

    fn send(&mut self, step: &Step) -> Result<Seen, String> {
        let model = self.model.send(step)?;
        let running = self.running.as_ref().ok_or("was not started")?;
        running.origins.script(&step.origin);
        let mut seen = wire::send(running.gateway.port(), &self.kept.fill(step))?;
        self.kept.learn(step, &seen);
        seen.asked = running.origins.asked();
        let (commands, may_look) = model.inside.map_or((0, false), |inside| {
            // Where no process lives, every request adds to the counters in the store, if only to those.
            let counts = u64::from(Build::current() != Build::Native);
            (inside.commands.max(u64::from(inside.asks) + counts), inside.asks == 0)
        });
        self.settle(commands, may_look)?;
        Ok(seen)
    }

    fn read(&mut self, key: &str) -> Result<Option<Bytes>, String> {
        let batch = Batch { now_ms: wire::now_ms(), ops: vec![Op::Get { key: key.to_owned() }] };
        let cells = self.store.apply(&batch)?;
        self.seen_scripts = self.store.scripts_run()?;
        Ok(match cells.into_iter().next() {
            Some(Cell::Bytes(bytes)) => Some(bytes),
            _ => None,
        })
    }

    fn stop(&mut self) {
        self.model.stop();
    }
}

/// Set where the build is one with the plugin of `examples/custom-plugin`.
pub const EXAMPLE: &str = "ACIP_EXAMPLE";

fn has_example() -> bool {
    std::env::var_os(EXAMPLE).is_some()
}

/// What a step needs that a process of its own cannot be given.
fn lacks(step: &Step) -> Option<Need> {
    let expect = &step.expect;
    let counted = expect.headers.keys().any(|name| COUNTED.contains(&name.as_str()));
    // A window's border may come between two steps.
    let limited = expect.error.as_deref() == Some("RATE_LIMIT_EXCEEDED") || expect.status == Some(429);
    let slow = step.origin.iter().any(|says| says.delay.is_some());
    let fails = |says: &Says| says.breaks || says.fails.is_some();
    let needs = [
        (step.at.is_some_and(|at| at.0 != 0) || counted || limited || slow, Need::Clock),
        (step.turn.is_some() || step.draw != 0 || expect.origins.is_some(), Need::Chance),
        (step.client.is_some() || step.region.is_some() || step.vouched.is_some() || step.tls, Need::Place),
        (step.store != StoreIs::Up, Need::Failure),
        (step.origins.is_some() || step.origin.iter().any(fails), Need::Origins),
        (step.draining || !step.can_upgrade || step.leaves || expect.behind, Need::Inside),
    ];
    needs.into_iter().find(|(needed, _)| *needed).map(|(_, need)| need)
}

/// Whether a step depends on how its head is written: lines of a field apart, framing, a `?` before nothing. Platforms that hand
/// over a request as values have joined or judged that already.
fn is_about_the_wire(step: &Step) -> bool {
    let (_, target) = step.request.split_once(' ').unwrap_or_default();
    let field = |(name, value): (&String, &Value)| {
        let several = value.as_array().is_some_and(|lines| lines.len() > 1);
        several
            || ["connection", "content-length", "transfer-encoding"].contains(&name.as_str())
            || (name == "host" && *value == json!(false))
    };
    let length_of_nothing =
        step.request.starts_with("HEAD ") && step.expect.headers.contains_key("content-length");
    target.ends_with('?') || length_of_nothing || step.headers.iter().any(field)
}

/// Whether workerd makes something else of a request, or answers it, before the Worker sees it: paths with dots are resolved, and
/// methods and hosts that it cannot read end there.
fn is_read_by_workerd(step: &Step) -> bool {
    let (method, target) = step.request.split_once(' ').unwrap_or_default();
    let path = target.split('?').next().unwrap_or_default().to_ascii_lowercase().replace("%2e", ".");
    let dots = path.split('/').any(|segment| segment == "." || segment == "..");
    let user = step.headers.get("host").and_then(Value::as_str).is_some_and(|host| host.contains('@'));
    dots || user || !WORKERD_METHODS.contains(&method)
}

fn names(document: &Value) -> Vec<String> {
    let origins = document["origins"].as_array().cloned().unwrap_or_default();
    origins
        .iter()
        .enumerate()
        .map(|(place, origin)| origin["name"].as_str().map_or(format!("origin-{place}"), str::to_owned))
        .collect()
}

/// Puts the addresses of the scripted origins in, each with the path prefix that the case gave it.
fn set_origins(document: &mut Value, urls: &[String]) {
    let Some(origins) = document["origins"].as_array_mut() else { return };
    for (origin, url) in origins.iter_mut().zip(urls) {
        let was = origin["url"].as_str().unwrap_or_default();
        let rest = was.split_once("://").map_or("", |(_, rest)| rest);
        let prefix = rest.split_once('/').map_or(String::new(), |(_, path)| format!("/{path}"));
        origin["url"] = json!(format!("{url}{prefix}"));
    }
}

const WORKERD_METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const COUNTED: [&str; 6] =
    ["retry-after", "x-ratelimit-remaining", "x-ratelimit-reset", "ratelimit", "age", "x-ratelimit-limit"];
/// With nothing sent for so long, nothing is under way.
const QUIET: Duration = Duration::from_millis(50);

/// Much longer than a script takes to follow one before the answer.
const LOOKS: Duration = Duration::from_millis(20);

/// Longer than any epilogue takes; a target that sends fewer commands waits so long.
const SETTLES: Duration = Duration::from_millis(500);
