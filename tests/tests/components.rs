//! Components in a running gateway: loaded, out of fuel, and exchanged while requests go on. What fails is the component's own,
//! and operators hear of it.

use std::{
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use acip_tests::{ADMIN, Answer, Gateway, Http, KEY, Origin, Target, Transport, root, wait_for};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::events::Listener;

/// Requests that no component has anything to say about, one after the other until it is over: each must pass.
struct Others {
    http: Http,
    over: AtomicBool,
    passed: AtomicU64,
}

impl Others {
    fn start(http: Http) -> (Arc<Self>, Vec<JoinHandle<()>>) {
        let others = Arc::new(Self { http, over: AtomicBool::new(false), passed: AtomicU64::new(0) });
        let clients = (0..4).map(|_| tokio::spawn(Arc::clone(&others).client())).collect();
        (others, clients)
    }

    async fn client(self: Arc<Self>) {
        while !self.over.load(SeqCst) {
            let answer = self.http.get("/_test/echo").key(KEY).send().await;
            assert_eq!(answer.status, 200, "{}", answer.text());
            self.passed.fetch_add(1, SeqCst);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until so many more have passed.
    async fn go_on(&self, more: u64) {
        let enough = self.passed.load(SeqCst) + more;
        wait_for("other requests", async || self.passed.load(SeqCst) >= enough).await;
    }
}

/// Puts a file in the place of another, whole.
fn replace(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("new");
    fs::write(&beside, bytes).expect("writes");
    fs::rename(beside, path).expect("moves");
}

/// A component that `cargo xtask test` builds.
fn built(name: &str) -> Vec<u8> {
    fs::read(root().join("target/wasm/wasm32-wasip2/release").join(name))
        .expect("is built by `cargo xtask test`")
}

async fn get(http: &Http, path: &str) -> Answer {
    http.get(path).key(KEY).send().await
}

async fn page(http: &Http, path: &str) -> Answer {
    let answer = http.get(path).bearer(ADMIN).send().await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer
}

async fn plugin(http: &Http) -> Value {
    page(http, "/gateway/plugins/guest-plugin").await.json()
}

/// How often the plugin has failed, as metrics tell.
async fn failures(http: &Http) -> u64 {
    let text = page(http, "/gateway/metrics").await.text();
    let series = "gateway_plugin_errors_total{plugin=\"guest-plugin\"} ";
    text.lines().find_map(|line| line.strip_prefix(series)).map_or(0, |count| count.parse().expect("a count"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_component_is_exchanged_and_fails_alone_while_requests_go_on() {
    if Target::current() != Target::Native || Transport::current() != Transport::Tcp {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("plugin.wasm");
    replace(&path, &built("guest.wasm"));
    let file = format!(
        "rate_limit.enabled = false\n[plugins.guest-plugin.config]\ncomponent = '{}'\nfuel = 1000000\ntime_ms = 10000\n",
        path.display()
    );
    let origin = Origin::start();
    let gateway = Gateway::with_components(&[&origin.url()], &[("LOG_SAMPLE", "0")], &file);
    let http = gateway.http();
    let mut listener = Listener::open(&http, "?name=gateway:plugin:*", None).await;

    // Loaded.
    let first = plugin(&http).await;
    assert_eq!((&first["status"], &first["implementation"]), (&json!("active"), &json!("component")));
    let refused = get(&http, "/api/refuse").await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()["error"]["message"].as_str()),
        (404, Some("as asked"))
    );

    // Out of fuel, again and again.
    let (others, clients) = Others::start(gateway.http());
    for _ in 0..20 {
        let looped = get(&http, "/api/loop").await;
        assert_eq!((looped.status.as_u16(), looped.code().as_str()), (500, "INTERNAL_ERROR"));
        let heard = listener.next().await.expect("an event").data;
        assert_eq!(
            (&heard["plugin"], &heard["detail"]),
            (&json!("guest-plugin"), &json!("it used up its fuel"))
        );
    }
    others.go_on(50).await;
    assert_eq!((failures(&http).await, plugin(&http).await["status"].clone()), (20, json!("error")));
    assert_eq!(page(&http, "/gateway/plugins").await.json()["error"], 1);

    // Exchanged.
    replace(&path, &built("component_plugin.wasm"));
    let beta = async || get(&http, "/api/v1/beta/a").await.text().contains("no such page");
    wait_for("the new component", beta).await;
    assert_ne!(plugin(&http).await["version"], first["version"]);
    assert!(!get(&http, "/api/refuse").await.text().contains("as asked"));
    others.go_on(50).await;

    // For the worse: the old one stays, and operators hear of it.
    replace(&path, b"no component");
    let heard = listener.next().await.expect("an event").data;
    assert_eq!((&heard["plugin"], &heard["request_id"]), (&json!("guest-plugin"), &Value::Null));
    assert!(heard["detail"].as_str().expect("text").contains("no component"), "{heard}");
    let now = plugin(&http).await;
    assert_eq!((&now["status"], &now["fault"]), (&json!("error"), &heard["detail"]));
    assert_eq!(failures(&http).await, 21);
    assert!(beta().await);
    others.go_on(50).await;

    // For the better.
    replace(&path, &built("guest.wasm"));
    let refuses = async || get(&http, "/api/refuse").await.text().contains("as asked");
    wait_for("the first component", refuses).await;
    let now = plugin(&http).await;
    assert_eq!((&now["version"], now.get("fault")), (&first["version"], None));
    others.go_on(50).await;
    others.over.store(true, SeqCst);
    for client in clients {
        client.await.expect("no request of others failed");
    }
    assert_eq!(failures(&http).await, 21, "told once");
}
