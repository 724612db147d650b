//! Entry for fuzzers: any bytes, and panics if a promise of the session is broken. The corpus
//! under `corpus/session` is replayed by the tests.

use std::time::Duration;

use super::{Input, Session, SessionEnd};
use crate::header::Header;
use crate::version::Versions;

const PROBE: Duration = Duration::from_secs(5);
/// More turns than a session needs to give a silent peer up.
const TURNS: usize = 4;

/// What came of a stream.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    inputs: Vec<String>,
    end: Option<SessionEnd>,
    output: Vec<u8>,
}

/// The first byte says which versions the switch has, the rest is what the peer says. Cut
/// anywhere, that means the same; what is sent are whole messages; and who then falls silent is
/// given up.
pub fn session(bytes: &[u8]) {
    let Some((versions, stream)) = bytes.split_first() else {
        return;
    };
    let named = Versions::from_bitmap(u32::from(*versions));
    let ours = if named.is_empty() {
        Versions::ALL
    } else {
        named
    };
    let (whole, mut session) = run(ours, stream, stream.len().max(1));
    let (pieces, _) = run(ours, stream, 1);
    assert_eq!(whole, pieces, "cutting a stream changes it");
    let mut rest = &whole.output[..];
    while let Some(header) = Header::read(rest) {
        assert!(usize::from(header.length) >= Header::LEN);
        rest = rest.get(header.length.into()..).unwrap_or(&[1]);
    }
    assert_eq!(rest, [0; 0], "half a message is sent");
    if whole.end.is_none() {
        let turns = (0..TURNS).map_while(|_| {
            let wake = session.next_wake()?;
            session.on_time(wake).ok()?;
            Some(wake)
        });
        let turns: Vec<Duration> = turns.collect();
        assert!(turns.len() < TURNS, "it waits for ever: {turns:?}");
        assert!(turns.is_sorted_by(|a, b| a < b), "it wakes for nothing");
    }
}

fn run(ours: Versions, stream: &[u8], step: usize) -> (Outcome, Session) {
    let mut session = Session::new(ours, Some(PROBE), Duration::ZERO);
    let mut outcome = Outcome {
        inputs: Vec::new(),
        end: None,
        output: Vec::new(),
    };
    for part in stream.chunks(step) {
        let inputs = &mut outcome.inputs;
        let mut note = |input: Input<'_>| inputs.push(format!("{input:?}"));
        let done = session.receive(part, Duration::ZERO, &mut note);
        outcome.output.extend(session.take_output());
        if let Err(end) = done {
            outcome.end = Some(end);
            break;
        }
    }
    (outcome, session)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn corpus() -> Vec<Vec<u8>> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus/session");
        let files = std::fs::read_dir(folder).unwrap();
        let corpus: Vec<_> = files
            .map(|file| std::fs::read(file.unwrap().path()).unwrap())
            .collect();
        assert!(!corpus.is_empty());
        corpus
    }

    #[test]
    fn corpus_of_sessions() {
        corpus().iter().for_each(|bytes| session(bytes));
    }

    #[test]
    fn mutated_sessions() {
        let rounds = std::env::var("AORTA_FUZZ_ROUNDS");
        let rounds: u32 = rounds.map_or(200, |rounds| rounds.parse().unwrap());
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = move |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        let corpus = corpus();
        for bytes in &corpus {
            for _ in 0..rounds {
                let mut bytes = bytes.clone();
                for _ in 0..=random(4) {
                    let at = random(bytes.len());
                    match random(3) {
                        0 => bytes[at] = random(256) as u8,
                        1 => bytes.truncate(at.max(1)),
                        _ => {
                            let other = &corpus[random(corpus.len())];
                            bytes.extend(&other[random(other.len())..]);
                        }
                    }
                }
                session(&bytes);
            }
        }
    }
}
