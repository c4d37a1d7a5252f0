//! `acip-gateway plugins …` and `acip-gateway config …`: what the admin API does to the stored changes, from the command
//! line. The change is made by the same code; file and environment of the call must be those of the gateways.

use acip_core::{
    Gateway,
    config::Document,
    control::{self, Change, PluginWish, Rejected, Stored, Wish},
    plugin::Plugin,
    plugins::health,
    store::{Ask, Cells, Replaced},
};
use acip_gateway::{ports::now_ms, rt, store::StoreClient};
use clap::{Args, Subcommand};
use serde_json::{Map, Value, json};

use super::{Failure, audit, say};

#[derive(Subcommand)]
pub(super) enum Plugins {
    /// List all plugins as the stored changes leave them
    List {
        /// One JSON array instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show one plugin
    Show {
        /// Its name
        name: String,
    },
    /// Switch a plugin on in every gateway
    Enable {
        /// Its name
        name: String,
    },
    /// Switch a plugin off in every gateway
    Disable {
        /// Its name
        name: String,
    },
    /// Change a plugin in every gateway
    Set(Set),
}

#[derive(Args)]
pub(super) struct Set {
    /// Its name
    name: String,
    /// What fills its slot: `token-bucket`, `least-connections`, …
    #[arg(long)]
    implementation: Option<String>,
    /// Its place in the order; higher is earlier
    #[arg(long)]
    priority: Option<u32>,
    /// Settings of its section as a JSON merge patch, such as '{"max_requests":50}'
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
}

#[derive(Clone, Copy, Subcommand)]
pub(super) enum Config {
    /// Show the last changes: who made them, when, and what they were
    History,
    /// Go back to an earlier version of the changes
    Rollback {
        /// Which; 0 takes every change back
        #[arg(id = "to", value_name = "VERSION")]
        version: u64,
        /// Also where that opens doors that ask for an API key now
        #[arg(long)]
        allow_open: bool,
    },
}

pub(super) fn plugins(command: Plugins, document: Document) -> Result<(), Failure> {
    run(document, async |desk: Desk| {
        let switch = |on: bool| PluginWish { enabled: Some(json!(on)), ..PluginWish::default() };
        match command {
            Plugins::List { json } => list(&desk.current().await?, json),
            Plugins::Show { name } => match health::plugin_page(&desk.current().await?, &name) {
                Some(page) => say(&format!("{page:#}\n")),
                None => Err(failure(&Rejected::NoPlugin(name))),
            },
            Plugins::Enable { name } => desk.change(Wish::Plugin { name, wish: switch(true) }).await,
            Plugins::Disable { name } => desk.change(Wish::Plugin { name, wish: switch(false) }).await,
            Plugins::Set(set) => {
                let wish = PluginWish {
                    enabled: None,
                    implementation: set.implementation.map(Value::from),
                    priority: set.priority.map(Value::from),
                    config: set.settings.map(|text| object(&text)).transpose()?,
                };
                if wish == PluginWish::default() {
                    let message = "nothing to set; write `--implementation`, `--priority` or `--settings`";
                    return Err(Failure::Configuration(message.into()));
                }
                desk.change(Wish::Plugin { name: set.name, wish }).await
            }
        }
    })
}

pub(super) fn config(command: Config, document: Document) -> Result<(), Failure> {
    run(document, async |desk: Desk| match command {
        Config::History => say(&format!("{:#}\n", desk.stored().await?.1.page())),
        Config::Rollback { version, allow_open } => desk.change(Wish::Rollback { version, allow_open }).await,
    })
}

fn object(text: &str) -> Result<Map<String, Value>, Failure> {
    serde_json::from_str(text)
        .map_err(|error| Failure::Configuration(format!("--settings is no JSON object: {error}")))
}

fn list(gateway: &Gateway, json: bool) -> Result<(), Failure> {
    let names: Vec<&str> = gateway.all_plugins().map(Plugin::name).collect();
    let pages = names.iter().filter_map(|name| health::plugin_page(gateway, name));
    if json {
        return say(&format!("{:#}\n", Value::from(pages.collect::<Vec<_>>())));
    }
    let text = |page: &Value, name: &str| page.get(name).and_then(Value::as_str).unwrap_or("-").to_owned();
    let mut table = format!("{:<24} {:<8} {:>8}  {}\n", "NAME", "STATUS", "PRIORITY", "IMPLEMENTATION");
    for page in pages {
        let priority = page.get("priority").map(ToString::to_string).unwrap_or_default();
        let (name, status, filled) =
            (text(&page, "name"), text(&page, "status"), text(&page, "implementation"));
        table.push_str(&format!("{name:<24} {status:<8} {priority:>8}  {filled}\n"));
    }
    say(&table)
}

fn run(document: Document, with: impl AsyncFnOnce(Desk) -> Result<(), Failure>) -> Result<(), Failure> {
    let runtime = rt::local().map_err(|error| Failure::Runtime(format!("cannot start: {error}")))?;
    runtime.block_on(async { with(Desk::open(document).await?).await })
}

/// The store and what file and environment say.
struct Desk {
    client: StoreClient,
    key: String,
    base: Gateway,
}

impl Desk {
    async fn open(document: Document) -> Result<Self, Failure> {
        if document.store.url.is_none() {
            let message =
                "changes are kept in Redis; set REDIS_URL (an embedded store ends with its process)";
            return Err(Failure::Configuration(message.into()));
        }
        let base = acip_shell::plugins::compile(document)
            .map_err(|error| Failure::Configuration(error.to_string()))?;
        let client = StoreClient::connect(base.document())
            .await
            .map_err(|error| Failure::Runtime(format!("cannot reach Redis: {error}")))?;
        Ok(Self { client, key: control::key(base.document()), base })
    }

