//! TLS on both sides: towards clients with a certificate of one's own, towards origins with an authority of one's own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Instant,
};

use acip_tests::{ADMIN, Bridge, Cli, Feature, Gateway, KEY, Origin, Redis, supported, wait_for, wait_until};
use futures_util::{SinkExt as _, StreamExt as _, future::join_all};
use http::header::HeaderValue;
use tempfile::TempDir;
use tokio_tungstenite::tungstenite::{Message, client::IntoClientRequest as _};

/// An authority, and a certificate of it.
pub(crate) struct Authority {
    folder: TempDir,
}

impl Authority {
    /// With a leaf for this name.
    pub(crate) fn new(name: &str) -> Self {
        let authority = Self { folder: TempDir::new().expect("a folder") };
        let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
        let openssl = |arguments: &[&str]| {
            let output = Command::new("openssl").args(arguments).current_dir(&authority.folder).output();
            let output = output.expect("openssl starts");
            assert!(output.status.success(), "openssl {arguments:?}: {output:?}");
        };
        // Two authorities of one name would be told apart only by their signatures.
        let subject = format!("/CN={}", authority.folder.path().file_name().expect("a name").display());
        let root = ["req", "-x509", "-subj", &subject, "-days", "2", "-keyout", "ca.key", "-out", "ca.pem"];
        openssl(&[&root[..], &key].concat());
        openssl(
            &[&["req", "-subj", "/CN=leaf", "-keyout", "leaf.key", "-out", "leaf.csr"][..], &key].concat(),
        );
        std::fs::write(authority.path("leaf.ext"), format!("subjectAltName={name}\n")).expect("writes");
        openssl(&[
            "x509",
            "-req",
            "-in",
            "leaf.csr",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-extfile",
            "leaf.ext",
            "-out",
            "leaf.pem",
        ]);
        authority
    }

    fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// Path of one of its files: `ca.pem`, `leaf.pem`, `leaf.key`.
    pub(crate) fn text(&self, file: &str) -> String {
        self.path(file).display().to_string()
    }

    fn origin(&self) -> Origin {
        Origin::tls(&self.path("leaf.pem"), &self.path("leaf.key"))
    }
}

/// What curl says of `https://127.0.0.1`: version and status, or nothing where there was no answer.
fn curl(roots: &Path, port: u16, path: &str, arguments: &[&str]) -> String {
    let output = Command::new("curl")
        .args(["-sS", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "--cacert"])
        .arg(roots)
        .args(["-H", &format!("X-API-Key: {KEY}"), &format!("https://127.0.0.1:{port}{path}")])
        .args(arguments)
        .output()
        .expect("curl starts");
    if output.status.success() { String::from_utf8_lossy(&output.stdout).into_owned() } else { String::new() }
}

#[test]
fn clients_choose_their_protocol() {
    if !supported(&[Feature::Tls]) {
        return;
    }
    let authority = Authority::new("IP:127.0.0.1");
    let origin = Origin::start();
    let (cert, key) = (authority.text("leaf.pem"), authority.text("leaf.key"));
    let mut gateway = Gateway::start(&[&origin.url()], &[("TLS_CERT", &cert), ("TLS_KEY", &key)]);
    let ask = |path, arguments: &[&str]| curl(&authority.path("ca.pem"), gateway.port(), path, arguments);
    wait_until("readiness", || ask("/gateway/readyz", &[]).ends_with("200"));

    for (arguments, answer) in [
        (&["--http2"][..], "2 200"),
        (&["--http1.1"], "1.1 200"),
        (&["--no-alpn"], "1.1 200"),
        (&["--tls-max", "1.2"], "2 200"),
        (&["--http2", "-X", "POST", "-d", "{\"a\":1}"], "2 200"),
        (&["--tls-max", "1.1"], ""),
    ] {
        assert_eq!(ask("/_test/echo", arguments), answer, "{arguments:?}");
    }
    // The origin hears how the client came.
    let echoed = Command::new("curl")
        .args(["-sS", "--cacert", &authority.text("ca.pem"), "-H", &format!("X-API-Key: {KEY}")])
        .arg(format!("https://127.0.0.1:{}/_test/echo", gateway.port()))
        .output()
        .expect("curl starts");
    let echoed = String::from_utf8_lossy(&echoed.stdout).into_owned();
    assert!(echoed.contains("\"x-forwarded-proto\"") && echoed.contains("\"https\""), "{echoed}");

    // Who does not speak TLS gets nothing, and does no harm.
    assert!(!acip_tests::raw(gateway.port(), b"GET / HTTP/1.1\r\nhost: a\r\n\r\n").starts_with("HTTP/1.1"));
    assert_eq!(ask("/_test/echo", &["-H", &format!("Authorization: Bearer {ADMIN}"), "--http2"]), "2 400");
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), Some(0));
}

