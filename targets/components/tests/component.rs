//! A component in a gateway with all other plugins: what it says is done, what it breaks is its own.

use std::{fs, path::Path, sync::Arc, time::Duration};

use acip_core::{
    Facts, Gateway, Outcome, RequestHead, ResponseHead, Step, Verdict,
    config::{Document, Format, Platform, Source},
    event::Event,
    plugin::{Answers, Source as From},
    store::{Cells, Memory, MemoryLimits},
};
use acip_shell::plugins::compile_with;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Version, header};

/// Components that `cargo xtask test` builds, from Rust: what their runtime imports is there and does nothing.
fn built(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/wasm/wasm32-wasip2/release");
    fs::read(folder.join(name)).expect("is built by `cargo xtask test`")
}

fn guest() -> Vec<u8> {
    built("guest.wasm")
}

fn example() -> Vec<u8> {
    built("component_plugin.wasm")
}

fn compile(path: &Path, more: &str) -> Result<Arc<Gateway>, String> {
    // Wall time is not what these tests are about, but for one.
    let time = if more.contains("time_ms") { "" } else { "time_ms = 10000" };
    let text = format!(
        "auth.api_keys = ['alice:alice-key-01', 'bob:bob-key-02', 'acme:acme-key-03']\nrate_limit.enabled = false\n\
         [plugins.guest-plugin.config]\ncomponent = '{}'\n{time}\n{more}",
        path.display()
    );
    let source = Source { name: "gateway.toml", text: &text, format: Format::Toml };
    let document = Document::read(Some(source), [], Platform::Native).expect("reads");
    compile_with(document, acip_components::plugins).map(Arc::new).map_err(|error| error.to_string())
}

#[derive(Debug)]
struct Seen {
    status: u16,
    /// Fields for the origin; none where it was not asked.
    sent: Option<HeaderMap>,
    headers: HeaderMap,
    failures: Vec<String>,
}

fn send(gateway: &Arc<Gateway>, path: &str, key: &'static str) -> Seen {
    send_with(gateway, path, key, "x-debug")
}

fn send_with(gateway: &Arc<Gateway>, path: &str, key: &'static str, field: &'static str) -> Seen {
    let fields = [
        (header::HOST, HeaderValue::from_static("a")),
        (header::HeaderName::from_static("x-api-key"), HeaderValue::from_static(key)),
        (header::HeaderName::from_static(field), HeaderValue::from_static("1")),
    ];
    let headers = HeaderMap::from_iter(fields);
    let uri = path.parse().expect("a path");
    let head = RequestHead { method: Method::GET, uri, version: Version::HTTP_11, headers };
    let facts = Facts::at(1_700_000_000_000, [127, 0, 0, 1].into());
    let mut store = Memory::new(MemoryLimits::default());
    let verdict = match gateway.begin(head, facts) {
        Step::Settled(verdict) => verdict,
        Step::Asking(exchange) => {
            let cells = store.apply(exchange.batch());
            exchange.decide(Answers { cells: Cells(&cells), source: From::Store })
        }
    };
    let (status, sent, headers, closing) = match verdict {
        Verdict::Reply(reply) => (reply.answer.status, None, reply.answer.headers, reply.closing),
        Verdict::Forward(forward) => {
            let sent = forward.headers.clone();
            let fields = [(header::SERVER, HeaderValue::from_static("python"))];
            let head = ResponseHead { status: StatusCode::OK, headers: HeaderMap::from_iter(fields) };
            let seal = forward.seal(0, head, 0, 0);
            (seal.head.status, Some(sent), seal.head.headers, seal.closing)
        }
        _ => panic!("{path}: neither refused nor forwarded"),
    };
    let events = closing.finish(Outcome::default()).events;
    let failure = |event| match event {
        Event::PluginError { plugin: "guest-plugin", detail } => Some(detail),
        _ => None,
    };
    let failures = events.into_iter().filter_map(failure).collect();
    Seen { status: status.as_u16(), sent, headers, failures }
}

fn has(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).map(|value| value.to_str().expect("text").to_owned())
}

#[test]
fn what_it_says_is_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.wasm");
    fs::write(&path, guest()).expect("writes");
    let gateway = compile(&path, "").expect("compiles");
    for (path, key, expected) in [
        ("/api/pass/x", "alice-key-01", 200),
        ("/api/refuse", "alice-key-01", 404),
        ("/api/edit", "alice-key-01", 200),
        // It is told what it is told, and no credential.
        ("/api/seen?a=1", "alice-key-01", 429),
        // Once it is known who asks.
        ("/api/wait", "alice-key-01", 403),
        ("/api/wait", "bob-key-02", 200),
    ] {
        let seen = send(&gateway, path, key);
        assert_eq!((seen.status, seen.failures.len()), (expected, 0), "{path} {key}: {seen:?}");
    }
    let seen = send(&gateway, "/api/edit", "alice-key-01");
    let sent = seen.sent.expect("sent");
    assert_eq!((has(&sent, "x-tier").as_deref(), has(&sent, "x-debug")), (Some("gold"), None));
    assert_eq!(
        (has(&seen.headers, "x-seen").as_deref(), has(&seen.headers, "server")),
        (Some("component"), None)
    );
    assert_eq!(has(&seen.headers, "x-gateway-cache").as_deref(), Some("BYPASS"));
}

