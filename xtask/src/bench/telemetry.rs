//! `bench telemetry`: what being watched costs. The same gateway without metrics and access log, with both, and with one trace
//! in a hundred exported; all in turns, in one run.

use std::{path::Path, process::Command};

use super::{
    quick,
    stage::{self, Contestant, KEY, Running},
};
use crate::{run, setup};

pub(super) fn measure(seconds: u64, rounds: usize) -> Result<(), String> {
    setup::packages(&[("nginx", "nginx"), ("wrk", "wrk")])?;
    let root = run::root()?;
    let binary = quick::build(&root)?;
    let folder = stage::folder(&root)?;
    let [origin, off, on, traced] = stage::free_ports()?;
    let _nginx = quick::start_origin(&folder, origin)?;
    let collector = format!("http://127.0.0.1:{origin}");
    let off_variables = [("METRICS_ENABLED", "false"), ("LOG_LEVEL", "warn")];
    let traced_variables = [
        &off_variables[..],
        &[
            ("OTEL_ENABLED", "true"),
            ("OTEL_TRACES_SAMPLER", "traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.01"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector),
        ],
    ]
    .concat();
    let on_variables = [("METRICS_ENABLED", "true"), ("LOG_LEVEL", "info"), ("LOG_FORMAT", "json")];
    let _gateways = [
        start(&binary, &folder, off, origin, &off_variables)?,
        start(&binary, &folder, on, origin, &on_variables)?,
        start(&binary, &folder, traced, origin, &traced_variables)?,
    ];
    let mut contestants = [
        ("neither metrics nor access log", off),
        ("metrics and access log", on),
        ("one trace in a hundred to OTLP, neither metrics nor access log", traced),
    ]
    .map(|(name, port)| Contestant::new(name, port, PATH));
    stage::race(&mut contestants, seconds, rounds)?;
    stage::print(&contestants);
    let [off, on, traced] = contestants.each_ref().map(Contestant::median);
    stage::judge(&[
        ("metrics and access log / neither", on / off, MARK_WATCHED, true),
        ("one trace in a hundred / none", traced / off, MARK_TRACED, true),
    ])
}

fn start(
    binary: &Path,
    folder: &Path,
    port: u16,
    origin: u16,
    variables: &[(&str, &str)],
) -> Result<Running, String> {
    let mut command = Command::new(binary);
    command.current_dir(folder).env_clear().envs([
        ("GATEWAY_HOST", "127.0.0.1".to_owned()),
        ("GATEWAY_PORT", port.to_string()),
        ("GATEWAY_THREADS", "1".to_owned()),
        ("FASTAPI_URL", format!("http://127.0.0.1:{origin}")),
        ("AUTH_API_KEYS", format!("bench:{KEY}")),
        ("RATE_LIMIT_MAX_REQUESTS", "1000000000".to_owned()),
    ]);
    command.envs(variables.iter().copied());
    Running::start("acip-gateway", &mut command, &folder.join(format!("gateway-{port}.log")))
}

/// Nothing that the built-in routes cache or treat specially.
const PATH: &str = "/v1/bench";
const MARK_WATCHED: f64 = 0.9;
const MARK_TRACED: f64 = 0.95;
