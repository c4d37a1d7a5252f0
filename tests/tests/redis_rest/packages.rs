//! The public npm packages against the bridge: `tests/node/redis-rest.test.mjs`.

use std::process::Command;

use acip_tests::{Bridge, Redis, root};

use super::{PATIENT, native};

#[test]
fn upstash_packages_work() {
    if !native() {
        return;
    }
    let redis = Redis::start();
    let bridge =
        Bridge::with(&redis.url(), &[&PATIENT[..], &["--allow", "KEYS,FLUSHDB,SCRIPT FLUSH"]].concat());
    let output = Command::new("node")
        .args(["--test", "tests/node/redis-rest.test.mjs"])
        .current_dir(root())
        .env("BRIDGE_URL", bridge.url())
        .env("BRIDGE_TOKEN", Bridge::TOKEN)
        .env("REDIS_PORT", redis.port().to_string())
        .env("UPSTASH_DISABLE_TELEMETRY", "1")
        .output()
        .expect("node starts; `cargo xtask test` installs it");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    // A script that found no test would pass, too.
    assert!(text.contains("# pass ") && !text.contains("# pass 0\n"), "{text}");
}
