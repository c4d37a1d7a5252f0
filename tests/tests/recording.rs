//! `TRACE_RECORD`, `acip-gateway replay` and `acip-gateway explain`, on the built binary.

use std::{fs, os::unix::fs::PermissionsExt as _};

use acip_tests::{
    ADMIN, Cli, Feature, Gateway, KEY, OTHER_KEY, Origin, Stand, Target,
    cached::{ask, stored, told},
    supported, wait_until,
};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How the line of a recording begins in a platform's log.
const MARK: &str = "{\"recording\":";

const SECRETS: [&str; 4] = [KEY, OTHER_KEY, ADMIN, "sign-secret-0123456789"];

#[test]
fn a_file_that_cannot_be_written_stops_the_start() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let file = |name: &str| folder.path().join(name).display().to_string();
    for path in [file("none/trace.jsonl"), folder.path().display().to_string()] {
        for command in ["serve", "check"] {
            let place =
                [("GATEWAY_HOST", "127.0.0.1"), ("GATEWAY_PORT", "0"), ("TRACE_RECORD", path.as_str())];
            let ended = Cli::new(&[command]).env(&place).run();
            assert_eq!(ended.code, Some(2), "{command} {path}: {ended:?}");
            assert!(ended.stderr.contains(&format!("TRACE_RECORD: cannot write to `{path}`")), "{ended:?}");
        }
    }
    // Who checks as somebody else must not leave a file that the server cannot write to.
    let path = file("trace.jsonl");
    let checked = Cli::new(&["check"]).env(&[("TRACE_RECORD", &path)]).run();
    assert_eq!((checked.code, fs::exists(&path).ok()), (Some(0), Some(false)), "{checked:?}");
}

#[tokio::test]
async fn what_a_server_decided_is_decided_again_and_explained() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("trace.jsonl");
    let path = path.to_str().expect("text");
    let origin = Origin::start();
    let environment = [
        ("TRACE_RECORD", path),
        ("SIGNING_SECRET", SECRETS[3]),
        ("RATE_LIMIT_MAX_REQUESTS", "2"),
        ("RATE_LIMIT_ALGORITHM", "fixed-window"),
        ("RATE_LIMIT_WINDOW_MS", "3600000"),
    ];
    let mut gateway = Gateway::start(&[&origin.url()], &environment);
    let http = gateway.http();
    let job = http.post("/api/v1/jobs", &json!({ "type": "llm", "params": {} })).key(KEY).send().await;
    assert!(job.status.is_success(), "{}", job.text());
    let job = job.json()["job_id"].as_str().expect("an id").to_owned();
    assert_eq!(http.get(&format!("/api/v1/jobs/{job}")).key(OTHER_KEY).send().await.status, 404);
    assert_eq!(http.get("/api/v1/models").send().await.status, 401);
    http.get("/_test/echo?token=secret-in-a-query").key(KEY).send().await;
    assert_eq!(http.get("/api/v1/queue/stats").key(KEY).send().await.status, 429);
    assert_eq!(http.get("/gateway/config").bearer(ADMIN).send().await.status, 200);
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), Some(0));

    let text = fs::read_to_string(path).expect("a file");
    assert_eq!(fs::metadata(path).expect("a file").permissions().mode() & 0o777, 0o600, "others can read it");
    for secret in SECRETS.iter().chain(&["secret-in-a-query"]) {
        assert!(!text.contains(secret), "`{secret}` was recorded");
    }
    let replayed = Cli::new(&["replay", path]).run();
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let requests = text.lines().filter(|line| line.starts_with("{\"under\"")).count();
    assert!(replayed.stdout.starts_with(&format!("requests {requests}\ndigest ")), "{}", replayed.stdout);
    assert_eq!(Cli::new(&["replay", path]).run().stdout, replayed.stdout);

    let line_of = |what: &str| {
        let place = text.lines().position(|line| line.contains(what));
        (place.unwrap_or_else(|| panic!("no line with {what}")) + 1).to_string()
    };
    let why = |what: &str| {
        let explained = Cli::new(&["explain", path, "--json", "--line", &line_of(what)]).run();
        assert_eq!(explained.code, Some(0), "{explained:?}");
        serde_json::from_str::<Value>(&explained.stdout).expect("JSON")
    };
    let submitted = why("\"target\":\"/api/v1/jobs\"");
    assert_eq!(submitted["credential"], json!({ "id": "test", "tenant": "test", "kind": "api-key" }));
    assert_eq!(submitted["route"]["pattern"], "/api/v1/jobs");
    assert_eq!(submitted["limits"][0]["limit"], 2);
    assert_eq!(submitted["limits"][0]["remaining"], 1);
    assert_eq!(submitted["verdict"]["kind"], "forward");
    assert_eq!(submitted["origins"][0]["place"], 0);
    let foreign = why(&format!("\"target\":\"/api/v1/jobs/{job}\""));
    assert_eq!(foreign["verdict"]["refused"], "foreign_job");
    assert_eq!(foreign["verdict"]["status"], 404);
    let limited = why("/api/v1/queue/stats");
    assert_eq!(limited["verdict"]["refused"], "rate_limit");
    assert_eq!(limited["limits"][0]["admitted"], false);

    let line = line_of("/api/v1/queue/stats");
    let text = Cli::new(&["explain", path, "--line", &line]).run().stdout;
    for part in
        ["request     GET /api/v1/queue/stats", "credential  api-key test", "refuses: 0 of 2", "rate_limit"]
    {
        assert!(text.contains(part), "no `{part}` in:\n{text}");
    }
}

