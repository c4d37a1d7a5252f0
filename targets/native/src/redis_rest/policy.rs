//! Which commands are let through, and on which connection. It protects from accidents; scripts can call what is refused
//! here, so a boundary against malice is an ACL user of Redis.

use std::collections::BTreeSet;

use super::json::Words;

/// What becomes of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Ruling {
    /// It goes where all go.
    Shared,
    /// It may block, and gets a connection of its own.
    Apart,
    /// It is not sent; the text is the error's.
    Refused(String),
}

/// The dangerous commands that an operator let through.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    allowed: BTreeSet<&'static str>,
}

/// A name in a list of allowed commands that is no dangerous command.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` cannot be allowed; these can: {list}", list = DANGEROUS.join(", "))]
pub struct NotDangerous(String);

impl Policy {
    /// Allows these commands, by name in any case: `KEYS`, `SCRIPT FLUSH` or `SCRIPT|FLUSH`.
    ///
    /// # Errors
    /// See [`NotDangerous`].
    pub fn allowing<'n>(names: impl IntoIterator<Item = &'n str>) -> Result<Self, NotDangerous> {
        let mut allowed = BTreeSet::new();
        for name in names {
            let wanted = name.trim().replace('|', " ");
            let known = DANGEROUS.iter().find(|known| known.eq_ignore_ascii_case(&wanted));
            allowed.insert(*known.ok_or_else(|| NotDangerous(name.trim().to_owned()))?);
        }
        Ok(Self { allowed })
    }

    /// The error that a dangerous command gets, unless it was allowed.
    pub(super) fn refuses(&self, dangerous: &str) -> Option<String> {
        (!self.allowed.contains(dangerous)).then(|| {
            format!(
                "NOPERM `{dangerous}` is switched off here; whoever runs this server can allow it by `--allow \"{dangerous}\"`"
            )
        })
    }

    /// Judges a command.
    pub(super) fn judge(&self, words: &Words) -> Ruling {
        let Some(name) = words.first() else {
            return Ruling::Refused("ERR empty command; the first word is its name".into());
        };
        if let Some((known, instead)) = CONNECTION.iter().find(|(known, _)| is(known, words)) {
            return Ruling::Refused(format!(
                "ERR `{known}` changes a connection that others share and is not available here{instead}"
            ));
        }
        let dangerous = DANGEROUS.iter().find(|known| is(known, words));
        if let Some(error) = dangerous.and_then(|known| self.refuses(known)) {
            return Ruling::Refused(error);
        }
        let blocks = BLOCKING.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
            || (READS.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes())) && has_block(words));
        if blocks { Ruling::Apart } else { Ruling::Shared }
    }
}

/// Whether words begin with a known name, which may be of two words.
fn is(known: &str, words: &Words) -> bool {
    let mut parts = known.split(' ');
    let same = |part: Option<&str>, at: usize| match part {
        Some(part) => words.get(at).is_some_and(|word| word.eq_ignore_ascii_case(part.as_bytes())),
        None => true,
    };
    same(parts.next(), 0) && same(parts.next(), 1)
}

/// `BLOCK` among the options, which end at `STREAMS`.
fn has_block(words: &Words) -> bool {
    words
        .iter()
        .skip(1)
        .take_while(|word| !word.eq_ignore_ascii_case(b"STREAMS"))
        .any(|word| word.eq_ignore_ascii_case(b"BLOCK"))
}

/// What would change the shared connection, or takes it over, and what to use instead.
const CONNECTION: [(&str, &str); 32] = [
    ("ASKING", ""),
    ("AUTH", ""),
    ("CLIENT CACHING", ""),
    ("CLIENT NO-EVICT", ""),
    ("CLIENT NO-TOUCH", ""),
    ("CLIENT REPLY", ""),
    ("CLIENT SETINFO", ""),
    ("CLIENT SETNAME", ""),
    ("CLIENT TRACKING", ""),
    ("DISCARD", "; send the commands to /multi-exec"),
    ("EXEC", "; send the commands to /multi-exec"),
    ("HELLO", ""),
    ("MONITOR", "; ask for /monitor"),
    ("MULTI", "; send the commands to /multi-exec"),
    ("PSUBSCRIBE", "; ask for /psubscribe/{pattern}"),
    ("PSYNC", ""),
    ("PUNSUBSCRIBE", "; close the stream instead"),
    ("QUIT", ""),
    ("READONLY", ""),
    ("READWRITE", ""),
    ("REPLCONF", ""),
    ("RESET", ""),
    ("SCRIPT DEBUG", ""),
    ("SELECT", ""),
    ("SSUBSCRIBE", ""),
    ("SUBSCRIBE", "; ask for /subscribe/{channel}"),
    ("SUNSUBSCRIBE", ""),
    ("SYNC", ""),
    ("UNSUBSCRIBE", "; close the stream instead"),
    ("UNWATCH", ""),
    ("WATCH", "; use a script, or send the commands to /multi-exec"),
    ("CLIENT GETREDIR", ""),
];

