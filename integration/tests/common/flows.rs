//! Flow tables of a switch under test.

use std::io::Write;

use aorta_integration::lab::Switch;
use serde_json::Value;

use super::done;

/// Makes the flows of br0 those of some lines.
pub fn replace(switch: &Switch, lines: &[&str]) {
    let file = file(&lines.join("\n"));
    done(
        switch,
        &format!("replace-flows br0 {}", file.path().display()),
    );
}

/// Adds flows to br0.
pub fn add(switch: &Switch, lines: &[&str]) {
    let file = file(&lines.join("\n"));
    done(switch, &format!("add-flows br0 {}", file.path().display()));
}

/// A file of flows, gone with the value.
pub fn file(text: &str) -> tempfile::NamedTempFile {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

/// The flows of br0 that a filter covers, without counters.
pub fn flows(switch: &Switch, filter: &str) -> Vec<String> {
    let text = done(switch, &format!("--no-stats dump-flows br0 {filter}"));
    text.lines().map(|line| line.trim().to_owned()).collect()
}

/// What is known of the flows of br0 that a filter covers.
pub fn entries(switch: &Switch, filter: &str) -> Vec<Value> {
    let text = done(switch, &format!("--json dump-flows br0 {filter}"));
    let answer: Value = serde_json::from_str(&text).unwrap();
    let flows = answer.get("flows").unwrap_or(&answer);
    flows.as_array().unwrap().clone()
}

/// Packets of the flows of br0 that a filter covers.
pub fn packets(switch: &Switch, filter: &str) -> u64 {
    let entries = entries(switch, filter);
    entries
        .iter()
        .map(|flow| flow["packets"].as_u64().unwrap())
        .sum()
}
