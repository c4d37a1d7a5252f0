//! The command line: what can be typed, and the exit codes 0 (done), 1 (failed while running) and 2 (usage or
//! configuration). Start at [`run`].

mod changes;
mod import;
mod keys;
mod load;
mod recorded;
mod redis_rest;
mod store;

use std::{
    io::{Read as _, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use acip_core::{
    config::{Document, scalars},
    keys::iso8601,
    outcome::Audit,
    plugins::auth::stored_form,
};
use clap::{Parser, Subcommand};

use acip_gateway::{logs, ports::now_ms, server};
use serde_json::json;

use crate::demo;

/// API gateway in front of FastAPI GPU inference servers.
#[derive(Parser)]
#[command(name = "acip-gateway", version, propagate_version = true)]
struct Cli {
    #[command(flatten)]
    config: ConfigArg,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(clap::Args, Clone, Default)]
struct ConfigArg {
    /// Configuration file, TOML or JSON (`.json`); without it the environment alone counts
    #[arg(long, value_name = "FILE", env = "GATEWAY_CONFIG", global = true)]
    config: Option<PathBuf>,
}

#[derive(Subcommand)]
enum Command {
    /// Run the gateway (the default)
    Serve,
    /// Run gateway, embedded store and a simulated backend with two GPU workers, to try it out
    Demo,
    /// Validate the configuration and print what is in effect, as a file, secrets masked
    Check,
    /// Manage API keys in Redis
    #[command(subcommand)]
    Keys(keys::Command),
    /// List and change plugins while gateways run; they follow at their next request
    #[command(subcommand)]
    Plugins(changes::Plugins),
    /// List what was changed while gateways run, and go back
    #[command(subcommand)]
    Config(changes::Config),
    /// Decide recorded requests again and compare (see `TRACE_RECORD`)
    Replay(recorded::Replay),
    /// Say why a recorded request was decided as it was
    Explain(recorded::Explain),
    /// Work with tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Serve any Redis over HTTP, compatible with Upstash's REST API
    RedisRest(Box<redis_rest::RedisRest>),
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Read a token from standard input and print its stored form
    Hash,
}

/// Why a command ended without success.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// Exit code 2.
    #[error("{0}")]
    Configuration(String),
    /// Exit code 1.
    #[error("{0}")]
    Runtime(String),
}

/// Runs the command of the process's arguments.
pub fn run() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("acip-gateway: {failure}");
            match failure {
                Failure::Configuration(_) => ExitCode::from(2),
                Failure::Runtime(_) => ExitCode::from(1),
            }
        }
    }
}

fn dispatch(cli: Cli) -> Result<(), Failure> {
    let source = load::Source::new(cli.config.config);
    match cli.command.unwrap_or(Command::Serve) {
        Command::Serve => serve(source),
        Command::Demo => demonstrate(&source),
        Command::Check => check(&source.read()?),
        Command::Keys(command) => keys::run(command, &source.read()?),
        Command::Plugins(command) => changes::plugins(command, source.read()?),
        Command::Config(command) => changes::config(command, source.read()?),
        Command::Replay(replay) => recorded::replay(&replay),
        Command::Explain(explain) => recorded::explain(&explain),
        Command::Token(TokenCommand::Hash) => hash_token(&source.read()?),
        Command::RedisRest(options) => redis_rest::run(*options),
    }
}

fn check(document: &Document) -> Result<(), Failure> {
    let obstacles: Vec<String> = server::obstacles(document).iter().map(ToString::to_string).collect();
    if !obstacles.is_empty() {
        return Err(Failure::Configuration(obstacles.join("\n")));
    }
    if let Some(warning) = document.otel.warning() {
        eprintln!("acip-gateway: warning: {warning}");
    }
    say(&without_masks(&document.to_toml_masked()))
}

/// Makes comments of the lines whose secret is masked: somebody may keep the output as a file, and a mask that is read
/// back as a key would open the door to whoever presents it.
fn without_masks(toml: &str) -> String {
    let mut section = "";
    let mut text = String::with_capacity(toml.len());
    for line in toml.lines() {
        if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            section = name;
        }
        let key = line.split_once(" = ").map(|(key, _)| format!("{section}.{key}"));
        let secret = scalars().any(|setting| setting.secret && Some(setting.key) == key.as_deref());
        if secret && line.contains("***") {
            text.push_str("# ");
        }
        text.push_str(line);
        text.push('\n');
    }
    text
}

fn serve(source: load::Source) -> Result<(), Failure> {
    let document = source.read()?;
    logs::init(&document.log);
    // Errors come one a line.
    let reload =
        move || source.read().map_err(|error| error.to_string().lines().map(str::to_owned).collect());
    ended(server::run(document, Box::new(reload), |_| {}))
}

fn demonstrate(source: &load::Source) -> Result<(), Failure> {
    let failed = |error: std::io::Error| Failure::Runtime(format!("the demo cannot start: {error}"));
    let demo = demo::prepare(source.read()?).map_err(failed)?;
    let document = demo.document.clone();
    logs::init(&document.log);
    let same = document.clone();
    ended(server::run(document, Box::new(move || Ok(same.clone())), |address| demo.started(address)))
}

fn ended(result: Result<(), server::StartError>) -> Result<(), Failure> {
    use acip_gateway::recorder::RecordError::{File, System};
    use server::StartError::{Compile, Listen, Record, Store, Thread, Tls};
    result.map_err(|error| match error {
        Compile(_) | Store(_) | Tls(_) | Record(File { .. }) => Failure::Configuration(error.to_string()),
        Listen { .. } | Thread(_) | Record(System(_)) => Failure::Runtime(error.to_string()),
    })
}

/// Reads one token. A line break at the end is the terminal's, not the token's.
fn hash_token(document: &Document) -> Result<(), Failure> {
    let mut token = String::new();
    std::io::stdin()
        .take(MAX_TOKEN)
        .read_to_string(&mut token)
        .map_err(|error| Failure::Runtime(format!("cannot read the token from standard input: {error}")))?;
    let token =
        token.strip_suffix('\n').map_or(token.as_str(), |line| line.strip_suffix('\r').unwrap_or(line));
    if token.is_empty() {
        return Err(Failure::Configuration("no token on standard input; pipe it in".into()));
    }
    say(&format!("{}\n", stored_form(&document.auth.token_salt, token)))
}

/// Tells standard error what was changed, as the access log does of the admin API's changes.
fn audit(action: &'static str, subjects: Vec<String>, changed: Vec<String>) {
    let audit = Audit { by: "cli", action, subjects, changed };
    let line = json!({ "timestamp": iso8601(now_ms()), "level": "INFO", "message": "audit", "audit": audit });
    // It is done already; nobody to hear of it is no reason to fail.
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Writes to standard output. It may be a full disk or a closed pipe: a key that nobody saw is a failure.
fn say(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    let written = stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush());
    written.map_err(|error| Failure::Runtime(format!("cannot write to standard output: {error}")))
}

/// Longer than any header may be.
const MAX_TOKEN: u64 = 64 << 10;
