//! The gateway's own pages: who may read them, with an admin token and without one.

use acip_tests::{ADMIN, Feature, Gateway, KEY, Origin, Stand, status_line, supported};
use http::Method;

const OPEN: &[&str] = &["/gateway/health", "/gateway/livez", "/gateway/readyz"];
const GUARDED: &[&str] = &[
    "/gateway/health/detailed",
    "/gateway/metrics",
    "/gateway/plugins",
    "/gateway/plugins/auth-plugin",
    "/gateway/config",
];

#[tokio::test]
async fn with_an_admin_token() {
    let stand = Stand::start(&[]);
    for path in OPEN {
        assert_eq!(stand.get(path).send().await.status, 200, "{path}");
        let post = stand.http().call(Method::POST, path).send().await;
        assert_eq!((post.status.as_u16(), post.code().as_str()), (405, "METHOD_NOT_ALLOWED"), "{path}");
        assert!(post.header("allow").contains("GET"), "{path}");
    }
    for path in GUARDED {
        for (call, status) in [
            (stand.get(path), 401),
            (stand.get(path).bearer("wrong"), 401),
            (stand.get(path).key(KEY), 403),
            (stand.get(path).bearer(ADMIN), 200),
        ] {
            assert_eq!(call.send().await.status, status, "{path}");
        }
        let answer = stand.get(path).bearer(ADMIN).send().await;
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("cache-control", "no-store"),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
    }
    for path in
        ["/gateway", "/gateway/", "/gateway/nothing", "/gateway/health/nothing", "/gateway/plugins/nothing"]
    {
        let answer = stand.get(path).bearer(ADMIN).send().await;
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (404, "NOT_FOUND"), "{path}");
    }
    assert_eq!(stand.reached_in_all().await, 0, "none of them is ever proxied");
}

#[tokio::test]
async fn without_an_admin_token() {
    let origin = Origin::start();
    // Empty: as if it were not set.
    let gateway = Gateway::start(&[&origin.url()], &[("ADMIN_TOKEN", "")]);
    if !supported(&[Feature::PeerAddress]) {
        // Nobody is on the machine of a platform: the pages are closed, also to who names a loopback address.
        for path in GUARDED {
            for (name, value) in [("accept", "*/*"), ("x-forwarded-for", "127.0.0.1")] {
                let answer = gateway.http().get(path).header(name, value).send().await;
                assert_eq!(
                    (answer.status.as_u16(), answer.code().as_str()),
                    (403, "FORBIDDEN"),
                    "{path} {name}"
                );
                assert!(answer.text().contains("ADMIN_TOKEN"), "says what to set: {}", answer.text());
            }
        }
        assert_eq!(gateway.http().get("/api/v1/admin/stats").send().await.status, 401);
        return;
    }
    for path in GUARDED {
        let get = || gateway.http().get(path);
        assert_eq!(get().send().await.status, 200, "{path} from loopback");
        for (name, value) in [
            ("x-forwarded-for", "203.0.113.7"),
            ("forwarded", "for=203.0.113.7"),
            ("x-real-ip", "203.0.113.7"),
            ("via", "1.1 proxy"),
        ] {
            let answer = get().header(name, value).send().await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "FORBIDDEN"), "{path} {name}");
            assert!(answer.text().contains("ADMIN_TOKEN"), "says what to set: {}", answer.text());
        }
        for method in [Method::POST, Method::PATCH, Method::DELETE] {
            let answer = gateway.http().call(method, path).body("{}").send().await;
            assert_eq!((answer.status.as_u16(), answer.code().as_str()), (403, "FORBIDDEN"), "{path}");
            assert!(answer.text().contains("ADMIN_TOKEN"), "{}", answer.text());
        }
    }
    // A page of the web that was led to loopback by a name of its own.
    let rebound = status_line(gateway.port(), b"GET /gateway/config HTTP/1.1\r\nhost: evil.example\r\n\r\n");
    assert!(rebound.starts_with("HTTP/1.1 403"), "{rebound}");
    // The backend's doors do not open for want of a token.
    assert_eq!(gateway.http().get("/api/v1/admin/stats").send().await.status, 401);
}
