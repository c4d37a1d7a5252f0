//! Which tables of the database hold workers and enterprise keys, and how their columns are read. Deployments differ in
//! names: a table is known by its columns, or named.

use std::collections::BTreeMap;

use tokio_postgres::{Client, Row};

use super::{
    database::failed,
    rows::{KeyRow, WorkerRow},
};
use crate::cli::Failure;

/// A table with the types of its columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Table {
    schema: String,
    name: String,
    columns: BTreeMap<String, String>,
}

/// What a table is looked for by.
pub(super) struct Sought {
    /// For people.
    pub(super) what: &'static str,
    /// All of these columns.
    columns: &'static [&'static str],
    /// The option that names it.
    option: &'static str,
    /// The other kind, which can be imported alone.
    other: &'static str,
}

pub(super) const WORKERS: Sought =
    Sought { what: "workers", columns: &["id", "auth_token_hash"], option: "--workers-table", other: "keys" };
pub(super) const KEYS: Sought = Sought {
    what: "enterprise keys",
    columns: &["id", "key_hash", "key_prefix"],
    option: "--keys-table",
    other: "workers",
};

impl Table {
    /// As people write it.
    pub(super) fn title(&self) -> String {
        format!("{}.{}", self.schema, self.name)
    }

    /// As SQL writes it.
    pub(super) fn quoted(&self) -> String {
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }

    /// SQL that reads workers, in the order of [`worker`].
    pub(super) fn select_workers(&self) -> Result<String, Failure> {
        let columns = [
            self.text(&["id"]),
            self.text(&["auth_token_hash"]),
            self.time(&["token_expires_at"])?,
            self.time(&["locked_until"])?,
        ];
        Ok(format!("SELECT {} FROM {}", columns.join(", "), self.quoted()))
    }

    /// SQL that reads keys, in the order of [`key`].
    pub(super) fn select_keys(&self) -> Result<String, Failure> {
        let json = |name| self.column(&[name]).map(|column| format!("to_json({column})::text"));
        let restricts =
            |name| json(name).map(|json| format!("coalesce({json} NOT IN ('null', '[]', '\"\"'), false)"));
        let restricted: Vec<String> =
            ["allowed_types", "allowed_models"].into_iter().filter_map(restricts).collect();
        let restricted = if restricted.is_empty() { "false".to_owned() } else { restricted.join(" OR ") };
        let columns = [
            self.text(&["id"]),
            self.text(&["key_hash"]),
            self.text(&["key_prefix"]),
            self.text(&["name", "key_name"]),
            self.text(&["enterprise_id", "tenant_id", "organization_id"]),
            self.off(),
            self.time(&["created_at"])?,
            self.time(&["expires_at"])?,
            self.number(&["rate_limit_per_minute"]),
            self.number(&["daily_limit"]),
            json("ip_whitelist").unwrap_or_else(|| "NULL::text".into()),
            restricted,
        ];
        Ok(format!("SELECT {} FROM {}", columns.join(", "), self.quoted()))
    }

    /// A condition that picks rows by a list of ids, with the index of the primary key.
    pub(super) fn by_ids(&self) -> String {
        let kind = self.columns.get("id").map_or("text", String::as_str);
        format!(" WHERE \"id\" = ANY($1::text[]::{kind}[])")
    }

    fn column(&self, names: &[&str]) -> Option<String> {
        names.iter().find(|name| self.columns.contains_key(**name)).map(|name| quote(name))
    }

    fn text(&self, names: &[&str]) -> String {
        self.column(names).map_or_else(|| "NULL::text".into(), |column| format!("{column}::text"))
    }

    fn number(&self, names: &[&str]) -> String {
        self.column(names).map_or_else(|| "NULL::bigint".into(), |column| format!("{column}::bigint"))
    }

