//! The page about fields.
#![allow(clippy::unwrap_used)]

use aorta_flow::field::render_docs;

/// `INSTA_UPDATE=always` writes the page anew.
#[test]
fn the_page_about_fields_is_what_the_catalogue_says() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/fields.md");
    let page = render_docs();
    if std::env::var("INSTA_UPDATE").is_ok_and(|how| how == "always") {
        std::fs::write(path, &page).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap();
    assert!(
        written == page,
        "docs/fields.md is out of date: run the tests with INSTA_UPDATE=always"
    );
}
