//! `acip-gateway replay` and `acip-gateway explain`: what to make of a file that `TRACE_RECORD` wrote.

use std::{
    fs::File,
    io::{BufRead as _, BufReader},
    path::PathBuf,
};

use acip_core::{
    explain::Explanation,
    keys::iso8601,
    trace::{ReplayError, Replayer},
};
use acip_shell::RECORDING_MARK;
use serde::de::IgnoredAny;

use super::{Failure, say};

/// Options of `replay`.
#[derive(clap::Args)]
pub(super) struct Replay {
    /// The recordings
    file: PathBuf,
    /// The file is a platform's log: recordings are picked out of its lines
    #[arg(long)]
    log: bool,
}

/// Options of `explain`.
#[derive(clap::Args)]
pub(super) struct Explain {
    /// The recordings
    file: PathBuf,
    /// The file is a platform's log: recordings are picked out of its lines
    #[arg(long)]
    log: bool,
    /// Which line, from 1; without it the last request
    #[arg(long, value_name = "N")]
    line: Option<u64>,
    /// As one JSON object
    #[arg(long)]
    json: bool,
}

/// Decides every recording again, and prints one digest over all decisions.
pub(super) fn replay(options: &Replay) -> Result<(), Failure> {
    let mut replayer = Replayer::default();
    let mut differing = 0_u64;
    each(&options.file, options.log, |number, text| {
        match replayer.line(text) {
            Ok(_) => {}
            Err(error @ ReplayError::Differs { .. }) => {
                differing += 1;
                if differing <= SHOWN {
                    eprintln!("line {number}: {error}");
                }
            }
            Err(error) => return Err(Failure::Runtime(format!("line {number}: {error}"))),
        }
        Ok(true)
    })?;
    say(&format!("requests {}\ndigest {}\n", replayer.requests(), replayer.digest()))?;
    if differing > 0 {
        return Err(Failure::Runtime(format!("{differing} requests were decided otherwise than recorded")));
    }
    Ok(())
}

/// Says why one request was decided as it was.
pub(super) fn explain(options: &Explain) -> Result<(), Failure> {
    let mut replayer = Replayer::default();
    let mut found: Option<Explanation> = None;
    each(&options.file, options.log, |number, text| {
        let wanted = options.line.is_none_or(|line| line == number);
        if wanted || text.starts_with("{\"version\"") {
            let why = replayer.explain(text);
            let why = why.map_err(|error| Failure::Runtime(format!("line {number}: {error}")))?;
            found = why.filter(|_| wanted).or(found.take());
        }
        Ok(options.line.is_none_or(|line| number < line))
    })?;
    let Some(why) = found else {
        let which = options.line.map_or("the file".to_owned(), |line| format!("line {line}"));
        return Err(Failure::Configuration(format!("{which} holds no request; `--line` counts from 1")));
    };
    if options.json {
        let json = serde_json::to_string_pretty(&why).map_err(|error| Failure::Runtime(error.to_string()))?;
        return say(&format!("{json}\n"));
    }
    say(&text(&why))
}

/// Reads line by line until somebody has seen enough.
fn each(
    file: &PathBuf,
    log: bool,
    mut with: impl FnMut(u64, &str) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let failed =
        |error: std::io::Error| Failure::Runtime(format!("cannot read `{}`: {error}", file.display()));
    let lines = BufReader::new(File::open(file).map_err(failed)?).lines();
    for (number, line) in (1..).zip(lines) {
        let line = line.map_err(failed)?;
        let text = if log { picked(&line) } else { Some(line.as_str()).filter(|line| !line.is_empty()) };
        if let Some(text) = text
            && !with(number, text)?
        {
            break;
        }
    }
    Ok(())
}

/// What a platform's log holds in this line of a recording, whatever the platform wrote around it.
fn picked(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(RECORDING_MARK)?;
    let mut values = serde_json::Deserializer::from_str(rest).into_iter::<IgnoredAny>();
    // What is cut off is told as what it is.
    values.next()?.map_or(Some(rest), |_| rest.get(..values.byte_offset()))
}

fn text(why: &Explanation) -> String {
    let mut out = String::new();
    let mut say = |name: &str, text: String| out.push_str(&format!("{name:<11} {text}\n"));
    say("request", why.request.clone());
    say("id", why.request_id.clone());
    say("at", iso8601(why.now_ms).unwrap_or_default());
    let route = &why.route;
    say(
        "route",
        format!(
            "{} (auth {}, cache {}, limit x{}, timeout {} ms, retries {})",
            route.pattern, route.auth, route.cache, route.limit_factor, route.timeout_ms, route.retries
        ),
    );
    let region = why.region.as_deref().unwrap_or("unknown");
    say("client", format!("{}, region {region}", why.client));
    match &why.credential {
        Some(it) => say("credential", format!("{} {}, tenant {}", it.kind, it.id, it.tenant)),
        None => say("credential", "none accepted".into()),
    }
    say("store", format!("answered by: {}", why.store.source));
    for asked in &why.store.asked {
        say("", asked.clone());
    }
    for limit in &why.limits {
        let verdict = if limit.admitted { "admits" } else { "refuses" };
        say(
            "limit",
            format!(
                "{} {verdict}: {} of {} left in {} ms, full at {}, wait {} ms",
                limit.name,
                limit.remaining,
                limit.limit,
                limit.window_ms,
                iso8601(limit.reset_ms).unwrap_or_default(),
                limit.retry_after_ms
            ),
        );
    }
    match &why.cache {
        Some(cache) => say("cache", format!("{}: {}", cache.status, cache.detail.as_deref().unwrap_or("-"))),
        None => say("cache", "not asked".into()),
    }
    say("strategy", why.strategy.into());
    for origin in &why.origins {
        let state = match (origin.ejected, origin.failing) {
            (true, _) => "ejected",
            (false, true) => "failing, due for a try",
            (false, false) => "healthy",
        };
        say(
            "origin",
            format!(
                "{}. {}: {} ({state}, {} in flight, {} us)",
                origin.place + 1,
                origin.name,
                origin.score,
                origin.in_flight,
                origin.ewma_us
            ),
        );
    }
    let verdict = &why.verdict;
    let refused = verdict.refused.map(|word| format!(", refused: {word}")).unwrap_or_default();
    say("verdict", format!("{} {}{refused}", verdict.kind, verdict.status));
    if !verdict.failed.is_empty() {
        say("failed", verdict.failed.join(", "));
    }
    if let Some(origin) = &verdict.origin {
        say("answered by", origin.clone());
    }
    say("events", verdict.events.join(", "));
    out
}

/// Differences that are printed one by one.
const SHOWN: u64 = 20;
