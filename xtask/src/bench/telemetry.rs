//! `bench telemetry`: what being watched costs. The same gateway without metrics and access log, with both, and with one trace
//! in a hundred exported; all in turns, in one run.

use super::{
    quick,
    stage::{self, Contestant, Running},
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
        Running::gateway(&binary, &folder, [off, origin], &off_variables)?,
        Running::gateway(&binary, &folder, [on, origin], &on_variables)?,
        Running::gateway(&binary, &folder, [traced, origin], &traced_variables)?,
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

/// Nothing that the built-in routes cache or treat specially.
const PATH: &str = "/v1/bench";
const MARK_WATCHED: f64 = 0.9;
const MARK_TRACED: f64 = 0.95;
