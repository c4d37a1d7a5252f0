//! The command line: exit codes, what is printed where, and every error at once.

use std::net::TcpListener;

use acip_core::config::{Kind, Setting, scalars};
use acip_tests::{Cli, Ended, Feature, root, supported};

/// A start with these variables, which must fail.
fn refused(variables: &[(&str, &str)]) -> Ended {
    let ended =
        Cli::new(&["serve"]).env(&[("GATEWAY_HOST", "127.0.0.1"), ("GATEWAY_PORT", "0")]).env(variables);
    let ended = ended.run();
    assert_eq!(ended.stdout, "", "{variables:?}");
    ended
}

#[test]
fn version_and_help() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let version = Cli::new(&["--version"]).run();
    assert_eq!(version.code, Some(0));
    assert_eq!(version.stdout, format!("acip-gateway {}\n", env!("CARGO_PKG_VERSION")));
    for (command, says) in [
        (&[][..], "demo"),
        (&["serve"], "--config"),
        (&["demo"], "--config"),
        (&["check"], "--config"),
        (&["keys"], "rotate"),
        (&["keys", "create"], "--daily-limit"),
        (&["keys", "list"], "--json"),
        (&["keys", "show"], "<ID>"),
        (&["keys", "rotate"], "--grace-seconds"),
        (&["keys", "disable"], "<ID>"),
        (&["keys", "revoke"], "<ID>"),
        (&["token"], "hash"),
        (&["token", "hash"], "standard input"),
    ] {
        let help = Cli::new(&[command, &["--help"]].concat()).run();
        assert_eq!(help.code, Some(0), "{command:?}");
        assert!(
            help.stdout.contains(says) && help.stdout.contains("Usage: acip-gateway"),
            "{command:?}: {help:?}"
        );
        assert_eq!(help.stderr, "", "{command:?}");
    }
}

#[test]
fn usage_is_two() {
    if !supported(&[Feature::Process]) {
        return;
    }
    for (arguments, says) in [
        (&["srve"][..], "serve"),
        (&["--port", "1"], "--port"),
        (&["keys", "create"], "--name"),
        (&["keys", "create", "--name", "a", "--limit", "x"], "NAME:LIMIT:WINDOW_MS"),
        (&["keys", "create", "--name", "a", "--ip-allow", "10.0.0.0/99"], "10.0.0.0/8"),
        (&["keys", "create", "--name", "a", "--route", "api"], "begins with `/`"),
        (&["keys", "create", "--name", "a", "--expires-in", "0"], "expires-in"),
        (&["keys", "rotate", "id", "--grace-seconds", "-1"], "-1"),
        (&["token", "hash"], "standard input"),
        (&["check", "--config", "none.toml"], "none.toml"),
        (&["serve", "--config", "none.toml"], "none.toml"),
    ] {
        let ended = Cli::new(arguments).run();
        assert_eq!(ended.code, Some(2), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(says) && ended.stdout.is_empty(), "{arguments:?}: {ended:?}");
    }
}

/// Everything that is wrong is told, and where.
#[test]
fn check_tells_all_errors_with_their_places() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let file = "[server]\nport = 99999\n\n[cache]\nttl_secnds = 5\nenabled = \"maybe\"\n\n[[routes]]\npath = \"api\"\n";
    let variables = [
        ("RATE_LIMIT_MAX_REQUESTS", "many"),
        ("AUTH_ENABELD", "true"),
        ("ROUTER_STRATEGY", "robin"),
        ("TRUSTED_PROXIES", "10.0.0.0/8,office"),
    ];
    for command in ["check", "serve"] {
        let ended = Cli::new(&[command, "--config", "bad.toml"]).file("bad.toml", file).env(&variables).run();
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{ended:?}");
        for place in [
            "bad.toml:2:8: server.port",
            "bad.toml:5:1: cache.ttl_secnds",
            "bad.toml:6:11: cache.enabled",
            "bad.toml:9:8: routes[0]",
            "RATE_LIMIT_MAX_REQUESTS: ",
            "AUTH_ENABELD: ",
            "ROUTER_STRATEGY: ",
            "TRUSTED_PROXIES: ",
        ] {
            assert!(ended.stderr.contains(place), "{place} is missing:\n{}", ended.stderr);
        }
        for hint in ["`ttl_seconds`", "`AUTH_ENABLED`", "`office`", "`round-robin`"] {
            assert!(ended.stderr.contains(hint), "{hint} is missing:\n{}", ended.stderr);
        }
    }
    let ended =
        Cli::new(&["check"]).env(&[("GATEWAY_CONFIG", "bad.json")]).file("bad.json", "{\"server\": }").run();
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("bad.json:1:12"), "{ended:?}");
    let ended = Cli::new(&["check"]).file(".env", "CACHE_ENABLED=perhaps\n").run();
    assert_eq!(ended.code, Some(2));
    assert!(ended.stderr.contains("CACHE_ENABLED: "), "{ended:?}");
}

