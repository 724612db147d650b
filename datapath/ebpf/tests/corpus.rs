//! Replays what fuzzers found, and what they start from.

use std::fs;
use std::path::Path;

#[test]
fn text_corpus_replays() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/text");
    let mut replayed = 0;
    for entry in fs::read_dir(dir).unwrap() {
        aorta_ebpf::fuzzing::parse_text(&fs::read(entry.unwrap().path()).unwrap());
        replayed += 1;
    }
    assert!(replayed >= 8, "only {replayed} files in the corpus");
}
