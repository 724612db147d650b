//! Replays what fuzzers found, and what they start from; and changes it at random.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use aorta_flow::fuzzing::parse_text;
use proptest::prelude::*;

fn corpus() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/flow_text");
    let files = fs::read_dir(dir).unwrap();
    files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn text_corpus_replays() {
    let files = corpus();
    assert!(
        files.len() >= 10,
        "only {} files in the corpus",
        files.len()
    );
    files.iter().for_each(|data| parse_text(data));
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(3000)
    })]

    #[test]
    fn changed_texts_are_read_or_refused(
        which in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let files = corpus();
        let (a, b) = (which.get(&files), other.get(&files));
        let mut data = [&a[..cut.index(a.len())], &b[cut.index(b.len())..]].concat();
        parse_text(&data);
        if !data.is_empty() {
            let place = at.index(data.len());
            data[place] = byte;
            parse_text(&data);
        }
    }
}
