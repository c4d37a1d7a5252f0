//! The fleet, who asks it what, and what befalls it.

use std::{
    cell::{Cell, RefCell},
    future::Future as _,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
};

use acip_core::{
    Gateway,
    config::{Document, Format, Platform, Source},
    facts::{Hints, Peer},
    store::{Batch, MemoryLimits, Op},
};
use acip_shell::{Visitor, serve};
use http::{Method, Request, Version};
use http_body::Body as _;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::{
    chance::Chance,
    control::{self, Control},
    judge::{Answer, Judge},
    life::Lives,
    plan::{Befalls, LASTS_MS, Plan, Site, WINDOW_MS},
    ports::{Busy, SimPorts, Whole},
    redis::Redis,
    world::World,
};

/// Keys with a record in the store, and whose they are.
pub(crate) const KEYS: [(&str, &str); 4] =
    [("ann-key-01", "ann"), ("ann-key-02", "ann"), ("bob-key-03", "bob"), ("cy-key-04", "cy")];
/// The key of the first document alone.
pub(crate) const DOCUMENT_KEY: &str = "dot-key-05";
/// `ADMIN_TOKEN`.
pub(crate) const ADMIN: &str = "the-admin-token";
/// 2026-01-01T00:00:00Z, a border of all usual windows.
pub(crate) const START_MS: u64 = 1_767_225_600_000;
/// `Cache-Control` of the paths `…/0` to `…/3`, with seconds of freshness and how long past that.
pub(crate) const CONTROLS: [(&str, u64, u64); 4] = [
    ("max-age=1", 1, 0),
    ("max-age=1, stale-while-revalidate=2", 1, 2),
    ("max-age=1, stale-if-error=3", 1, 3),
    ("max-age=2, must-revalidate, stale-while-revalidate=9", 2, 0),
];

/// Everything there is.
pub(crate) struct Fleet {
    pub(crate) world: Rc<World>,
    pub(crate) plan: Plan,
    pub(crate) network: Chance,
    pub(crate) loss: u64,
    pub(crate) latency_us: u64,
    pub(crate) redis: RefCell<Redis>,
    pub(crate) gateways: Vec<Instance>,
    pub(crate) origins: Vec<Origin>,
    pub(crate) control: Control,
    jobs: RefCell<Vec<(String, String, u64)>>,
    pub(crate) judge: RefCell<Judge>,
}

/// One gateway.
pub(crate) struct Instance {
    /// Which of the two documents is in force.
    pub(crate) document: Cell<usize>,
    pub(crate) site: Site,
    pub(crate) lives: Lives,
    pub(crate) chance: Chance,
}

/// One origin.
#[derive(Default)]
pub(crate) struct Origin {
    /// Whether it is away; if so, whether it takes requests and never answers.
    pub(crate) away: Cell<Option<bool>>,
}

/// What a gateway's own memory may hold.
pub(crate) fn bounds() -> MemoryLimits {
    MemoryLimits { records: 8, limiters: 12, cache_entries: 4, strings: 8, ..MemoryLimits::default() }
}

/// The store's name of a credential's record.
pub(crate) fn record_key(credential: &str) -> String {
    let digest = Sha256::digest(format!("distributed-gpu-inference-v1:{credential}").as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("gateway:key:{{{hex}}}")
}

/// Whose a key is; nobody's where it is none.
pub(crate) fn tenant_of(key: &str) -> &'static str {
    let known = KEYS.iter().find(|(known, _)| *known == key).map(|(_, tenant)| *tenant);
    known.unwrap_or(if key == DOCUMENT_KEY { "dot" } else { "" })
}

impl Fleet {
    pub(crate) fn new(plan: Plan) -> Self {
        let chance = plan.chance.fork();
        let instance = |site: &Site| Instance {
            document: Cell::new(0),
            site: *site,
            lives: Lives::new(site.target, plan.origins),
            chance: chance.fork(),
        };
        Self {
            world: Rc::default(),
            network: chance.fork(),
            loss: plan.loss,
            latency_us: plan.latency_us,
            redis: RefCell::new(Redis::new(plan.lag_us)),
            gateways: plan.gateways.iter().map(instance).collect(),
            origins: (0..plan.origins).map(|_| Origin::default()).collect(),
            control: Control::new([true, false].map(|first| document(&plan, first))),
            jobs: RefCell::default(),
            judge: RefCell::new(Judge::default()),
            plan,
        }
    }