/// What can lose data, stop or slow the server, change its settings, or show what others do.
const DANGEROUS: [&str; 32] = [
    "ACL",
    "BGREWRITEAOF",
    "BGSAVE",
    "CLIENT",
    "CLUSTER",
    "CONFIG",
    "DEBUG",
    "FAILOVER",
    "FLUSHALL",
    "FLUSHDB",
    "FUNCTION FLUSH",
    "FUNCTION KILL",
    "FUNCTION RESTORE",
    "KEYS",
    "LATENCY",
    "MEMORY PURGE",
    "MIGRATE",
    "MODULE",
    "MONITOR",
    "PFDEBUG",
    "PFSELFTEST",
    "REPLICAOF",
    "RESTORE",
    "RESTORE-ASKING",
    "SAVE",
    "SCRIPT FLUSH",
    "SCRIPT KILL",
    "SENTINEL",
    "SHUTDOWN",
    "SLAVEOF",
    "SLOWLOG",
    "SWAPDB",
];

/// What waits for other clients. Redis's own flag `blocking` says the same of these.
const BLOCKING: [&str; 10] =
    ["BLMOVE", "BLMPOP", "BLPOP", "BRPOP", "BRPOPLPUSH", "BZMPOP", "BZPOPMAX", "BZPOPMIN", "WAIT", "WAITAOF"];

/// What waits only where it is told to.
const READS: [&str; 2] = ["XREAD", "XREADGROUP"];

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn words(line: &str) -> Words {
        line.split(' ')
            .filter(|word| !word.is_empty())
            .map(|word| Bytes::copy_from_slice(word.as_bytes()))
            .collect()
    }

    #[test]
    fn commands_are_let_through_refused_or_set_apart() {
        let policy = Policy::allowing(["keys", "SCRIPT|FLUSH"]).expect("known names");
        let check = |line: &str, expected: &str| {
            let ruling = match policy.judge(&words(line)) {
                Ruling::Shared => "shared".to_owned(),
                Ruling::Apart => "apart".to_owned(),
                Ruling::Refused(error) => error.split(' ').next().unwrap_or_default().to_owned(),
            };
            assert_eq!(ruling, expected, "{line}");
        };
        check("", "ERR");
        check("get k", "shared");
        check("KEYS *", "shared");
        check("script flush", "shared");
        check("SCRIPT LOAD x", "shared");
        check("EVAL x 0", "shared");
        check("flushAll", "NOPERM");
        check("CONFIG GET *", "NOPERM");
        check("client kill x", "NOPERM");
        check("CLIENT reply off", "ERR");
        check("SCRIPT KILL", "NOPERM");
        check("select 1", "ERR");
        check("MULTI", "ERR");
        check("MONITOR", "ERR");
        check("blpop k 0", "apart");
        check("XREAD COUNT 1 block 0 STREAMS s $", "apart");
        check("XREAD COUNT 1 STREAMS block 0", "shared");
        check("WAIT 1 0", "apart");
        check("FUNCTION LOAD x", "shared");
        check("FUNCTION FLUSH", "NOPERM");
    }

    #[test]
    fn the_documentation_names_them_all() {
        let text = include_str!("../../../../docs/redis-rest.md");
        for name in DANGEROUS {
            assert!(text.contains(&format!("`{name}`")), "{name}");
        }
    }

    #[test]
    fn only_dangerous_commands_can_be_allowed() {
        assert_eq!(Policy::allowing(["GET"]), Err(NotDangerous("GET".into())));
        assert_eq!(Policy::allowing(["SELECT"]), Err(NotDangerous("SELECT".into())));
        assert_eq!(Policy::allowing([]), Ok(Policy::default()));
    }
}
