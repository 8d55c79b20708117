//! The operator's page shows the states that the code has.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::path::Path;

use provisioner::update::diagram;

#[test]
fn the_picture_in_the_docs_is_the_one_that_the_code_draws() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/operator/updates.md");
    let text = std::fs::read_to_string(&page).unwrap();
    let wanted = format!("```mermaid\n{}```\n", diagram::mermaid());
    if std::env::var_os("PERCH_WRITE_DOCS").is_some() {
        let start = text.find("```mermaid\n").unwrap();
        let end = start + text[start..].find("\n```\n").unwrap() + 5;
        std::fs::write(&page, format!("{}{wanted}{}", &text[..start], &text[end..])).unwrap();
        return;
    }
    assert!(
        text.contains(&wanted),
        "docs/operator/updates.md is old: run PERCH_WRITE_DOCS=1 cargo test --test update_docs"
    );
}