/// What the process kept for itself is in the recording's row like all that the store said.
#[tokio::test]
async fn an_answer_from_the_process_is_decided_again() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("trace.jsonl");
    let path = path.to_str().expect("text");
    let mut stand = Stand::start(&[("TRACE_RECORD", path), ("CACHE_BACKEND", "memory")]);
    let query = "cc=max-age=600";
    assert_eq!(told(&ask(&stand, query).send().await), "MISS");
    assert_eq!(told(&stored(|| ask(&stand, query)).await), "HIT");
    assert_eq!(stand.http().delete(&format!("/_test/cache?{query}")).key(KEY).send().await.status, 200);
    stand.gateway.signal("TERM");
    assert_eq!(stand.gateway.wait(), Some(0));

    let replayed = Cli::new(&["replay", path]).run();
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let text = fs::read_to_string(path).expect("a file");
    let explanations =
        text.lines().enumerate().filter(|(_, line)| line.contains("/_test/cache")).map(|(place, _)| {
            let line = (place + 1).to_string();
            let explained = Cli::new(&["explain", path, "--json", "--line", &line]).run();
            serde_json::from_str::<Value>(&explained.stdout).unwrap_or_else(|_| panic!("{explained:?}"))
        });
    let hit = explanations.into_iter().find(|why| why["cache"]["status"] == "HIT").expect("a hit");
    let asked = hit["store"]["asked"].as_array().expect("a list");
    let here =
        asked.iter().filter(|it| it.as_str().is_some_and(|it| it.ends_with(" in this process"))).count();
    assert_eq!((here, &hit["store"]["source"]), (2, &json!("store")), "{asked:?}");
}