    /// Status, `Cache-Control` and body. Every answer tells for whom it was made, and when.
    pub(crate) fn origin_says(
        &self,
        method: &Method,
        path: &str,
        tenant: &str,
        key: &str,
    ) -> (u16, &'static str, String) {
        let at = self.world.now_ms();
        let mut jobs = self.jobs.borrow_mut();
        if method == Method::POST {
            let id = format!("job-{}", jobs.len());
            jobs.push((id.clone(), tenant.to_owned(), at));
            return (
                200,
                "no-store",
                json!({ "job_id": id, "status": "queued", "tenant": tenant }).to_string(),
            );
        }
        if let Some(id) = path.strip_prefix("/api/v1/jobs/") {
            let Some((_, owner, since)) = jobs.iter().find(|(job, ..)| job == id) else {
                return (404, "no-store", json!({ "detail": "no such job" }).to_string());
            };
            let status = if at > since + 1_500 { "completed" } else { "running" };
            let body = json!({ "job_id": id, "status": status, "tenant": owner, "key": key, "at": at });
            return (200, "", body.to_string());
        }
        let control = path.rsplit('/').next().and_then(|last| last.parse::<usize>().ok());
        let control = control.and_then(|index| CONTROLS.get(index)).map_or("no-store", |(text, ..)| text);
        (200, control, json!({ "tenant": tenant, "key": key, "at": at }).to_string())
    }

    fn put_records(&self) {
        let limits = json!([{ "name": "all", "limit": self.plan.limit, "window_ms": WINDOW_MS, "algorithm": self.plan.algorithm.name() }]);
        let ops = KEYS.iter().map(|(key, tenant)| {
            let fields = [
                ("id", *key),
                ("name", *key),
                ("tenant", *tenant),
                ("enabled", "1"),
                ("limits", &limits.to_string()),
            ];
            let fields =
                fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
            Op::SetHash { key: record_key(key), fields, ttl_ms: None, only_new: false }
        });
        let batch = Batch { now_ms: START_MS, ops: ops.collect() };
        self.redis.borrow_mut().apply(&batch, self.world.now_us());
    }
}

/// Two documents: the second has no key of its own, another strategy, and no refreshing behind clients' backs.
fn document(plan: &Plan, first: bool) -> Arc<Gateway> {
    let origins: Vec<_> = (0..plan.origins)
        .map(|place| json!({ "name": format!("o{place}"), "url": format!("http://o{place}.test:8000") }))
        .collect();
    let keys = if first { vec![format!("dot:{DOCUMENT_KEY}")] } else { Vec::new() };
    let text = json!({
        "origins": origins,
        "auth": { "admin_token": ADMIN, "api_keys": keys, "job_ownership": if plan.strict_ownership { "strict" } else { "learned" } },
        "rate_limit": { "window_ms": WINDOW_MS, "max_requests": plan.limit, "algorithm": plan.algorithm.name() },
        "router": { "strategy": if first { "p2c-ewma" } else { "round-robin" } },
        "upstream": { "timeout_ms": 1_000 },
        "routes": [
            { "path": "/own/*", "auth": "api-key", "cache": { "mode": "per-credential" } },
            { "path": "/all/*", "auth": "api-key", "cache": { "mode": "shared" } },
        ],
    })
    .to_string();
    let source = Source { name: "document", text: &text, format: Format::Json };
    let read = Document::read(Some(source), [], Platform::Native).expect("a document");
    Arc::new(Gateway::compile(read).expect("a gateway"))
}

/// Puts everything under way.
pub(crate) fn start(fleet: &Rc<Fleet>) {
    fleet.put_records();
    for (at_ms, what) in fleet.plan.events.clone() {
        let (fleet, timer) = (Rc::clone(fleet), fleet.world.sleep_us(at_ms * 1000));
        fleet.world.clone().spawn(async move {
            timer.await;
            befall(&fleet, what).await;
        });
    }
    let chance = fleet.plan.chance.fork();
    let mut at_us = 0;
    for number in 0..fleet.plan.requests {
        // Most come close upon each other, as clients do.
        let most = if chance.per_mille(700) { 8_000 } else { 2 * LASTS_MS * 1000 / fleet.plan.requests * 3 };
        at_us += chance.between(0, most);
        let (fleet, timer, chance) = (Rc::clone(fleet), fleet.world.sleep_us(at_us), chance.fork());
        fleet.world.clone().spawn(async move {
            timer.await;
            request(&fleet, number, &chance).await;
        });
    }
}

