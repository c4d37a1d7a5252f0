//! `acip-gateway keys import --postgres`: from a real database into the store, and what the gateway then accepts.

use std::time::Instant;

use acip_tests::{Cli, Ended, Feature, Postgres, Redis, Stand, supported};

const WORKERS: &str = "CREATE TABLE workers (
    id uuid PRIMARY KEY, name text, auth_token_hash varchar(64), refresh_token_hash varchar(64),
    token_expires_at timestamp, locked_until timestamp)";
const KEYS: &str = "CREATE TABLE enterprise_credentials (
    id serial PRIMARY KEY, enterprise_id text, name text, key_hash varchar(64), key_prefix varchar(10),
    allowed_types jsonb, ip_whitelist jsonb, rate_limit_per_minute int, daily_limit int,
    is_active boolean, created_at timestamp, expires_at timestamp)";

/// The last digit says what becomes of a worker: 8 has expired, 9 is locked, 7 never had a token.
const SOME_WORKERS: &str = "INSERT INTO workers SELECT ('00000000-0000-4000-8000-' || lpad(n::text, 12, '0'))::uuid, 'w' || n,
    CASE WHEN n % 10 <> 7 THEN encode(sha256(convert_to('distributed-gpu-inference-v1:token-' || n, 'UTF8')), 'hex') END, NULL,
    timezone('utc', now()) + CASE WHEN n % 10 = 8 THEN interval '-1 hour' ELSE interval '20 hours' END,
    CASE WHEN n % 10 = 9 THEN timezone('utc', now()) + interval '10 minutes' END
    FROM generate_series(1, 10000) n";
/// The last digit says what becomes of a key: 8 has expired, 9 is switched off, 7 may come from elsewhere only.
const SOME_KEYS: &str = "INSERT INTO enterprise_credentials
    (enterprise_id, name, key_hash, key_prefix, ip_whitelist, rate_limit_per_minute, is_active, created_at, expires_at)
    SELECT 'acme', 'key ' || n, encode(sha256(convert_to('ent_secret-' || n, 'UTF8')), 'hex'), 'ent_secret',
    CASE WHEN n % 10 = 7 THEN '[\"192.0.2.0/24\"]'::jsonb END, CASE WHEN n = 2 THEN 2 ELSE 600 END, n % 10 <> 9, '2026-01-01',
    CASE WHEN n % 10 = 8 THEN timezone('utc', now()) - interval '1 s' END
    FROM generate_series(1, 1000) n";

fn import(redis: &Redis, url: &str, options: &[&str]) -> Ended {
    let arguments = [&["keys", "import", "--postgres", url], options].concat();
    Cli::new(&arguments).env(&[("REDIS_URL", redis.url().as_str())]).run()
}

fn done(redis: &Redis, url: &str, options: &[&str]) -> String {
    let ended = import(redis, url, options);
    assert!(ended.is_well(), "{options:?}: {ended:?}");
    ended.stdout
}

fn worker(n: u32) -> String {
    format!("00000000-0000-4000-8000-{n:012}")
}

/// Whether the gateway lets this worker through to the origin (which does not know it).
async fn passes(stand: &Stand, n: u32, token: &str) -> bool {
    let path = format!("/api/v1/workers/{}/config", worker(n));
    let before = stand.reached(&path).await.len();
    let answer = stand.get(&path).token(token).send().await;
    let reached = stand.reached(&path).await.len() > before;
    let refused = answer.status == 401 || answer.status == 403;
    assert!(reached != refused, "{n}: {} {}", answer.status, answer.text());
    reached
}

async fn status(stand: &Stand, n: u32) -> u16 {
    stand.get("/_test/echo").key(&format!("ent_secret-{n}")).send().await.status.as_u16()
}