    /// Unix ms; times without a zone are UTC.
    fn time(&self, names: &[&str]) -> Result<String, Failure> {
        let Some((name, kind)) = names.iter().find_map(|name| self.columns.get_key_value(*name)) else {
            return Ok("NULL::bigint".into());
        };
        if !kind.starts_with("timestamp") && kind != "date" {
            return Err(Failure::Configuration(format!(
                "the column `{name}` of `{}` is a `{kind}`, not a time; make a view that has a `timestamp` there, and name \
                 it by `{}` or `{}`",
                self.title(),
                WORKERS.option,
                KEYS.option
            )));
        }
        let column = quote(name);
        Ok(format!(
            "CASE WHEN isfinite({column}) THEN floor(extract(epoch FROM {column}) * 1000)::bigint \
             WHEN {column} < now() THEN 0 END"
        ))
    }

    /// Whether a key is switched off; a switch without a value is off.
    fn off(&self) -> String {
        let on = ["is_active", "active", "enabled", "is_enabled"]
            .iter()
            .filter_map(|name| self.column(&[name]))
            .map(|column| format!("coalesce({column}::text NOT IN ('true', '1'), true)"));
        let off = ["disabled", "is_disabled", "revoked", "is_revoked"]
            .iter()
            .filter_map(|name| self.column(&[name]))
            .map(|column| format!("coalesce({column}::text NOT IN ('false', '0'), false)"));
        let since = ["revoked_at", "disabled_at", "deleted_at"]
            .iter()
            .filter_map(|name| self.column(&[name]))
            .map(|column| format!("{column} IS NOT NULL"));
        let status = self.column(&["status"]);
        let status = status
            .map(|column| format!("coalesce(lower({column}::text) NOT IN ('active', 'enabled'), true)"));
        let any: Vec<String> = on.chain(off).chain(since).chain(status).collect();
        if any.is_empty() { "false".into() } else { any.join(" OR ") }
    }
}

/// Everything that can be read as a table, but PostgreSQL's own.
pub(super) async fn all(client: &Client) -> Result<Vec<Table>, Failure> {
    let rows = client.query(CATALOGUE, &[]).await.map_err(|error| failed("the list of tables", &error))?;
    let mut tables: Vec<Table> = Vec::new();
    for row in rows {
        let [schema, name, column, kind] =
            [0, 1, 2, 3].map(|index| row.try_get::<_, String>(index).unwrap_or_default());
        match tables.last_mut().filter(|table| table.schema == schema && table.name == name) {
            Some(table) => {
                table.columns.insert(column, kind);
            }
            None => tables.push(Table { schema, name, columns: BTreeMap::from([(column, kind)]) }),
        }
    }
    Ok(tables)
}

/// The table that is meant.
///
/// # Errors
/// None is, or more than one.
pub(super) fn find<'a>(
    tables: &'a [Table],
    sought: &Sought,
    named: Option<&str>,
) -> Result<&'a Table, Failure> {
    let titles = |tables: &[&Table]| {
        let titles: Vec<String> =
            tables.iter().take(SHOWN).map(|table| format!("`{}`", table.title())).collect();
        let more = if tables.len() > SHOWN { " and more" } else { "" };
        if titles.is_empty() { "none".into() } else { titles.join(", ") + more }
    };
    let everything: Vec<&Table> = tables.iter().collect();
    let Sought { what, columns, option, other } = sought;
    let listed = columns.join("`, `");
    let fits = |table: &&Table| columns.iter().all(|column| table.columns.contains_key(*column));
    if let Some(named) = named {
        let Some(table) = tables.iter().find(|it| it.title() == named || it.name == named) else {
            return Err(Failure::Configuration(format!(
                "{option}: there is no table `{named}`, or this user may not see it; there are: {}",
                titles(&everything)
            )));
        };
        let lacks: Vec<&str> =
            columns.iter().filter(|column| !table.columns.contains_key(**column)).copied().collect();
        return if lacks.is_empty() {
            Ok(table)
        } else {
            Err(Failure::Configuration(format!("{option}: `{named}` has no column `{}`", lacks.join("`, `"))))
        };
    }
    let found: Vec<&Table> = tables.iter().filter(fits).collect();
    match found.as_slice() {
        [table] => Ok(table),
        [] => Err(Failure::Configuration(format!(
            "no table of {what} found: looked for one with the columns `{listed}` among {}; is it the right \
             database? Name the table by {option}, or leave it out by `--only {other}`",
            titles(&everything)
        ))),
        several => Err(Failure::Configuration(format!(
            "more than one table has the columns `{listed}` of {what}: {}; name one by {option}",
            titles(several)
        ))),
    }
}

