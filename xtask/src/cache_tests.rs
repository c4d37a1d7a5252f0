//! `cargo xtask cache-tests`: a public suite about HTTP caches, run against the native build with the embedded store and with
//! Redis. What came of it is a part of docs/conformance.md.

use crate::{
    conformance,
    run::{Error, command, must, output, root},
    setup, test,
};

/// Runs all of it and writes the document, or shows one test.
pub(crate) fn run(id: Option<&str>) -> Result<(), Error> {
    setup::packages(setup::TESTS)?;
    setup::node()?;
    test::gateway()?;
    let root = root()?;
    let (script, gateway) = (root.join("tests/node/http_cache.mjs"), root.join("target/e2e/acip-gateway"));
    let text = |path: &std::path::Path| {
        path.to_str().map(str::to_owned).ok_or("the repository's path is no text".to_owned())
    };
    let (script, gateway) = (text(&script)?, text(&gateway)?);
    let mut node = command("node", &[&script, &gateway])?;
    node.current_dir(root.join("target/node"));
    if let Some(id) = id {
        return must({
            node.arg(id);
            node
        });
    }
    eprintln!("xtask: http-cache-tests, some twenty seconds");
    let table = output(node)?;
    conformance::replace("http-cache-tests", &table)
}