#[test]
fn files_that_do_not_serve_stop_the_start() {
    if !supported(&[Feature::Tls]) {
        return;
    }
    let (authority, other) = (Authority::new("IP:127.0.0.1"), Authority::new("IP:127.0.0.1"));
    for (cert, key, says) in [
        (authority.text("none.pem"), authority.text("leaf.key"), "none.pem"),
        (authority.text("leaf.pem"), authority.text("none.key"), "none.key"),
        (authority.text("leaf.key"), authority.text("leaf.key"), "leaf.key"),
        (authority.text("leaf.pem"), authority.text("leaf.pem"), "leaf.pem"),
        (authority.text("leaf.pem"), other.text("leaf.key"), "leaf.key"),
    ] {
        for command in ["serve", "check"] {
            let variables = [
                ("GATEWAY_HOST", "127.0.0.1"),
                ("GATEWAY_PORT", "0"),
                ("TLS_CERT", &cert),
                ("TLS_KEY", &key),
            ];
            let ended = Cli::new(&[command]).env(&variables).run();
            assert_eq!(ended.code, Some(2), "{command} {cert} {key}: {ended:?}");
            assert!(ended.stderr.contains(says), "{command} {cert} {key}: {ended:?}");
        }
    }
}

#[tokio::test]
async fn an_origin_counts_only_with_a_trusted_certificate() {
    if !supported(&[Feature::Tls]) {
        return;
    }
    let (authority, stranger) = (Authority::new("DNS:localhost"), Authority::new("DNS:localhost"));
    let origin = authority.origin();
    let (trusted, untrusted) = (authority.text("ca.pem"), stranger.text("ca.pem"));
    for (host, roots, status, reason) in [
        ("localhost", &trusted, 200, ""),
        ("localhost", &untrusted, 502, "UnknownIssuer"),
        ("127.0.0.1", &trusted, 502, "not valid for name"),
    ] {
        let url = format!("https://{host}:{}", origin.port());
        let quiet = [("SSL_CERT_FILE", roots.as_str()), ("ROUTER_HEALTH_CHECK_INTERVAL", "3600000")];
        let gateway = Gateway::start(&[&url], &quiet);
        let began = Instant::now();
        for _ in 0..20 {
            let answer = gateway.http().get("/_test/echo").key(KEY).send().await;
            assert_eq!(answer.status, status, "{url}: {}", answer.text());
            if status == 502 {
                assert_eq!(answer.code(), "BAD_GATEWAY");
                assert!(!answer.text().contains(reason), "the reason is the operator's: {}", answer.text());
            }
        }
        let most = usize::try_from(began.elapsed().as_secs()).expect("short") + 1;
        if status == 200 {
            assert!(!gateway.log().contains("cannot connect"), "{}", gateway.log());
            continue;
        }
        wait_until("the reason", || gateway.log().contains("cannot connect"));
        let log = gateway.log();
        let lines: Vec<&str> = log.lines().filter(|line| line.contains("cannot connect")).collect();
        assert!(lines.len() <= most, "{} lines in {most} s: {lines:?}", lines.len());
        let authority = format!("\"origin\":\"{host}:{}\"", origin.port());
        for line in lines {
            assert!(line.contains("\"level\":\"WARN\"") && line.contains(&authority), "{line}");
            assert!(line.contains(reason), "{line}");
        }
    }
}

/// An nginx that offers HTTP/2 and says which protocol it was spoken to, in its answers and in a log; WebSockets it passes
/// on. Ends with its handle.
struct Nginx {
    child: Child,
    port: u16,
    folder: TempDir,
}

impl Nginx {
    /// In front of this port, with these settings of the server besides.
    fn start(authority: &Authority, behind: u16, settings: &str) -> Self {
        let folder = TempDir::new().expect("a folder");
        let port =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr()).expect("a port").port();
        let (cert, key) = (authority.text("leaf.pem"), authority.text("leaf.key"));
        let at = folder.path().display();
        let settings = format!(
            "daemon off; pid {at}/pid; error_log stderr; events {{}}
             http {{
                 log_format spoken '$server_protocol $host $uri'; access_log {at}/spoken spoken; client_body_temp_path {at}/a; proxy_temp_path {at}/b; fastcgi_temp_path {at}/c;
                 uwsgi_temp_path {at}/d; scgi_temp_path {at}/e;
                 server {{
                     listen 127.0.0.1:{port} ssl http2; ssl_certificate {cert}; ssl_certificate_key {key};
                     {settings}
                     location / {{ add_header X-Spoken $server_protocol; return 200 '$host'; }}
                     location /_test/ws {{
                         proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1;
                         proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection upgrade;
                     }}
                 }}
             }}"
        );
        std::fs::write(folder.path().join("nginx.conf"), settings).expect("writes");
        let child = Command::new("nginx")
            .args(["-e", "stderr", "-p"])
            .arg(folder.path())
            .args(["-c", "nginx.conf"])
            .stdin(Stdio::null())
            .spawn()
            .expect("nginx starts");
        wait_until("nginx", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self { child, port, folder }
    }