/// What reads well and still cannot be served: found by `check`, too.
#[test]
fn check_finds_what_the_start_would() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let twice = "[[routes]]\npath = \"/a/{x}/b\"\n\n[[routes]]\npath = \"/a/{y}/b\"\n";
    let cert = [("TLS_CERT", "cert.pem"), ("TLS_KEY", "key.pem")];
    for (file, variables, says) in [
        (twice, &[][..], "/a/{y}/b"),
        ("", &cert[..], "`cert.pem`"),
        ("", &cert[..1], "TLS_KEY"),
        ("", &[("REDIS_URL", "http://localhost:8079")], "UPSTASH_REDIS_REST_TOKEN"),
        ("", &[("UPSTASH_REDIS_REST_TOKEN", "t")], "UPSTASH_REDIS_REST_URL"),
        ("", &[("REDIS_REST_TOKEN", "two words")], "REDIS_REST_TOKEN"),
    ] {
        for command in ["check", "serve"] {
            let ended = Cli::new(&[command, "--config", "g.toml"])
                .file("g.toml", file)
                .env(&[("GATEWAY_HOST", "127.0.0.1"), ("GATEWAY_PORT", "0")])
                .env(variables)
                .run();
            assert_eq!(ended.code, Some(2), "{command} {variables:?}: {ended:?}");
            assert!(ended.stderr.contains(says), "{command} {variables:?}: {ended:?}");
        }
    }
}

const MARKED_REST: [(&str, &str); 2] =
    [("UPSTASH_REDIS_REST_URL", "https://rest.example"), ("UPSTASH_REDIS_REST_TOKEN", "MARKED-rest-token")];

const MARKED: [(&str, &str); 7] = [
    ("AUTH_API_KEYS", "shop:MARKED-key-aaaaaaaa,MARKED-key-bbbbbbbb"),
    ("ADMIN_TOKEN", "MARKED-admin-token"),
    ("SIGNING_SECRET", "MARKED-signing"),
    ("AUTH_TOKEN_SALT", "MARKED-salt"),
    ("REDIS_URL", "redis://user:MARKED-url-password@localhost:6379/2"),
    ("REDIS_PASSWORD", "MARKED-password"),
    ("GATEWAY_NAME", "edge-7"),
];

/// The output of a good one is a file that reads back to the same, and whose masks are nobody's credentials.
#[test]
fn check_masks_secrets_and_reads_back() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let example = std::fs::read_to_string(root().join("gateway.example.toml")).expect("the example");
    for (file, variables, says) in [
        (example.as_str(), &[][..], "port = 3000"),
        ("[server]\nport = 8080\n", &MARKED[..], "name = \"edge-7\""),
        ("[cache]\nttl_seconds = 7\n", &[("CACHE_TTL_SECONDS", "9")], "ttl_seconds = 9"),
        ("", &[("FASTAPI_URL", "http://a:1;weight=3,https://b/x;region=us-west")], "https://b"),
    ] {
        let check = |file: &str| {
            let cli = Cli::new(&["check", "--config", "g.toml"]).file("g.toml", file);
            let ended = cli.env(variables).run();
            assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{file}: {ended:?}");
            ended.stdout
        };
        let first = check(file);
        assert!(first.contains(says), "{says}:\n{first}");
        assert!(!first.contains("MARKED"), "{first}");
        assert_eq!(check(&first), first);
        let alone = Cli::new(&["check", "--config", "g.toml"]).file("g.toml", &first).run();
        assert_eq!(alone.code, Some(0), "{alone:?}");
        let masks: Vec<&str> = alone.stdout.lines().filter(|line| line.contains("***")).collect();
        assert_eq!(masks, ["# token_salt = \"***\""], "{first}");
    }
}

#[test]
fn check_masks_the_token_of_a_rest_endpoint() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let ended = Cli::new(&["check"]).env(&MARKED_REST).run();
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""), "{ended:?}");
    assert!(ended.stdout.contains("\nurl = \"https://rest.example\"\n"), "{ended:?}");
    assert!(ended.stdout.contains("# rest_token = \"***\"") && !ended.stdout.contains("MARKED"), "{ended:?}");
}