/// A row of [`Table::select_workers`].
pub(super) fn worker(row: &Row) -> Result<WorkerRow, tokio_postgres::Error> {
    Ok(WorkerRow {
        id: row.try_get::<_, Option<String>>(0)?.unwrap_or_default(),
        hash: row.try_get(1)?,
        expires_at: row.try_get(2)?,
        locked_until: row.try_get(3)?,
    })
}

/// A row of [`Table::select_keys`].
pub(super) fn key(row: &Row) -> Result<KeyRow, tokio_postgres::Error> {
    Ok(KeyRow {
        id: row.try_get::<_, Option<String>>(0)?.unwrap_or_default(),
        hash: row.try_get(1)?,
        prefix: row.try_get(2)?,
        name: row.try_get(3)?,
        tenant: row.try_get(4)?,
        is_off: row.try_get(5)?,
        created_at: row.try_get(6)?,
        expires_at: row.try_get(7)?,
        per_minute: row.try_get(8)?,
        daily_limit: row.try_get(9)?,
        ip_allow: row.try_get(10)?,
        is_restricted: row.try_get(11)?,
    })
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

const CATALOGUE: &str = "SELECT n.nspname::text, c.relname::text, a.attname::text, format_type(a.atttypid, NULL) \
    FROM pg_catalog.pg_class c \
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace \
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid \
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT c.relispartition AND a.attnum > 0 AND NOT a.attisdropped \
    AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname NOT LIKE 'pg\\_%' \
    AND has_table_privilege(c.oid, 'SELECT') \
    ORDER BY n.nspname, c.relname, a.attnum";
/// How many tables an error names.
const SHOWN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, columns: &[&str]) -> Table {
        let columns = columns.iter().map(|column| ((*column).to_owned(), "text".to_owned())).collect();
        Table { schema: "public".into(), name: name.into(), columns }
    }

    #[test]
    fn a_table_is_known_by_its_columns_or_named() {
        let workers = table("workers", &["id", "auth_token_hash", "x"]);
        let copy = table("workers_old", &["id", "auth_token_hash"]);
        let jobs = table("jobs", &["id"]);
        type Expected<'a> = Result<&'a str, &'a str>;
        let cases: [(&[&Table], Option<&str>, Expected<'_>); 7] = [
            (&[&jobs, &workers], None, Ok("workers")),
            (&[&copy, &workers], Some("workers"), Ok("workers")),
            (&[&copy, &workers], Some("public.workers_old"), Ok("workers_old")),
            (&[&copy, &workers], None, Err("more than one")),
            (&[&jobs], None, Err("`id`, `auth_token_hash` among `public.jobs`")),
            (&[&jobs], Some("jobs"), Err("has no column `auth_token_hash`")),
            (&[&jobs], Some("workers"), Err("there are: `public.jobs`")),
        ];
        for (tables, named, expected) in cases {
            let tables: Vec<Table> = tables.iter().map(|table| (*table).clone()).collect();
            match (find(&tables, &WORKERS, named), expected) {
                (Ok(table), Ok(name)) => assert_eq!(table.name, name),
                (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
                (got, _) => panic!("{named:?}: {got:?}"),
            }
        }
    }

    #[test]
    fn a_time_must_be_one() {
        let mut table = table("workers", &["id", "auth_token_hash", "token_expires_at"]);
        let error = table.select_workers().expect_err("text is no time").to_string();
        assert!(error.contains("`token_expires_at`") && error.contains("`text`"), "{error}");
        table.columns.insert("token_expires_at".into(), "timestamp without time zone".into());
        assert!(table.select_workers().is_ok());
    }
}