    fn url(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    /// What was asked so far: protocol, host and path.
    fn asked(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.folder.path().join("spoken")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The workers end with their master only if it is asked.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn an_origin_that_offers_http2_gets_it() {
    if !supported(&[Feature::Tls]) {
        return;
    }
    let authority = Authority::new("DNS:localhost");
    let nginx = Nginx::start(&authority, 9, "");
    let roots = authority.text("ca.pem");
    let settings = [("SSL_CERT_FILE", roots.as_str()), ("ROUTER_HEALTH_CHECK_INTERVAL", "50")];
    let gateway = Gateway::start(&[&nginx.url()], &settings);
    // Checks ask over HTTP/1.1, and find it well.
    let checks = || nginx.asked().iter().filter(|line| *line == "HTTP/1.1 localhost /health").count();
    wait_until("three checks", || checks() >= 3);
    assert!(!gateway.log().contains("unhealthy"), "{}", gateway.log());
    for _ in 0..5 {
        let answer = gateway.http().get("/_test/echo").key(KEY).send().await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("x-spoken")),
            (200, "HTTP/2.0"),
            "{}",
            answer.text()
        );
        assert_eq!(answer.text(), "localhost");
    }
}

/// An upgrade is HTTP/1.1's, whatever else the origin offers.
#[tokio::test]
async fn websockets_reach_an_origin_that_offers_http2() {
    if !supported(&[Feature::Tls]) {
        return;
    }
    let (authority, origin) = (Authority::new("DNS:localhost"), Origin::start());
    let nginx = Nginx::start(&authority, origin.port(), "");
    let roots = authority.text("ca.pem");
    let gateway = Gateway::start(&[&nginx.url()], &[("SSL_CERT_FILE", &roots)]);
    let plain = gateway.http().get("/_test/echo").key(KEY).send().await;
    assert_eq!(plain.header("x-spoken"), "HTTP/2.0", "a connection for other requests stands");
    let address = format!("ws://127.0.0.1:{}/_test/ws", gateway.port());
    let mut request = address.as_str().into_client_request().expect("a request");
    request.headers_mut().insert("x-api-key", HeaderValue::from_static(KEY));
    let (mut socket, answer) = tokio_tungstenite::connect_async(request).await.expect("101");
    assert_eq!(answer.status(), 101);
    socket.send(Message::text("hello")).await.expect("sends");
    let echoed = socket.next().await.expect("an echo").expect("a message");
    assert_eq!(echoed, Message::text("hello"));
}

/// An origin may end a connection at any request; those that it did not look at go out again over another one.
#[tokio::test]
async fn what_an_http2_connection_lost_at_its_end_is_sent_again() {
    if !supported(&[Feature::Tls]) {
        return;
    }
    let authority = Authority::new("DNS:localhost");
    let nginx = Nginx::start(&authority, 9, "keepalive_requests 3;");
    let roots = authority.text("ca.pem");
    let settings =
        [("SSL_CERT_FILE", roots.as_str()), ("GATEWAY_THREADS", "1"), ("RATE_LIMIT_ENABLED", "false")];
    let gateway = Gateway::start(&[&nginx.url()], &settings);
    for _ in 0..5 {
        // One that opens the connection, then more at once than it is good for.
        let calls = (0..20).map(|_| gateway.http().get("/_test/echo").key(KEY).send());
        let first = gateway.http().get("/_test/echo").key(KEY).send().await;
        assert_eq!(first.status, 200, "{}", first.text());
        for answer in join_all(calls).await {
            assert_eq!((answer.status.as_u16(), answer.header("x-spoken")), (200, "HTTP/2.0"));
        }
    }
}

/// The token must not reach an endpoint that somebody else may have put there.
#[tokio::test]
async fn a_rest_endpoint_counts_only_with_a_trusted_certificate() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let (redis, origin) = (Redis::start(), Origin::start());
    let (ours, theirs) = (Authority::new("DNS:localhost"), Authority::new("DNS:localhost"));
    let elsewhere = Authority::new("DNS:elsewhere.example");
    for (name, leaf, roots, trusted) in [
        ("trusted", &ours, &ours, true),
        ("another authority", &ours, &theirs, false),
        ("another name", &elsewhere, &elsewhere, false),
    ] {
        let (cert, key) = (leaf.text("leaf.pem"), leaf.text("leaf.key"));
        let bridge = Bridge::with(&redis.url(), &["--tls-cert", &cert, "--tls-key", &key]);
        let (url, roots) = (format!("https://localhost:{}", bridge.port()), roots.text("ca.pem"));
        let environment = [
            ("UPSTASH_REDIS_REST_URL", url.as_str()),
            ("UPSTASH_REDIS_REST_TOKEN", Bridge::TOKEN),
            ("SSL_CERT_FILE", &roots),
        ];
        let gateway = Gateway::start(&[&origin.url()], &environment);
        let expected = if trusted { "healthy" } else { "degraded" };
        wait_for("a verdict on the certificate", || async {
            let health = gateway.http().get("/gateway/health/detailed").bearer(ADMIN).send().await.text();
            health.contains(expected) && (trusted || health.contains("certificate"))
        })
        .await;
        redis.cli(&["FLUSHALL"]);
        assert_eq!(gateway.http().get("/_test/echo").key(KEY).send().await.status, 200, "{name}");
        let counted = !redis.keys("gateway:ratelimit:*").is_empty();
        assert_eq!(counted, trusted, "{name}: {}", gateway.log());
    }
}