/// A value that is not of the setting's kind.
fn misfit(setting: &Setting) -> Option<&'static str> {
    match setting.kind {
        Kind::Flag => Some("maybe"),
        Kind::Number { .. } => Some("-1"),
        Kind::OneOf(_) => Some("none-of-them"),
        // Not even a path or a password may hold a control character.
        Kind::Share => Some("half"),
        Kind::Text(_) | Kind::List(_) => Some("a\u{7}b c"),
    }
}

#[test]
fn every_scalar_of_a_wrong_kind_stops_the_start() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let mut asked = 0;
    for setting in scalars() {
        let Some(value) = misfit(setting) else { continue };
        let ended = refused(&[(setting.env, value)]);
        assert_eq!(ended.code, Some(2), "{}={value:?}: {ended:?}", setting.env);
        assert!(ended.stderr.contains(&format!("{}: ", setting.env)), "{}: {ended:?}", setting.env);
        assert!(!setting.secret || !ended.stderr.contains('\u{7}'), "{} is told: {ended:?}", setting.env);
        asked += 1;
    }
    assert!(asked > 50, "only {asked} settings");
}

#[test]
fn misread_values_never_open_a_door() {
    if !supported(&[Feature::Process]) {
        return;
    }
    for (name, value) in [
        ("AUTH_ENABLED", "fasle"),
        ("AUTH_ENABLED", "2"),
        ("RATE_LIMIT_ENABLED", "true "),
        ("RATE_LIMIT_MAX_REQUESTS", "1e3"),
        ("RATE_LIMIT_MAX_REQUESTS", "+5"),
        ("RATE_LIMIT_WINDOW_MS", "60s"),
        ("MAX_BODY_BYTES", "100MB"),
        ("GATEWAY_PORT", "65536"),
        ("CORS_ORIGIN", "*,https://a.example"),
        ("ADMIN_TOKEN", "two words"),
        ("FASTAPI_URL", "localhost:8000"),
        ("GATEWAY_HOST", "localhost:3000"),
    ] {
        let ended = refused(&[(name, value)]);
        assert_eq!(ended.code, Some(2), "{name}={value:?}: {ended:?}");
        assert!(ended.stderr.contains(&format!("{name}: ")), "{name}={value:?}: {ended:?}");
    }
}

#[test]
fn an_address_in_use_is_a_failure_while_running() {
    if !supported(&[Feature::Process]) {
        return;
    }
    for threads in ["1", "2"] {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = taken.local_addr().expect("bound").port().to_string();
        let ended = refused(&[("GATEWAY_PORT", &port), ("GATEWAY_THREADS", threads)]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(&format!("127.0.0.1:{port}")), "{ended:?}");
        assert!(ended.stderr.contains("`GATEWAY_PORT`"), "{ended:?}");
    }
}

#[test]
fn tokens_are_hashed_as_the_backend_does() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let vectors = std::fs::read_to_string(root().join("tests/data/tokens.json")).expect("the vectors");
    let vectors: serde_json::Value = serde_json::from_str(&vectors).expect("JSON");
    let mut cases = 0;
    for (list, name) in [("worker_tokens", "token"), ("enterprise_keys", "key")] {
        for vector in vectors[list].as_array().expect("a list") {
            let (token, stored) =
                (vector[name].as_str().expect("text"), vector["stored"].as_str().expect("text"));
            for line_end in ["", "\n", "\r\n"] {
                let ended = Cli::new(&["token", "hash"]).stdin(&format!("{token}{line_end}")).run();
                assert_eq!((ended.code, ended.stdout.trim_end()), (Some(0), stored), "{token}: {ended:?}");
            }
            cases += 1;
        }
    }
    assert!(cases >= 5, "only {cases} vectors");
    let salted = |salt: &str| {
        Cli::new(&["token", "hash"]).env(&[("AUTH_TOKEN_SALT", salt)]).stdin("tok-demo-0001").run().stdout
    };
    assert_ne!(salted("one"), salted("two"));
}

#[test]
fn what_nobody_could_read_is_a_failure() {
    if !supported(&[Feature::Process]) {
        return;
    }
    for arguments in [&["check"][..], &["token", "hash"]] {
        let ended = Cli::new(arguments).stdin("token").stdout_to("/dev/full").run();
        assert_eq!(ended.code, Some(1), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains("cannot write to standard output"), "{arguments:?}: {ended:?}");
    }
}
