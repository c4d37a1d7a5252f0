//! Which rule a request meets.

use alloc::{string::String, vec, vec::Vec};
use http::{Method, Uri};

use super::{Pattern, Route, RouteKind as Kind, Table};
use crate::{
    CompileError,
    config::{RouteAuth as Auth, RouteCache as Cache, RouteRule},
    http::target,
    plugins::fixture::document,
};

fn find(rules: Vec<RouteRule>, method: &str, target: &str) -> Result<(Route, Option<String>), &'static str> {
    let mut document = document();
    document.routes = rules;
    let table = Table::compile(&document).unwrap();
    let uri: Uri = target.parse().unwrap();
    let path = target::read(&uri)?;
    let method = Method::from_bytes(method.as_bytes()).unwrap();
    table.find(&method, &path).map(|found| ((*found.route).clone(), found.id.map(Into::into)))
}

fn check(method: &str, target: &str, pattern: &str, kind: Kind, auth: Auth, id: Option<&str>) {
    let (route, found) = find(vec![], method, target).unwrap();
    let seen = (route.pattern.as_str(), route.kind, route.auth, found.as_deref());
    assert_eq!(seen, (pattern, kind, auth, id), "{method} {target}");
}

#[test]
fn workers() {
    use Auth::{ApiKey, Open, Worker};
    let w = "/api/v1/workers";
    check("GET", w, w, Kind::Workers, ApiKey, None);
    check("HEAD", "/api/v1/workers/?region=x", w, Kind::Workers, ApiKey, None);
    check("POST", w, "other", Kind::Proxy, ApiKey, None);
    check("POST", "/api/v1/workers/register", "/api/v1/workers/register", Kind::Register, Open, None);
    check("POST", "/api/v1/workers/register/", "/api/v1/workers/register", Kind::Register, Open, None);
    check("GET", "/api/v1/workers/register", "other", Kind::Proxy, ApiKey, None);
    check("GET", "/api/v1/workers/w1", "other", Kind::Proxy, ApiKey, None);
    check("GET", "/api/v1/workers/w1/", "other", Kind::Proxy, ApiKey, None);
    let one = |rest: &str| alloc::format!("/api/v1/workers/{{id}}/{rest}");
    let worker = |method: &str, rest: &str, pattern: &str, kind, auth| {
        let target = alloc::format!("/api/v1/workers/w1/{rest}");
        check(method, &target, &one(pattern), kind, auth, Some("w1"));
    };
    worker("POST", "refresh-token", "refresh-token", Kind::RefreshToken, Open);
    worker("GET", "refresh-token", "*", Kind::WorkerOther, Worker);
    worker("POST", "verify", "verify", Kind::Verify, Open);
    worker("PUT", "verify", "*", Kind::WorkerOther, Worker);
    worker("POST", "heartbeat", "heartbeat", Kind::Heartbeat, Worker);
    worker("POST", "heartbeat/", "heartbeat", Kind::Heartbeat, Worker);
    worker("GET", "heartbeat", "*", Kind::WorkerOther, Worker);
    worker("GET", "next-job", "next-job", Kind::WorkerChecked, Worker);
    worker("HEAD", "next-job", "*", Kind::WorkerOther, Worker);
    worker("POST", "jobs/j1/complete", "jobs/{job}/complete", Kind::WorkerChecked, Worker);
    worker("GET", "jobs/j1/complete", "*", Kind::WorkerOther, Worker);
    worker("GET", "jobs/j1", "*", Kind::WorkerOther, Worker);
    worker("POST", "going-offline", "going-offline", Kind::Offline, Worker);
    worker("POST", "offline", "offline", Kind::Offline, Worker);
    worker("GET", "config", "config", Kind::WorkerChecked, Worker);
    worker("PUT", "config", "config", Kind::WorkerChecked, Worker);
    worker("DELETE", "config", "*", Kind::WorkerOther, Worker);
    worker("POST", "heartbeat/more", "*", Kind::WorkerOther, Worker);
    check("POST", "/api/v1/workers/register/x", &one("*"), Kind::WorkerOther, Worker, Some("register"));
    let (route, _) = find(vec![], "GET", "/api/v1/workers/w1/next-job").unwrap();
    assert_eq!((route.limit_factor, route.cache), (10, Cache::Off));
}

