//! Key records in Redis, for the command line. Scans are bounded steps of `SCAN`, never `KEYS`.

use std::collections::BTreeMap;

use acip_core::{config::Document, keys::KeyRecord, store::Reply};

use super::Failure;
use acip_gateway::store::StoreClient;

/// A connection for one command line call.
pub(super) struct KeyStore {
    client: StoreClient,
    root: String,
    prefix: String,
    /// The hash of all ids.
    index: String,
}

/// A record with the store's name for it.
pub(super) struct Stored {
    pub(super) key: String,
    pub(super) record: KeyRecord,
}

impl KeyStore {
    pub(super) async fn open(document: &Document) -> Result<Self, Failure> {
        if document.store.url.is_none() {
            return Err(Failure::Configuration(
                "keys live in Redis; set REDIS_URL (an embedded store ends with its process)".into(),
            ));
        }
        let client = StoreClient::connect(document)
            .await
            .map_err(|error| Failure::Runtime(format!("cannot reach Redis: {error}")))?;
        let root = document.store.key_prefix.clone();
        Ok(Self { client, prefix: format!("{root}key:"), index: format!("{root}keys"), root })
    }

    /// The store's name for the record of a stored form.
    pub(super) fn key_of(&self, stored: &str) -> String {
        format!("{}{{{stored}}}", self.prefix)
    }

    /// The store's name for what stands under the prefix of all keys.
    pub(super) fn name_of(&self, name: &str) -> String {
        [&self.root, name].concat()
    }

    /// Sends commands in one write; the first error answer fails.
    pub(super) async fn commands(&self, commands: &[Vec<String>]) -> Result<Vec<Reply>, Failure> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let replies = self.client.commands(commands).await;
        let replies = replies.map_err(|error| Failure::Runtime(format!("Redis did not answer: {error}")))?;
        let refused = replies.iter().find_map(|reply| match reply {
            Reply::Error(text) => Some(String::from_utf8_lossy(text)),
            _ => None,
        });
        match refused {
            Some(text) => Err(Failure::Runtime(format!("Redis refused: {text}"))),
            None => Ok(replies),
        }
    }

    pub(super) async fn list(&self) -> Result<Vec<Stored>, Failure> {
        let pattern = format!("{}*", escape_glob(&self.prefix));
        let (mut cursor, mut found) = ("0".to_owned(), Vec::new());
        loop {
            let reply = self.command(&["SCAN", &cursor, "MATCH", &pattern, "COUNT", "500"]).await?;
            let Reply::Array(parts) = reply else { return Err(unexpected("SCAN")) };
            let [next, Reply::Array(keys)] = parts.as_slice() else { return Err(unexpected("SCAN")) };
            for key in keys.iter().filter_map(text) {
                if let Some(record) = self.read(&key).await? {
                    found.push(Stored { key, record });
                }
            }
            cursor = text(next).ok_or_else(|| unexpected("SCAN"))?;
            if cursor == "0" {
                break;
            }
        }
        // SCAN may name a key twice.
        found.sort_by(|a, b| (&a.record.created_at, &a.key).cmp(&(&b.record.created_at, &b.key)));
        found.dedup_by(|a, b| a.key == b.key);
        for Stored { key, record } in &found {
            self.index(key, record).await?;
        }
        Ok(found)
    }

    /// The record with this id.
    pub(super) async fn find(&self, id: &str) -> Result<Stored, Failure> {
        let found = self.list().await?.into_iter().find(|stored| stored.record.id == id);
        found.ok_or_else(|| {
            Failure::Configuration(format!("no key has the id `{id}`; `acip-gateway keys list` shows them"))
        })
    }

    pub(super) async fn write(&self, key: &str, record: &KeyRecord) -> Result<(), Failure> {
        let mut arguments = vec!["HSET".to_owned(), key.to_owned()];
        for (name, value) in record.to_fields() {
            arguments.extend([name, value]);
        }
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        self.command(&arguments).await?;
        if let Some(at) = record.expires_at {
            self.command(&["PEXPIREAT", key, &at.to_string()]).await?;
        }
        self.index(key, record).await
    }

    /// Lets the admin API find it, which searches for nothing.
    async fn index(&self, key: &str, record: &KeyRecord) -> Result<(), Failure> {
        let stored = key.strip_prefix(&self.prefix).and_then(|tag| tag.strip_prefix('{')?.strip_suffix('}'));
        if let Some(stored) = stored.filter(|_| !record.id.is_empty()) {
            let entry = format!("{stored} {}", record.created_at);
            self.command(&["HSET", &self.index, &record.id, &entry]).await?;
        }
        Ok(())
    }

    pub(super) async fn remove(&self, stored: &Stored) -> Result<(), Failure> {
        self.command(&["DEL", &stored.key]).await?;
        self.command(&["HDEL", &self.index, &stored.record.id]).await.map(|_| ())
    }

    /// Worker tokens stand under the same prefix; they are not API keys.
    async fn read(&self, key: &str) -> Result<Option<KeyRecord>, Failure> {
        let Reply::Array(parts) = self.command(&["HGETALL", key]).await? else {
            return Err(unexpected("HGETALL"));
        };
        let texts: Vec<String> = parts.iter().filter_map(text).collect();
        let pairs = texts.chunks_exact(2).filter_map(|pair| match pair {
            [name, value] => Some((name.clone(), value.clone())),
            _ => None,
        });
        let fields: BTreeMap<String, String> = pairs.collect();
        if fields.is_empty() || fields.get("worker_id").is_some_and(|id| !id.is_empty()) {
            return Ok(None);
        }
        KeyRecord::from_fields(&fields)
            .map(Some)
            .map_err(|error| Failure::Runtime(format!("`{key}`: {error}")))
    }

    async fn command(&self, arguments: &[&str]) -> Result<Reply, Failure> {
        let reply = self.client.command(arguments).await;
        match reply {
            Ok(Reply::Error(text)) => {
                Err(Failure::Runtime(format!("Redis refused: {}", String::from_utf8_lossy(&text))))
            }
            Ok(reply) => Ok(reply),
            Err(error) => Err(Failure::Runtime(format!("Redis did not answer: {error}"))),
        }
    }
}

pub(super) fn text(reply: &Reply) -> Option<String> {
    match reply {
        Reply::Bulk(bytes) | Reply::Status(bytes) => String::from_utf8(bytes.to_vec()).ok(),
        _ => None,
    }
}

fn unexpected(command: &str) -> Failure {
    Failure::Runtime(format!("`{command}` answered in an unknown shape; is REDIS_URL a Redis server?"))
}

/// The prefix is the operator's and may hold glob characters.
fn escape_glob(text: &str) -> String {
    let mut escaped = String::new();
    for character in text.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\') {
            escaped.push('\\');
        }
        escaped.push(character);
    }
    escaped
}
