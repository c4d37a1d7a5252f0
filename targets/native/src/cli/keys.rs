//! `acip-gateway keys …`.

use acip_core::{
    config::Document,
    keys::{FreshKey, KeyLimit, KeyRecord, check},
    plugins::auth::stored_form,
};
use acip_gateway::{ports::now_ms, rt};
use clap::{Args, Subcommand};
use serde_json::json;

use super::{
    Failure, audit, say,
    store::{KeyStore, Stored},
};

#[derive(Subcommand)]
pub(super) enum Command {
    /// Create a key and show it, this once
    Create(Create),
    /// List all keys
    List {
        /// One JSON array instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Show one key's record
    Show {
        /// Its id
        id: String,
    },
    /// Replace a key by a fresh one with the same rights, and show it, this once
    Rotate {
        /// Its id
        id: String,
        /// How long the old key stays valid
        #[arg(long, default_value_t = 0, value_name = "SECONDS")]
        grace_seconds: u64,
    },
    /// Refuse a key from the next request on; its record stays
    Disable {
        /// Its id
        id: String,
    },
    /// Delete a key's record; it is unknown from the next request on
    Revoke {
        /// Its id
        id: String,
    },
    /// Copy the hashes of workers' tokens and enterprise keys from the backend's database
    Import(super::import::Import),
}

#[derive(Args)]
pub(super) struct Create {
    /// For people
    #[arg(long)]
    name: String,
    /// Owner of the key's jobs; the name if absent
    #[arg(long)]
    tenant: Option<String>,
    /// Opens the backend's admin routes too
    #[arg(long)]
    admin: bool,
    /// Valid for so many seconds
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3_153_600_000))]
    expires_in: Option<u64>,
    /// Own limit, repeatable: NAME:LIMIT:WINDOW_MS[:ALGORITHM[:COST]]
    #[arg(long, value_name = "LIMIT", value_parser = parse_limit)]
    limit: Vec<KeyLimit>,
    /// Requests per day (UTC)
    #[arg(long, value_name = "REQUESTS")]
    daily_limit: Option<u32>,
    /// Allowed path pattern, repeatable: /api/v1/jobs, /api/v1/jobs/*
    #[arg(long, value_name = "PATTERN", value_parser = check::route)]
    route: Vec<String>,
    /// Allowed network, repeatable: 10.0.0.0/8
    #[arg(long, value_name = "CIDR", value_parser = check::network)]
    ip_allow: Vec<String>,
}

pub(super) fn run(command: Command, document: &Document) -> Result<(), Failure> {
    let runtime = rt::local().map_err(|error| Failure::Runtime(format!("cannot start: {error}")))?;
    runtime.block_on(execute(command, document))
}

async fn execute(command: Command, document: &Document) -> Result<(), Failure> {
    let command = match command {
        Command::Import(import) => return super::import::run(import, document).await,
        command => command,
    };
    let store = KeyStore::open(document).await?;
    match command {
        Command::Import(_) => Ok(()),
        Command::Create(create) => self::create(&store, document, create).await,
        Command::List { json } => list(&store, json).await,
        Command::Show { id } => print_json(&store.find(&id).await?.record.to_json()),
        Command::Rotate { id, grace_seconds } => rotate(&store, document, &id, grace_seconds).await,
        Command::Disable { id } => {
            let Stored { key, mut record } = store.find(&id).await?;
            record.enabled = false;
            store.write(&key, &record).await?;
            audit("keys.change", vec![id.clone()], vec!["enabled".into()]);
            say(&format!("disabled `{id}`\n"))
        }
        Command::Revoke { id } => {
            store.remove(&store.find(&id).await?).await?;
            audit("keys.revoke", vec![id.clone()], Vec::new());
            say(&format!("revoked `{id}`\n"))
        }
    }
}

async fn create(store: &KeyStore, document: &Document, create: Create) -> Result<(), Failure> {
    let now = now_ms();
    let record = KeyRecord {
        tenant: create.tenant.unwrap_or_else(|| create.name.clone()),
        name: create.name,
        role: if create.admin { "admin".into() } else { String::new() },
        enabled: true,
        created_at: now,
        expires_at: create.expires_in.map(|seconds| now.saturating_add(seconds.saturating_mul(1000))),
        limits: create.limit,
        daily_limit: create.daily_limit,
        routes: create.route,
        ip_allow: create.ip_allow,
        ..KeyRecord::default()
    };
    issue(store, document, record, None).await
}