    /// The store's text and what it says.
    async fn stored(&self) -> Result<(Vec<u8>, Stored), Failure> {
        let mut ask = Ask::new(now_ms());
        let slot = ask.get(self.key.clone());
        let row = self.client.ask(&ask.into_batch()).await;
        let row = row.map_err(|error| Failure::Runtime(format!("Redis: {error}")))?;
        let text = Cells(&row).bytes(slot).unwrap_or_default();
        let stored = Stored::parse(&text).map_err(|error| Failure::Runtime(error.to_string()))?;
        Ok((text.to_vec(), stored))
    }

    /// The gateway that the stored changes make.
    async fn current(&self) -> Result<Gateway, Failure> {
        let (text, _) = self.stored().await?;
        self.base.follow(&text).map_err(|errors| Failure::Configuration(errors.join("\n")))
    }

    async fn change(&self, wish: Wish) -> Result<(), Failure> {
        for _ in 0..MAX_TRIES {
            let (_, stored) = self.stored().await?;
            let version = stored.now.version;
            let change = Change::make(&self.base, &stored, &wish, "cli", now_ms())
                .map_err(|rejected| failure(&rejected))?;
            if !change.differs {
                return say(&format!("nothing to change; version {version} is in force\n"));
            }
            let mut ask = Ask::new(now_ms());
            let slot = ask.replace(self.key.clone(), version, change.stored.print());
            change.besides.iter().for_each(|op| ask.tell(op.clone()));
            let row = self.client.ask(&ask.into_batch()).await;
            let row = row.map_err(|error| Failure::Runtime(format!("Redis: {error}")))?;
            if Cells(&row).replaced(slot) == Replaced::Written {
                let now = &change.stored.now;
                audit(wish.action(), wish.subjects(), now.paths.clone());
                return say(&format!("version {}: {}\n", now.version, now.paths.join(", ")));
            }
        }
        Err(Failure::Runtime("others change the configuration all the time; try again".into()))
    }
}

fn failure(rejected: &Rejected) -> Failure {
    Failure::Configuration(match rejected {
        Rejected::Invalid(errors) => errors.join("\n"),
        Rejected::Opens(version) => {
            format!(
                "in version {version} doors that ask for an API key now are open; write `--allow-open` if that is meant"
            )
        }
        other => other.to_string(),
    })
}

/// Others that may be faster before it is given up.
const MAX_TRIES: u32 = 8;