async fn befall(fleet: &Rc<Fleet>, what: Befalls) {
    let world = &fleet.world;
    match what {
        Befalls::Restart { away_ms, forgets } => {
            fleet.redis.borrow_mut().up = false;
            world.sleep_us(away_ms * 1000).await;
            let mut redis = fleet.redis.borrow_mut();
            if forgets {
                redis.forget(world.now_ms());
            }
            redis.up = true;
            drop(redis);
            if forgets {
                // Keys are kept elsewhere too, and come back at once.
                fleet.put_records();
            }
        }
        Befalls::Failover => fleet.redis.borrow_mut().fail_over(world.now_us()),
        Befalls::OriginDies { origin, away_ms, rude } => {
            fleet.origins[origin].away.set(Some(rude));
            world.sleep_us(away_ms * 1000).await;
            fleet.origins[origin].away.set(None);
        }
        Befalls::Reload { gateway } => {
            let document = &fleet.gateways[gateway].document;
            document.set(1 - document.get());
        }
        Befalls::Change { gateway } => control::change(fleet, gateway).await,
        Befalls::Revoke { key } => {
            let fields = vec![("enabled".to_owned(), "0".to_owned())];
            let ops =
                vec![Op::SetHash { key: record_key(KEYS[key].0), fields, ttl_ms: None, only_new: false }];
            let batch = Batch { now_ms: START_MS + world.now_ms(), ops };
            // The administrator tries until the store has it.
            while fleet.redis.borrow_mut().apply(&batch, world.now_us()).is_none() {
                world.sleep_us(20_000).await;
            }
        }
    }
}

async fn request(fleet: &Rc<Fleet>, number: u64, chance: &Chance) {
    let gateway = usize::try_from(chance.draw() % fleet.gateways.len() as u64).unwrap_or_default();
    let key = match chance.between(0, 10) {
        0 => "nobody-key-99",
        1 | 2 => DOCUMENT_KEY,
        _ => chance.of(&KEYS).0,
    };
    let known = fleet.jobs.borrow().len() as u64;
    let job = (known > 0).then(|| format!("job-{}", chance.draw() % known));
    let place = chance.between(0, 4);
    let (method, path, job) = match (chance.between(0, 10), job) {
        (0..=3, _) => (Method::GET, format!("/own/{place}"), None),
        (4..=5, _) => (Method::GET, format!("/all/{place}"), None),
        (8, Some(job)) => (Method::DELETE, format!("/api/v1/jobs/{job}"), Some(job)),
        (7 | 9, Some(job)) => (Method::GET, format!("/api/v1/jobs/{job}"), Some(job)),
        _ => (Method::POST, "/api/v1/jobs".to_owned(), None),
    };
    let body = if method == Method::POST { Some("{}".into()) } else { None };
    let length = body.as_ref().map(|_| 2);
    let mut request = Request::new(Whole { chunk: body, breaks: false });
    *request.method_mut() = method.clone();
    *request.uri_mut() = path.parse().expect("a path");
    *request.version_mut() = Version::HTTP_11;
    let headers = request.headers_mut();
    headers.insert("host", http::HeaderValue::from_static("gateway.test"));
    headers.insert("x-api-key", http::HeaderValue::from_static(key));
    if let Some(length) = length {
        headers.insert("content-length", http::HeaderValue::from(length));
    }
    let ports = SimPorts::open(fleet, gateway, KEYS.iter().position(|(known, _)| *known == key), job);
    let (instance, asked) = (&fleet.gateways[gateway], Rc::clone(&ports.asked));
    let _busy = Busy::new(&ports);
    let ip = std::net::IpAddr::from([192, 0, 2, u8::try_from(number % 5).unwrap_or_default() + 1]);
    let visitor = Visitor { peer: Peer { ip, tls: false }, hints: Hints { region: None, client: None } };
    let began_ms = fleet.world.now_ms();
    let local_ms = began_ms + instance.site.ahead_ms;
    let patience = chance.per_mille(40).then(|| fleet.world.sleep_us(chance.between(0, 60_000)));
    let served = serve(&ports, ports.in_force(), visitor, request);
    let Some(response) = unless(served, patience).await else {
        fleet.judge.borrow_mut().note("left");
        return;
    };
    let answered_ms = fleet.world.now_ms();
    let (parts, mut stream) = response.into_parts();
    let mut text = Vec::new();
    let mut broke = false;
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut stream).poll_frame(cx)).await {
        match frame {
            Ok(frame) => text.extend_from_slice(&frame.into_data().unwrap_or_default()),
            Err(_) => broke = true,
        }
        if broke {
            break;
        }
    }
    let answer = Answer {
        number,
        gateway,
        life: ports.life.number,
        document: asked.document.get(),
        key,
        method,
        path,
        began_ms,
        local_ms,
        answered_ms,
        status: parts.status.as_u16(),
        cache: parts.headers.get("x-gateway-cache").and_then(|it| it.to_str().ok()).unwrap_or("").to_owned(),
        body: if broke { None } else { Some(text) },
    };
    fleet.judge.borrow_mut().answer(fleet, &answer, &asked);
}

/// The future's outcome, unless the timer goes off first.
async fn unless<T>(future: impl Future<Output = T>, timer: Option<crate::world::Timer>) -> Option<T> {
    let mut future = pin!(future);
    let mut timer = timer;
    std::future::poll_fn(move |cx| {
        if let Some(timer) = &mut timer
            && Pin::new(timer).poll(cx).is_ready()
        {
            return Poll::Ready(None);
        }
        future.as_mut().poll(cx).map(Some)
    })
    .await
}
