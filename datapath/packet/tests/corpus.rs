//! Replays what fuzzers found, and what they start from; changed at random and cut anywhere, too.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::fs;
use std::path::Path;

use aorta_packet::fuzzing::parse_frame;
use proptest::prelude::*;

fn corpus() -> Vec<Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/frames");
    let files = fs::read_dir(dir).unwrap();
    files
        .map(|file| fs::read(file.unwrap().path()).unwrap())
        .collect()
}

#[test]
fn frames_replay_cut_anywhere() {
    let files = corpus();
    assert!(
        files.len() >= 30,
        "only {} files in the corpus",
        files.len()
    );
    for frame in &files {
        (0..=frame.len()).for_each(|len| parse_frame(&frame[..len]));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(3000)
    })]

    #[test]
    fn changed_frames_are_read_and_written(
        which in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
        cut in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let files = corpus();
        let (a, b) = (which.get(&files), other.get(&files));
        let at = cut.index(a.len());
        let mut frame = [&a[..at], &b[at.min(b.len())..]].concat();
        for (place, byte) in changes {
            let place = place.index(frame.len());
            frame[place] = byte;
        }
        parse_frame(&frame);
    }
}