#[test]
fn jobs() {
    use Auth::ApiKey;
    let check = |method, target, pattern, kind, id| check(method, target, pattern, kind, ApiKey, id);
    check("POST", "/api/v1/jobs", "/api/v1/jobs", Kind::JobSubmit, None);
    check("GET", "/api/v1/jobs", "other", Kind::Proxy, None);
    check("POST", "/api/v1/jobs/sync?timeout=9", "/api/v1/jobs/sync", Kind::JobSubmitSync, None);
    check("GET", "/api/v1/jobs/j1", "/api/v1/jobs/{id}", Kind::JobRead, Some("j1"));
    check("HEAD", "/api/v1/jobs/j1", "/api/v1/jobs/{id}", Kind::JobRead, Some("j1"));
    check("GET", "/api/v1/jobs/%6a1/", "/api/v1/jobs/{id}", Kind::JobRead, Some("j1"));
    check("DELETE", "/api/v1/jobs/j1", "/api/v1/jobs/{id}", Kind::JobCancel, Some("j1"));
    for method in ["PUT", "PATCH"] {
        check(method, "/api/v1/jobs/j1", "/api/v1/jobs/{id}", Kind::JobOther, Some("j1"));
    }
    for method in ["GET", "HEAD", "POST", "DELETE"] {
        check(method, "/api/v1/jobs/j1/direct", "/api/v1/jobs/{id}/direct", Kind::JobOther, Some("j1"));
        check(method, "/api/v1/jobs/j1/stream", "/api/v1/jobs/{id}/*", Kind::JobOther, Some("j1"));
        check(method, "/api/v1/jobs/j1/a/b/", "/api/v1/jobs/{id}/*", Kind::JobOther, Some("j1"));
        check(method, "/api/v1/jobs/stats/other", "/api/v1/jobs/stats/*", Kind::Proxy, None);
    }
    check("GET", "/api/v1/jobs/j1/", "/api/v1/jobs/{id}", Kind::JobRead, Some("j1"));
    check("POST", "/api/v1/jobs/j1", "other", Kind::Proxy, None);
    check("GET", "/api/v1/jobs/direct/nearest", "/api/v1/jobs/direct/nearest", Kind::Proxy, None);
    check("GET", "/api/v1/jobs/stats/queue", "/api/v1/jobs/stats/queue", Kind::Proxy, None);
    check("GET", "/api/v1/queue/stats", "/api/v1/queue/stats", Kind::Proxy, None);
    let (stats, _) = find(vec![], "GET", "/api/v1/queue/stats").unwrap();
    assert_eq!(stats.origin_path.as_deref(), Some("/api/v1/jobs/stats/queue"));
    assert_eq!(stats.cache, Cache::Shared { ttl_seconds: Some(10), heuristic: false });
    let (read, _) = find(vec![], "GET", "/api/v1/jobs/j1").unwrap();
    assert_eq!(
        (read.limit_factor, read.cache),
        (10, Cache::PerCredential { ttl_seconds: Some(60), heuristic: false })
    );
}

#[test]
fn doors_and_pages() {
    for path in ["/api/v1/admin", "/api/v1/admin/", "/api/v1/admin/x/y", "/api/v1/%61dmin/x"] {
        check("GET", path, "/api/v1/admin/*", Kind::Proxy, Auth::Admin, None);
    }
    for base in ["/admin", "/docs", "/redoc", "/openapi.json", "/static"] {
        for tail in ["", "/", "/x.css", "/%78/y"] {
            let pattern = alloc::format!("{base}/*");
            check("POST", &alloc::format!("{base}{tail}"), &pattern, Kind::Proxy, Auth::Admin, None);
        }
    }
    check("GET", "/health", "/health", Kind::Proxy, Auth::Open, None);
    check("GET", "/regions/", "/regions", Kind::Proxy, Auth::Open, None);
    check("POST", "/health", "other", Kind::Proxy, Auth::ApiKey, None);
    check("GET", "/", "other", Kind::Proxy, Auth::ApiKey, None);
    check("GET", "/administrator", "other", Kind::Proxy, Auth::ApiKey, None);
    check("GET", "/gateway/health", "/gateway/health", Kind::Own, Auth::Open, None);
    check("GET", "/gateway/livez", "/gateway/livez", Kind::Own, Auth::Open, None);
    check("GET", "/gateway/health/detailed", "/gateway/health/detailed", Kind::Own, Auth::Admin, None);
    check("GET", "/gateway/metrics", "/gateway/metrics", Kind::Own, Auth::Admin, None);
    check("PATCH", "/gateway/plugins/x", "/gateway/plugins/{name}", Kind::Own, Auth::Admin, None);
    check("GET", "/gateway", "/gateway/*", Kind::Own, Auth::Admin, None);
    check("POST", "/gateway/keys/k/rotate", "/gateway/keys/{id}/rotate", Kind::Own, Auth::Admin, Some("k"));
    check("GET", "/gateway/keys/k/other", "/gateway/*", Kind::Own, Auth::Admin, None);
}