#[tokio::test]
async fn what_the_backend_knows_is_accepted_and_what_it_refuses_is_refused() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let postgres = Postgres::start();
    for sql in [WORKERS, KEYS, SOME_WORKERS, SOME_KEYS] {
        postgres.run(sql);
    }
    let stand = Stand::start(&[("AUTH_WORKER_TOKENS", "strict")]);
    let (redis, url) = (stand.redis(), postgres.url());

    let told = done(redis, &url, &["--dry-run"]);
    assert!(told.contains("8000 would be written"), "{told}");
    assert!(redis.keys("gateway:worker:*").is_empty() && redis.keys("gateway:key:*").is_empty());
    assert!(!passes(&stand, 1, "token-1").await, "`strict` knows nothing yet");

    let start = Instant::now();
    let told = done(redis, &url, &[]);
    eprintln!("10,000 workers and 1,000 keys in {:?}", start.elapsed());
    for part in [
        "workers of `public.workers`: 10000 read, 8000 written, 1000 unchanged, 1000 expired, 1000 locked, 1000 without a token",
        "enterprise keys of `public.enterprise_credentials`: 1000 read, 900 written, 100 unchanged, 100 expired, 100 disabled",
    ] {
        assert!(told.contains(part), "{told}");
    }
    // Field by field what an answer of the origin teaches.
    let record = redis.cli(&["HGETALL", &format!("gateway:worker:{}", worker(1))]);
    let fields: Vec<&str> = record.lines().collect();
    assert!(matches!(fields.as_slice(), ["hash", hash, "expires_at", _] if hash.len() == 64), "{record}");
    let ttl: u64 = redis.cli(&["TTL", &format!("gateway:worker:{}", worker(1))]).parse().expect("seconds");
    assert!((71_000..=72_000).contains(&ttl), "{ttl}");

    for (n, token, expected) in [
        (1, "token-1", true),
        (10000, "token-10000", true),
        (2, "token-1", false),
        (7, "token-7", false),
        (8, "token-8", false),
        (9, "token-9", false),
    ] {
        assert_eq!(passes(&stand, n, token).await, expected, "worker {n} with `{token}`");
    }
    for (n, expected) in [(1, 200), (1000, 200), (7, 403), (8, 401), (9, 401), (2, 200), (2, 200), (2, 429)] {
        assert_eq!(status(&stand, n).await, expected, "key {n}");
    }

    let told = done(redis, &url, &[]);
    assert!(told.contains("10000 read, 0 written") && told.contains("1000 read, 0 written"), "{told}");

    // What has changed since, there and here.
    postgres.run(&format!(
        "UPDATE workers SET auth_token_hash =
         encode(sha256(convert_to('distributed-gpu-inference-v1:newer', 'UTF8')), 'hex') WHERE id = '{}'",
        worker(1)
    ));
    postgres.run("UPDATE enterprise_credentials SET is_active = false WHERE id = 1");
    let disabled =
        Cli::new(&["keys", "disable", "enterprise_3"]).env(&[("REDIS_URL", redis.url().as_str())]).run();
    assert_eq!(disabled.code, Some(0), "{disabled:?}");
    let told = done(redis, &url, &[]);
    assert!(told.contains("10000 read, 1 written") && told.contains("1000 read, 1 written"), "{told}");
    assert!(told.contains("1 disabled at the gateway"), "{told}");
    assert!(!passes(&stand, 1, "token-1").await && passes(&stand, 1, "newer").await);
    assert_eq!((status(&stand, 1).await, status(&stand, 3).await, status(&stand, 4).await), (401, 401, 200));
}

#[test]
fn an_operator_is_told_what_is_wrong() {
    if !supported(&[Feature::Process]) {
        return;
    }
    let (postgres, redis) = (Postgres::start(), Redis::start());
    let url = postgres.url();
    let check = |options: &[&str], code: i32, parts: &[&str]| {
        let ended = import(&redis, &url, options);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{options:?}: {ended:?}");
        for part in parts {
            assert!(ended.stderr.contains(part), "{options:?}: {ended:?}");
        }
    };
    check(&[], 2, &["no table of workers", "`auth_token_hash`", "none", "--workers-table"]);
    postgres.run(&WORKERS.replace("workers", "gpu_workers"));
    check(&[], 2, &["no table of enterprise keys", "`key_hash`", "`public.gpu_workers`", "--only workers"]);
    postgres.run(&WORKERS.replace("workers", "old_workers"));
    check(&[], 2, &["more than one table", "`public.gpu_workers`, `public.old_workers`"]);
    check(&["--workers-table", "nodes"], 2, &["no table `nodes`"]);
    let told = done(&redis, &url, &["--only", "workers", "--workers-table", "gpu_workers"]);
    assert_eq!(told, "workers of `public.gpu_workers`: 0 read, 0 written, 0 unchanged\n");
    postgres.run("ALTER TABLE gpu_workers ALTER COLUMN token_expires_at TYPE text");
    check(&["--only", "workers", "--workers-table", "gpu_workers"], 2, &["`token_expires_at`", "`text`"]);

    for (url, code, says) in [
        ("postgres://u:hidden@127.0.0.1:1/db", 1, "cannot reach PostgreSQL"),
        ("mysql://u:hidden@h/db", 2, "postgres://user:password@host"),
        (&url.replace("/postgres", "/nowhere"), 1, "\"nowhere\" does not exist"),
    ] {
        let ended = import(&redis, url, &[]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(code), ""), "{url}: {ended:?}");
        assert!(ended.stderr.contains(says) && !ended.stderr.contains("hidden"), "{url}: {ended:?}");
    }
}
