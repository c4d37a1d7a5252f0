//! Scripts written for Upstash, whose first line has a flag that Redis refuses: it is taken out on the way.
//!
//! Redis then knows the script by another hash than the client does. Hashes of rewritten scripts are remembered, so that a
//! client's `EVALSHA` finds its script; after a restart the client is told `NOSCRIPT` once, and sends it again.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use bytes::Bytes;
use sha1::{Digest as _, Sha1};

use super::json::Words;

/// The hashes of scripts that were rewritten: the client's, and Redis's.
#[derive(Default)]
pub(super) struct Scripts {
    renamed: Mutex<BTreeMap<String, Bytes>>,
}

impl Scripts {
    /// Makes a command that names or brings a script fit for Redis; leaves all else alone.
    pub(super) fn translate(&self, words: &mut Words) {
        let is = |at: usize, any: &[&str]| {
            let word = words.get(at);
            word.is_some_and(|word| any.iter().any(|known| word.eq_ignore_ascii_case(known.as_bytes())))
        };
        if is(0, &["EVALSHA", "EVALSHA_RO"]) {
            self.rename(words.iter_mut().skip(1).take(1));
        } else if is(0, &["EVAL", "EVAL_RO"]) {
            self.rewrite(words.get_mut(1));
        } else if is(0, &["SCRIPT"]) && is(1, &["LOAD"]) {
            self.rewrite(words.get_mut(2));
        } else if is(0, &["SCRIPT"]) && is(1, &["EXISTS"]) {
            self.rename(words.iter_mut().skip(2));
        }
    }

    fn rename<'w>(&self, hashes: impl Iterator<Item = &'w mut Bytes>) {
        let renamed = self.renamed.lock().unwrap_or_else(PoisonError::into_inner);
        if renamed.is_empty() {
            return;
        }
        for hash in hashes {
            let theirs = std::str::from_utf8(hash).ok().map(str::to_ascii_lowercase);
            if let Some(ours) = theirs.and_then(|theirs| renamed.get(&theirs)) {
                *hash = ours.clone();
            }
        }
    }

    fn rewrite(&self, script: Option<&mut Bytes>) {
        let Some(script) = script else { return };
        let Some(rewritten) = without_flag(script) else { return };
        let mut renamed = self.renamed.lock().unwrap_or_else(PoisonError::into_inner);
        if renamed.len() < MAX_RENAMED {
            renamed.insert(hash(script), hash(&rewritten).into());
        }
        *script = rewritten;
    }
}

/// The script without Upstash's flag; none where it has no such flag. Lines stay where they are, for error messages.
fn without_flag(script: &Bytes) -> Option<Bytes> {
    if !script.starts_with(b"#!") {
        return None;
    }
    let end = script.iter().position(|byte| *byte == b'\n')?;
    let line = std::str::from_utf8(script.get(..end)?).ok()?;
    if !line.contains(FLAG) {
        return None;
    }
    let options = line.split_ascii_whitespace().filter_map(|option| match option.strip_prefix("flags=") {
        None => Some(option.to_owned()),
        Some(flags) => {
            let kept: Vec<&str> = flags.split(',').filter(|flag| *flag != FLAG && !flag.is_empty()).collect();
            (!kept.is_empty()).then(|| format!("flags={}", kept.join(",")))
        }
    });
    let mut rewritten = options.collect::<Vec<_>>().join(" ").into_bytes();
    rewritten.extend_from_slice(script.get(end..)?);
    Some(rewritten.into())
}

/// As Redis names scripts.
fn hash(script: &[u8]) -> String {
    acip_core::hex::hex(&Sha1::digest(script))
}

/// Lets Upstash run scripts with different keys side by side; says nothing about what a script does.
const FLAG: &str = "allow-key-locking";

/// Past it, scripts are rewritten but not remembered: their clients send them whole each time.
const MAX_RENAMED: usize = 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flag_is_taken_out() {
        let check = |script: &'static str, expected: Option<&'static str>| {
            let rewritten = without_flag(&Bytes::from_static(script.as_bytes()));
            assert_eq!(rewritten, expected.map(Bytes::from), "{script}");
        };
        check("#!lua flags=allow-key-locking\nreturn 1", Some("#!lua\nreturn 1"));
        check("#!lua flags=no-writes,allow-key-locking\n\nx", Some("#!lua flags=no-writes\n\nx"));
        check("#!lua flags=no-writes\nreturn 1", None);
        check("return 'allow-key-locking'\n", None);
        check("#!lua\nreturn 'allow-key-locking'", None);
        check("#!lua flags=allow-key-locking", None);
    }

    #[test]
    fn a_rewritten_script_is_found_by_its_own_hash() {
        let scripts = Scripts::default();
        let script = "#!lua flags=allow-key-locking\nreturn 1";
        let words = |words: &[&str]| {
            words.iter().map(|word| Bytes::copy_from_slice(word.as_bytes())).collect::<Words>()
        };
        let translated = |before: &[&str]| {
            let mut translated = words(before);
            scripts.translate(&mut translated);
            translated
        };
        let theirs = hash(script.as_bytes());
        let ours = hash(b"#!lua\nreturn 1");
        assert_eq!(translated(&["evalsha", &theirs, "0"]), words(&["evalsha", &theirs, "0"]));
        assert_eq!(translated(&["EVAL", script, "0"]), words(&["EVAL", "#!lua\nreturn 1", "0"]));
        assert_eq!(translated(&["EVALSHA", &theirs.to_uppercase(), "0"]), words(&["EVALSHA", &ours, "0"]));
        assert_eq!(translated(&["SCRIPT", "EXISTS", "x", &theirs]), words(&["SCRIPT", "EXISTS", "x", &ours]));
        assert_eq!(translated(&["GET", script]), words(&["GET", script]));
    }
}