#[test]
fn lookalikes_are_refused() {
    for (method, target) in [
        ("GET", "/API/v1/admin"),
        ("GET", "/api/v1/Admin/stats"),
        ("GET", "/api/v1/admin;x=1/stats"),
        ("GET", "/api;x/v1/admin"),
        ("GET", "/api/v1/%2561dmin/x"),
        ("GET", "/api/v1/jobs/j1;v=1"),
        ("GET", "/api/v1/jobs/%256a1"),
        ("GET", "/Docs"),
        ("GET", "/Health"),
        ("POST", "/api/v1/workers/w1/Heartbeat"),
        ("GET", "/gateway;/config"),
    ] {
        assert!(find(vec![], method, target).is_err(), "{method} {target}");
    }
    for target in ["/v1/Models/A;b=1", "/Files/100%25", "/a%25zz", "/v1/%E2%82%AC"] {
        let (route, _) = find(vec![], "GET", target).unwrap();
        assert_eq!(route.pattern, "other", "{target}");
    }
    let (_, id) = find(vec![], "GET", "/api/v1/jobs/AbC").unwrap();
    assert_eq!(id.as_deref(), Some("AbC"));
}

fn rule(path: &str) -> RouteRule {
    RouteRule { path: path.into(), ..RouteRule::default() }
}

#[test]
fn rules_of_the_document_lie_over_the_built_in_ones() {
    let open = |path: &str| RouteRule { auth: Some(Auth::Open), ..rule(path) };
    // A setting changes, the meaning stays.
    let slow = RouteRule { timeout_ms: Some(5), retries: Some(0), ..rule("/api/v1/jobs/{job}") };
    let (route, id) = find(vec![slow], "GET", "/api/v1/jobs/j1").unwrap();
    assert_eq!((route.kind, route.timeout_ms, route.retries), (Kind::JobRead, 5, 0));
    assert_eq!((route.pattern.as_str(), id.as_deref()), ("/api/v1/jobs/{id}", Some("j1")));
    // A path of its own.
    let (route, _) = find(vec![open("/v1/models/*")], "GET", "/v1/models").unwrap();
    assert_eq!((route.pattern.as_str(), route.auth), ("/v1/models/*", Auth::Open));
    // The earlier rule wins.
    let key = RouteRule { auth: Some(Auth::ApiKey), ..rule("/v1/*") };
    let (route, _) = find(vec![open("/v1/models"), key], "GET", "/v1/models").unwrap();
    assert_eq!(route.auth, Auth::Open);
    // Methods.
    let posts = RouteRule { methods: vec![Method::POST], ..open("/v1/*") };
    let (route, _) = find(vec![posts.clone()], "POST", "/v1/x").unwrap();
    assert_eq!(route.auth, Auth::Open);
    let (route, _) = find(vec![posts], "GET", "/v1/x").unwrap();
    assert_eq!(route.auth, Auth::ApiKey);
    // A wildcard that covers an admin path does not open it; a rule for the path does.
    let (route, _) = find(vec![open("/*")], "GET", "/api/v1/admin/x").unwrap();
    assert_eq!(route.auth, Auth::Admin);
    let (route, _) = find(vec![open("/*")], "GET", "/gateway/config").unwrap();
    assert_eq!(route.auth, Auth::Admin);
    let (route, _) = find(vec![open("/docs")], "GET", "/docs/").unwrap();
    assert_eq!(route.auth, Auth::Open);
    // A lookalike of a rule of the document.
    let admin = RouteRule { auth: Some(Auth::Admin), ..rule("/Ops/*") };
    assert!(find(vec![admin.clone()], "GET", "/ops/x").is_ok_and(|(route, _)| route.pattern == "other"));
    assert!(find(vec![admin], "GET", "/Ops/x").is_ok_and(|(route, _)| route.auth == Auth::Admin));
}

#[test]
fn patterns_that_do_not_compile() {
    for (paths, part) in [
        (&["api"][..], "does not begin with `/`"),
        (&["/a//b"], "empty segment"),
        (&["/a*"], "`*`"),
        (&["/a/*/b"], "`*`"),
        (&["/a/{}/b"], "braces"),
        (&["/a/x{id}"], "braces"),
        (&["/a/*", "/a/b"], "earlier rule"),
        (&["/a/{x}", "/a/{y}"], "earlier rule"),
    ] {
        let mut document = document();
        document.routes = paths.iter().map(|path| rule(path)).collect();
        let Err(CompileError::Route { pattern, reason }) = Table::compile(&document).map(|_| ()) else {
            panic!("{paths:?} compiled");
        };
        assert!(reason.contains(part) && Some(&pattern.as_str()) == paths.last(), "{paths:?}: {reason}");
    }
}

#[test]
fn patterns_match() {
    for (pattern, path, expected) in [
        ("/*", "/", true),
        ("/*", "/a/b", true),
        ("/a/*", "/a", true),
        ("/a/*", "/ab", false),
        ("/a/{id}/b", "/a/x/b", true),
        ("/a/{id}/b", "/a/x/c", false),
        ("/a/{id}", "/a", false),
        ("/a/", "/a", true),
        ("/", "/", true),
        ("/", "/a", false),
    ] {
        assert_eq!(Pattern::new(pattern).unwrap().matches(path), expected, "{pattern} {path}");
    }
}