/// Two plugins of one component say the same thing, as does the origin; CORS has a member of `Vary`.
#[test]
fn fields_are_set_in_place_of_those_of_the_same_name() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.wasm");
    fs::write(&path, guest()).expect("writes");
    let more = format!(
        "[plugins.twin-plugin.config]\ncomponent = '{}'\n[cors]\norigins = ['https://page.test']",
        path.display()
    );
    let gateway = compile(&path, &more).expect("compiles");
    let seen = send(&gateway, "/api/lines", "alice-key-01");
    let lines = |headers: &HeaderMap, name: &str| -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().expect("text").to_owned()).collect()
    };
    assert_eq!(seen.status, 200, "{seen:?}");
    assert_eq!(lines(seen.sent.as_ref().expect("sent"), "x-tier"), ["gold"]);
    for (name, expected) in [
        ("x-seen", &["component"][..]),
        ("link", &["<a>; rel=prev", "<b>; rel=next"]),
        ("vary", &["Origin", "X-Tier", "accept"]),
    ] {
        assert_eq!(lines(&seen.headers, name), expected, "{name}");
    }
}

#[test]
fn what_it_breaks_is_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.wasm");
    fs::write(&path, guest()).expect("writes");
    // As long as one gateway has it, the others find it compiled.
    let _kept = compile(&path, "").expect("compiles");
    let loops = "fuel = 10000000000\ntime_ms = 20\n";
    for (more, target, why) in [
        ("", "/api/trap", "it "),
        ("", "/api/memory", "it "),
        ("", "/api/loop", "it used up its fuel"),
        (loops, "/api/loop", "it took too long"),
        ("", "/api/outside", "it "),
        ("", "/api/odd-status", "it refused with 418, which has no error code"),
        ("", "/api/edit-via", "it named a field that it may not touch"),
        ("memory_bytes = 1024", "/api/x", "it could not be called"),
    ] {
        for (on_error, status) in [("deny", 500), ("allow", 200)] {
            let gateway = compile(&path, &format!("{more}\non_error = '{on_error}'")).expect("compiles");
            let seen = send(&gateway, target, "alice-key-01");
            assert_eq!(seen.status, status, "{target} {on_error}: {seen:?}");
            let [failure] = seen.failures.as_slice() else { panic!("{target}: {seen:?}") };
            assert!(failure.starts_with(why), "{target}: {failure}");
            // The next request finds it as it was.
            if more.is_empty() {
                assert_eq!(send(&gateway, "/api/refuse", "alice-key-01").status, 404, "{target}");
            }
        }
    }
}

#[test]
fn a_file_that_changes_is_loaded_anew_unless_it_is_bad() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.wasm");
    fs::write(&path, guest()).expect("writes");
    let gateway = compile(&path, "").expect("compiles");
    assert_eq!(send(&gateway, "/api/refuse", "alice-key-01").status, 404);
    let until = |expected: u16| {
        let end = std::time::Instant::now() + Duration::from_secs(60);
        while send(&gateway, "/api/refuse", "alice-key-01").status != expected {
            assert!(std::time::Instant::now() < end, "still not {expected}");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    fs::write(&path, example()).expect("writes");
    until(200);
    // The old one stays; a document that names a bad one is refused.
    let plugin = || gateway.plugins().find(|plugin| plugin.name() == "guest-plugin").expect("is active");
    let version = plugin().version();
    assert_eq!(plugin().fault(), None);
    fs::write(&path, "no component").expect("writes");
    let error = compile(&path, "").err().expect("refused");
    assert!(error.starts_with("`plugins.guest-plugin`: ") && error.contains("no component"), "{error}");
    assert_eq!(send(&gateway, "/api/refuse", "alice-key-01").status, 200);
    // The plugin says so until it is mended; whoever changes something else meanwhile is not kept from it.
    let fault = plugin().fault().expect("a fault");
    assert!(fault.contains("no component"), "{fault}");
    assert_eq!(plugin().version(), version);
    assert!(compile(&path, "").is_ok());
    fs::write(&path, guest()).expect("writes");
    until(404);
    assert_eq!(plugin().fault(), None);
    assert_ne!(plugin().version(), version);
}

#[test]
fn the_example_does_what_the_guide_says() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("example.wasm");
    fs::write(&path, example()).expect("writes");
    let gateway = compile(&path, "").expect("compiles");
    let seen = send(&gateway, "/api/v1/beta/a", "alice-key-01");
    assert_eq!((seen.status, seen.failures.len()), (404, 0), "{seen:?}");
    assert_eq!(send(&gateway, "/api/v1/models", "alice-key-01").status, 200);
    assert_eq!(send(&gateway, "/api/v1/beta/a", "acme-key-03").status, 200);
    let asked = send_with(&gateway, "/api/v1/beta/a", "alice-key-01", "x-beta");
    assert_eq!((asked.status, has(&asked.headers, "x-beta").as_deref()), (200, Some("yes")), "{asked:?}");
}

#[test]
fn settings_and_exports_are_checked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("guest.wasm");
    fs::write(&path, guest()).expect("writes");
    let empty = folder.path().join("empty.wasm");
    fs::write(&empty, b"\0asm\x0d\0\x01\0").expect("writes");
    for (path, more, expected) in [
        (&path, "fuel = 0", "`config.fuel` must be a whole number from 1 to 10000000000"),
        (&path, "time = 1", "unknown key `config.time`"),
        (&path, "on_error = 'ask'", "`config.on_error` must be `allow` or `deny`"),
        (&empty, "", "it does not export `plan` as `wit/plugin.wit` has it"),
        (&folder.path().join("none.wasm"), "", "cannot read"),
    ] {
        let error = compile(path, more).err().expect("refused");
        assert!(error.contains(expected), "{more}: {error}");
    }
}
