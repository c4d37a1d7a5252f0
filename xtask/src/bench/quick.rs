//! `bench quick`: the first marks of speed. A contestant's figure is the median of interleaved rounds; what counts
//! is the ratio between contestants of one run.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::stage::{self, Contestant, KEY, Running};
use crate::{run, setup};

pub(super) fn measure(seconds: u64, rounds: usize) -> Result<(), String> {
    setup::packages(NEEDS)?;
    if !Path::new("/usr/share/lua/5.1/nginx/sha256.lua").exists() {
        setup::install(&LIBRARIES)?;
    }
    let root = run::root()?;
    let binary = build(&root)?;
    let folder = stage::folder(&root)?;
    let [origin, plain, lua, redis, embedded, shared] = stage::free_ports()?;
    let _redis = start_redis(&binary, &folder, redis)?;
    let _nginx = start_nginx(&folder, origin, plain, lua, redis)?;
    // The rivals write no access log either.
    let quiet = ("LOG_LEVEL", "warn");
    let store = format!("redis://127.0.0.1:{redis}");
    // A key of the configuration needs no record: it is taken away, so that the record is read as the rival does.
    let from_store = [quiet, ("REDIS_URL", &store), ("AUTH_API_KEYS", ""), ("REDIS_KEY_PREFIX", "bench:")];
    let gateways = [
        Running::gateway(&binary, &folder, [embedded, origin], &[quiet])?,
        Running::gateway(&binary, &folder, [shared, origin], &from_store)?,
    ];
    let mut contestants = [
        ("nginx, static answer (the origin itself)", origin),
        ("nginx proxy_pass", plain),
        ("acip-gateway, auth + limit, embedded store", embedded),
        ("nginx + Lua + Redis: key hash, EVALSHA, proxy", lua),
        ("acip-gateway, auth + limit, Redis", shared),
    ]
    .map(|(name, port)| Contestant::new(name, port, PATH));
    stage::race(&mut contestants, seconds, rounds)?;
    report(&contestants, &gateways)
}

fn report(contestants: &[Contestant; 5], gateways: &[Running; 2]) -> Result<(), String> {
    let [_, plain, embedded, lua, shared] = contestants;
    stage::print(contestants);
    let resident = gateways.iter().filter_map(Running::resident_bytes).max();
    let resident_mib = resident.ok_or("the gateway ended during the run; its log is in target/bench")? as f64
        / f64::from(1 << 20);
    stage::judge(&[
        ("embedded store / nginx proxy_pass", embedded.median() / plain.median(), MARK_EMBEDDED, true),
        ("Redis / nginx + Lua + Redis", shared.median() / lua.median(), MARK_REDIS, true),
        ("resident memory after the run, MiB", resident_mib, MARK_RESIDENT_MIB, false),
    ])
}

pub(super) fn build(root: &Path) -> Result<PathBuf, String> {
    run::must(run::cargo(&["build", "--locked", "--release", "--package", "acip-gateway"])?)?;
    Ok(root.join("target/release/acip-gateway"))
}

/// What the gateway itself makes of the key.
fn stored_form(binary: &Path) -> Result<String, String> {
    let mut command = Command::new(binary);
    command.args(["token", "hash"]).env_clear().stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("cannot start the gateway: {error}"))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(KEY.as_bytes()).map_err(|error| error.to_string())?;
    }
    let output = child.wait_with_output().map_err(|error| error.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn start_redis(binary: &Path, folder: &Path, port: u16) -> Result<Running, String> {
    let mut command = Command::new("redis-server");
    command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]);
    let running = Running::start("redis-server", command.current_dir(folder), &folder.join("redis.log"))?;
    stage::wait_for(port, "redis-server")?;
    let record = format!("bench:key:{{{}}}", stored_form(binary)?);
    let status = Command::new("redis-cli")
        .args(["-p", &port.to_string(), "hset", &record, "id", "bench", "tenant", "bench", "enabled", "1"])
        .output()
        .map_err(|error| format!("cannot start `redis-cli`: {error}"))?;
    if status.status.success() { Ok(running) } else { Err("redis-cli could not write the bench key".into()) }
}

/// The origin alone: a static answer to everything.
pub(super) fn start_origin(folder: &Path, port: u16) -> Result<Running, String> {
    let body = format!("{{\"data\":\"{}\"}}", "x".repeat(1000));
    let (place, port) = (folder.display().to_string(), port.to_string());
    let values = [("DIR", place.as_str()), ("BODY", body.as_str()), ("ORIGIN", port.as_str())];
    Running::nginx(folder, "origin.conf", include_str!("origin.conf"), &values)
}

fn start_nginx(folder: &Path, origin: u16, plain: u16, lua: u16, redis: u16) -> Result<[Running; 2], String> {
    let place = folder.display().to_string();
    let ports = [origin, plain, lua, redis].map(|port| port.to_string());
    let [origin_port, plain, lua, redis] = ports.each_ref().map(String::as_str);
    let values =
        [("DIR", place.as_str()), ("ORIGIN", origin_port), ("PLAIN", plain), ("LUA", lua), ("REDIS", redis)];
    stage::fill(&folder.join("gate.lua"), include_str!("gate.lua"), &values)?;
    Ok([
        start_origin(folder, origin)?,
        Running::nginx(folder, "rivals.conf", include_str!("rivals.conf"), &values)?,
    ])
}

/// Nothing that the built-in routes cache or treat specially.
const PATH: &str = "/v1/bench";

const MARK_EMBEDDED: f64 = 0.6;
const MARK_REDIS: f64 = 0.7;
const MARK_RESIDENT_MIB: f64 = 30.0;

const NEEDS: &[setup::Need] =
    &[("redis-server", "redis-server"), ("redis-cli", "redis-tools"), ("nginx", "nginx"), ("wrk", "wrk")];

/// Packages without a program of their own.
const LIBRARIES: [&str; 3] = ["libnginx-mod-http-lua", "lua-nginx-redis", "lua-nginx-string"];
