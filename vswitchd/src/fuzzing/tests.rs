use std::fs;
use std::path::Path;

use super::*;

fn corpus(name: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("corpus")
        .join(name);
    let files = fs::read_dir(folder).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty(), "{name}");
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

/// Replays a corpus, then each of its files changed a little, so often. `AORTA_FUZZ_ROUNDS` sets
/// how often.
fn replay(name: &str, rounds: u32, entry: fn(&[u8])) {
    let wanted = std::env::var("AORTA_FUZZ_ROUNDS");
    let rounds = wanted.map_or(rounds, |rounds| rounds.parse().unwrap());
    let corpus = corpus(name);
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % below.max(1) as u64) as usize
    };
    for original in &corpus {
        entry(original);
        for _ in 0..rounds {
            let mut bytes = original.clone();
            for _ in 0..=random(4) {
                let at = random(bytes.len());
                match (random(4), bytes.get_mut(at)) {
                    (0, Some(byte)) => *byte = random(256) as u8,
                    (1, Some(byte)) => *byte = b"0123456789,:()=-_ax/"[random(20)],
                    (2, _) => bytes.truncate(at),
                    _ => {
                        let other = &corpus[random(corpus.len())];
                        bytes.extend(&other[random(other.len())..]);
                    }
                }
            }
            entry(&bytes);
        }
    }
}

#[test]
fn commands() {
    replay("command", 20, command);
}

#[test]
fn configurations() {
    replay("configuration", 20, configuration);
}

#[test]
fn configurations_of_the_corpus_are_taken() {
    for bytes in corpus("configuration") {
        let operations: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
        let db = lab::database(operations.as_array().unwrap());
        assert!(db.is_some(), "{operations}");
        assert_eq!(lab::model(&db.unwrap()).bridges.len(), 1);
    }
}

#[test]
fn journals() {
    replay("journal", 100, journal);
}

#[test]
fn log_words() {
    replay("log", 50, log);
}

#[test]
fn command_lines() {
    replay("options", 50, options);
}

#[test]
fn streams_of_openflow() {
    replay("openflow", 1, openflow);
}