/// Where there are no files, recordings are lines of the platform's log among others.
#[tokio::test]
async fn what_a_platform_logged_is_decided_again() {
    if Target::current() == Target::Native {
        return;
    }
    let stand = Stand::start(&[
        ("TRACE_RECORD", "log"),
        ("SIGNING_SECRET", SECRETS[3]),
        ("RATE_LIMIT_MAX_REQUESTS", "2"),
        ("RATE_LIMIT_ALGORITHM", "fixed-window"),
        ("RATE_LIMIT_WINDOW_MS", "3600000"),
        // Those of several instances would share one log here, which lines as long as these could mix in.
        ("ACIP_LAMBDA_PROCESSES", "1"),
    ]);
    assert_eq!(stand.get("/api/v1/models").send().await.status, 401);
    for status in [200, 200, 429] {
        let path = "/_test/echo?token=secret-in-a-query";
        assert_eq!(stand.get(path).key(KEY).send().await.status, status);
    }
    let lines =
        || stand.gateway.log().lines().filter(|line| line.contains(MARK)).map(str::to_owned).collect();
    let holds = |lines: &[String], what: &str| lines.iter().any(|line| line.contains(what));
    let mut recorded: Vec<String> = Vec::new();
    wait_until("the recordings in the log", || {
        recorded = lines();
        let of_echo = recorded.iter().filter(|line| line.contains("/_test/echo")).count();
        of_echo == 3 && holds(&recorded, "\"target\":\"/api/v1/models\"")
    });
    for secret in SECRETS.iter().chain(&["secret-in-a-query"]) {
        assert!(!holds(&recorded, secret), "`{secret}` was recorded");
    }
    let log = stand.gateway.log();
    let replayed = Cli::new(&["replay", "--log", "platform.log"]).file("platform.log", &log).run();
    assert_eq!(replayed.code, Some(0), "{replayed:?}");
    let requests = recorded.iter().filter(|line| line.contains("{\"under\"")).count();
    assert!(replayed.stdout.starts_with(&format!("requests {requests}\ndigest ")), "{}", replayed.stdout);
    let last = recorded.iter().rfind(|line| line.contains("/_test/echo"));
    let limited = log.lines().position(|line| Some(line) == last.map(String::as_str)).expect("a line") + 1;
    let arguments = ["explain", "--log", "platform.log", "--json", "--line", &limited.to_string()];
    let explained = Cli::new(&arguments).file("platform.log", &log).run();
    let why: Value = serde_json::from_str(&explained.stdout).expect("JSON");
    assert_eq!(why["verdict"]["refused"], "rate_limit", "{why}");
}

#[test]
fn what_cannot_be_replayed_is_said() {
    let document = r#"{"version":"v","document":{}}"#;
    let cases: [(&[&str], &str, i32, &str); 5] = [
        (&["replay", "trace.jsonl"], "no recording", 1, "line 1: the line is no recording"),
        (&["replay", "other.jsonl"], document, 1, "cannot read `other.jsonl`"),
        (
            &["replay", "--log", "trace.jsonl"],
            "x\ny {\"recording\":{\"und",
            1,
            "line 2: the line is no recording",
        ),
        (&["explain", "trace.jsonl"], document, 2, "holds no request"),
        (&["explain", "trace.jsonl", "--line", "9"], document, 2, "line 9 holds no request"),
    ];
    for (arguments, text, code, expected) in cases {
        let ended = Cli::new(arguments).file("trace.jsonl", text).run();
        assert_eq!(ended.code, Some(code), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains(expected), "{arguments:?}: {}", ended.stderr);
    }
}

#[tokio::test]
async fn recording_ends_at_its_size_and_the_gateway_goes_on() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let folder = TempDir::new().expect("a folder");
    let path = folder.path().join("trace.jsonl");
    let environment = [
        ("TRACE_RECORD", path.to_str().expect("text")),
        ("TRACE_MAX_BYTES", "8192"),
        ("RATE_LIMIT_ENABLED", "no"),
    ];
    let origin = Origin::start();
    let mut gateway = Gateway::start(&[&origin.url()], &environment);
    for _ in 0..30 {
        assert_eq!(gateway.http().get("/health").send().await.status, 200);
    }
    gateway.signal("TERM");
    assert_eq!(gateway.wait(), Some(0));
    let length = fs::metadata(&path).expect("a file").len();
    assert!((1000..=8192).contains(&length), "{length} bytes");
    wait_until("the warning", || gateway.log().contains("TRACE_MAX_BYTES"));
    assert_eq!(Cli::new(&["replay", path.to_str().expect("text")]).run().code, Some(0));
}
