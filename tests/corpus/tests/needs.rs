//! Why cases are left out: `docs/targets.md` has a row for each reason that may stand in the matrix.

use acip_corpus::{case::Need, folder};

#[test]
fn the_documentation_explains_each_reason() {
    let page = std::fs::read_to_string(folder().join("../../docs/targets.md")).expect("the page");
    for need in Need::ALL {
        let row = format!("\n| {} | ", need.reason());
        assert!(page.contains(&row), "docs/targets.md lacks a row for `{}`", need.reason());
    }
}
