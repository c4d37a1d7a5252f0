//! `acip-gateway keys import --postgres URL`: what the backend's database knows of workers' tokens and enterprise keys,
//! copied into the store in the form in which the gateway keeps it. Hashes go over, never tokens. [`tables`] finds
//! the tables, [`rows`] says what a row means, [`apply`] writes it.

mod apply;
mod database;
mod progress;
mod rows;
mod tables;

use std::collections::BTreeMap;

use acip_core::config::Document;
use clap::{Args, ValueEnum};
use tokio_postgres::{Client, IsolationLevel, Row, Transaction};

use self::{
    apply::{Counts, Entry, apply},
    database::failed,
    progress::Progress,
    rows::Kind,
    tables::{KEYS, Sought, Table, WORKERS},
};
use super::{Failure, audit, say, store::KeyStore};
use acip_gateway::ports::now_ms;

#[derive(Args)]
pub(super) struct Import {
    /// The backend's database: postgres://user:password@host:5432/database
    #[arg(long, value_name = "URL", env = "POSTGRES_URL", hide_env_values = true)]
    postgres: String,
    /// The table of workers, where its columns do not tell it
    #[arg(long, value_name = "[SCHEMA.]TABLE")]
    workers_table: Option<String>,
    /// The table of enterprise keys, where its columns do not tell it
    #[arg(long, value_name = "[SCHEMA.]TABLE", alias = "table")]
    keys_table: Option<String>,
    /// Import one kind alone
    #[arg(long, value_name = "KIND")]
    only: Option<Only>,
    /// Say what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Only {
    Workers,
    Keys,
}

/// How rows of one table become entries.
struct Source {
    what: &'static str,
    title: String,
    quoted: String,
    select: String,
    by_ids: String,
    read: fn(&Row) -> Result<Entry, tokio_postgres::Error>,
}

pub(super) async fn run(import: Import, document: &Document) -> Result<(), Failure> {
    let store = KeyStore::open(document).await?;
    let mut client = database::connect(&import.postgres).await?;
    // All tables are found before anything is written.
    let sources = sources(&client, &import).await?;
    for source in &sources {
        let counts = copy(&mut client, &store, source, import.dry_run).await?;
        if counts.written > 0 && !import.dry_run {
            audit("keys.import", vec![source.title.clone()], Vec::new());
        }
        say(&report(source, &counts, import.dry_run))?;
    }
    Ok(())
}

async fn sources(client: &Client, import: &Import) -> Result<Vec<Source>, Failure> {
    let all = tables::all(client).await?;
    let mut sources = Vec::new();
    if import.only != Some(Only::Keys) {
        let table = tables::find(&all, &WORKERS, import.workers_table.as_deref())?;
        sources.push(Source::new(&WORKERS, table, table.select_workers()?, |row| {
            tables::worker(row).map(Entry::from)
        }));
    }
    if import.only != Some(Only::Workers) {
        let table = tables::find(&all, &KEYS, import.keys_table.as_deref())?;
        sources
            .push(Source::new(&KEYS, table, table.select_keys()?, |row| tables::key(row).map(Entry::from)));
    }
    Ok(sources)
}

impl Source {
    fn new(
        sought: &Sought,
        table: &Table,
        select: String,
        read: fn(&Row) -> Result<Entry, tokio_postgres::Error>,
    ) -> Self {
        let (title, quoted, by_ids) = (table.title(), table.quoted(), table.by_ids());
        Self { what: sought.what, title, quoted, select, by_ids, read }
    }
}

/// Copies one table, page by page: memory holds one page.
async fn copy(client: &mut Client, store: &KeyStore, source: &Source, dry: bool) -> Result<Counts, Failure> {
    let fails = |error: tokio_postgres::Error| failed(&format!("the rows of `{}`", source.title), &error);
    // A page that is read again shows what is committed by then.
    let building = client.build_transaction().isolation_level(IsolationLevel::ReadCommitted).read_only(true);
    let transaction = building.start().await.map_err(fails)?;
    let count = format!("SELECT count(*) FROM {}", source.quoted);
    let total: i64 =
        transaction.query_one(&count, &[]).await.and_then(|row| row.try_get(0)).map_err(fails)?;
    let mut progress = Progress::new(source.what, u64::try_from(total).unwrap_or_default());
    let statement = transaction.prepare(&source.select).await.map_err(fails)?;
    let again = transaction.prepare(&[&*source.select, &source.by_ids].concat()).await.map_err(fails)?;
    let portal = transaction.bind(&statement, &[]).await.map_err(fails)?;
    let mut counts = Counts::default();
    loop {
        let rows = transaction.query_portal(&portal, PAGE).await.map_err(fails)?;
        if rows.is_empty() {
            break;
        }
        let page = entries(&rows, source).map_err(fails)?;
        let read = page.len();
        let fresh = async |ids: Vec<String>| reread(&transaction, &again, source, ids).await.map_err(fails);
        apply(store, page, fresh, now_ms(), dry, &mut counts).await?;
        progress.add(read);
    }
    progress.end();
    transaction.commit().await.map_err(fails)?;
    Ok(counts)
}

async fn reread(
    transaction: &Transaction<'_>,
    statement: &tokio_postgres::Statement,
    source: &Source,
    ids: Vec<String>,
) -> Result<Vec<Entry>, tokio_postgres::Error> {
    entries(&transaction.query(statement, &[&ids]).await?, source)
}

fn entries(rows: &[Row], source: &Source) -> Result<Vec<Entry>, tokio_postgres::Error> {
    rows.iter().map(source.read).collect()
}

/// What was done, one line a table and one for each thing an operator should look at.
fn report(source: &Source, counts: &Counts, dry: bool) -> String {
    let Source { what, title, .. } = source;
    let written = if dry { "would be written" } else { "written" };
    let kinds: BTreeMap<Kind, &str> = BTreeMap::from([
        (Kind::Expired, "expired"),
        (Kind::Locked, "locked"),
        (Kind::Disabled, "disabled"),
        (Kind::Without, "without a token"),
        (Kind::Unreadable, "skipped: their hash is not 64 hex digits"),
    ]);
    let mut parts: Vec<String> = Vec::from([
        format!("{} read", counts.read),
        format!("{} {written}", counts.written),
        format!("{} unchanged", counts.same),
    ]);
    for (kind, name) in kinds {
        let many = counts.kinds.get(&kind).copied().unwrap_or_default();
        if many > 0 {
            parts.push(format!("{many} {name}"));
        }
    }
    let mut text = format!("{what} of `{title}`: {}\n", parts.join(", "));
    for (many, note) in [
        (counts.overtaken, "changed at a gateway meanwhile; the newer state stays"),
        (counts.kept_off, "disabled at the gateway; they stay so"),
        (counts.restricted, "restrict types or models, which the origin has to check"),
    ] {
        if many > 0 {
            text.push_str(&format!("  {many} {note}\n"));
        }
    }
    text
}

/// Rows per round trip to the database, and to the store.
const PAGE: i32 = 500;