/// Gives a record a fresh key in place of another one's or of none, stores it and shows both.
async fn issue(
    store: &KeyStore,
    document: &Document,
    mut record: KeyRecord,
    replaces: Option<&str>,
) -> Result<(), Failure> {
    let fresh = FreshKey::new(chance()?, chance()?);
    record.id = fresh.id;
    record.prefix = fresh.prefix;
    let stored = stored_form(&document.auth.token_salt, fresh.key.expose_secret());
    store.write(&store.key_of(&stored), &record).await?;
    match replaces {
        Some(old) => audit("keys.rotate", vec![old.to_owned(), record.id.clone()], Vec::new()),
        None => {
            let set = KeyRecord::default().changes(&record);
            audit("keys.create", vec![record.id.clone()], set.into_iter().map(|(name, _)| name).collect());
        }
    }
    let mut shown = record.to_json();
    if let Some(object) = shown.as_object_mut() {
        object.insert("key".into(), json!(fresh.key.expose_secret()));
    }
    print_json(&shown)
}

async fn rotate(store: &KeyStore, document: &Document, id: &str, grace_seconds: u64) -> Result<(), Failure> {
    let stored = store.find(id).await?;
    let record = &stored.record;
    issue(store, document, KeyRecord { created_at: now_ms(), ..record.clone() }, Some(id)).await?;
    if grace_seconds == 0 {
        return store.remove(&stored).await;
    }
    let end = now_ms().saturating_add(grace_seconds.saturating_mul(1000));
    let expires_at = Some(record.expires_at.map_or(end, |old| old.min(end)));
    store.write(&stored.key, &KeyRecord { expires_at, ..record.clone() }).await
}

async fn list(store: &KeyStore, as_json: bool) -> Result<(), Failure> {
    let records = store.list().await?;
    if as_json {
        return print_json(&records.iter().map(|stored| stored.record.to_json()).collect());
    }
    let mut table =
        format!("{:<21} {:<12} {:<8} {:<20} {:<20} EXPIRES\n", "ID", "PREFIX", "STATE", "NAME", "TENANT");
    for Stored { record, .. } in records {
        let state = if record.enabled { "enabled" } else { "disabled" };
        let expires = record.expires_at.and_then(acip_core::keys::iso8601).unwrap_or_else(|| "never".into());
        table.push_str(&format!(
            "{:<21} {:<12} {state:<8} {:<20} {:<20} {expires}\n",
            record.id, record.prefix, record.name, record.tenant
        ));
    }
    say(&table)
}

fn print_json(value: &serde_json::Value) -> Result<(), Failure> {
    say(&format!("{value:#}\n"))
}

fn parse_limit(text: &str) -> Result<KeyLimit, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (name, limit, window_ms, rest) = match parts.as_slice() {
        [name, limit, window_ms, rest @ ..] if rest.len() <= 2 => (name, limit, window_ms, rest),
        _ => return Err("write NAME:LIMIT:WINDOW_MS[:ALGORITHM[:COST]]".into()),
    };
    let algorithm = rest.first().filter(|name| !name.is_empty()).map(|name| (*name).to_owned());
    let number =
        |what: &str, text: &str| text.parse().map_err(|_| format!("{what} `{text}` is no whole number"));
    let window_ms: u64 =
        window_ms.parse().map_err(|_| format!("the window `{window_ms}` is no whole number of ms"))?;
    let cost = rest.get(1).map(|cost| number("the cost", cost)).transpose()?;
    let limit = number("the limit", limit)?;
    let limit = KeyLimit { name: (*name).into(), limit, window_ms, algorithm, cost };
    check::limit(&limit)?;
    Ok(limit)
}

fn chance<const N: usize>() -> Result<[u8; N], Failure> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes)
        .map_err(|error| Failure::Runtime(format!("the system gives no random bytes: {error}")))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_strictly() {
        type Parts = (u32, u64, Option<&'static str>, Option<u32>);
        let cases: [(&str, Result<Parts, &str>); 8] = [
            ("burst:5:1000", Ok((5, 1000, None, None))),
            ("burst:5:1000:token-bucket:2", Ok((5, 1000, Some("token-bucket"), Some(2)))),
            ("burst:5:1000::2", Ok((5, 1000, None, Some(2)))),
            ("burst:5", Err("write NAME")),
            ("burst:5:0", Err("at least 1 ms")),
            ("burst:-1:1000", Err("the limit `-1`")),
            ("bu rst:1:1000", Err("may hold letters")),
            ("burst:1:1000:leaky", Err("none of")),
        ];
        for (text, expected) in cases {
            match (parse_limit(text), expected) {
                (Ok(it), Ok((limit, window, algorithm, cost))) => {
                    assert_eq!(
                        (it.limit, it.window_ms, it.algorithm.as_deref(), it.cost),
                        (limit, window, algorithm, cost)
                    );
                }
                (Err(error), Err(part)) => assert!(error.contains(part), "{text}: {error}"),
                (got, _) => panic!("{text}: {got:?}"),
            }
        }
    }
}
