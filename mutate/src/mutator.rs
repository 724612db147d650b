//! Inputs made of a corpus: pieces of its files changed, moved and joined. Pure.

/// Longest input in bytes.
const MAX_BYTES: usize = 4096;
/// Changes made to a file of the corpus at most.
const MAX_CHANGES: usize = 8;
/// Bytes moved, repeated or left out at once.
const MAX_PIECE_BYTES: usize = 64;

/// What makes a parser look beyond the first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// Nothing.
    None,
    /// Bytes 2 and 3 say how many there are (OpenFlow 1.5.1 §7.1.1).
    OpenFlow,
}

/// Random numbers that a seed decides (xorshift).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// Numbers of this seed.
    pub fn new(seed: u64) -> Random {
        let mixed = seed.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Random(mixed | 1)
    }

    /// A number below `end`; 0 if that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        let high = u128::from(self.0) * end as u128;
        usize::try_from(high >> 64).unwrap_or_default()
    }

    fn pick<'a, T: ?Sized>(&mut self, of: &'a [Box<T>]) -> Option<&'a T> {
        let at = self.below(of.len());
        of.get(at).map(|one| &**one)
    }
}

/// Makes inputs.
#[derive(Debug)]
pub struct Mutator {
    corpus: Vec<Box<[u8]>>,
    /// Words of the corpus: runs of letters, digits and what is between them.
    words: Vec<Box<[u8]>>,
    random: Random,
    framing: Framing,
}

impl Mutator {
    /// Of these files; the same seed makes the same inputs.
    pub fn new(corpus: Vec<Box<[u8]>>, framing: Framing, seed: u64) -> Mutator {
        let mut words: Vec<Box<[u8]>> = corpus.iter().flat_map(|file| words(file)).collect();
        words.sort();
        words.dedup();
        Mutator {
            corpus,
            words,
            random: Random::new(seed),
            framing,
        }
    }

    /// The next input.
    pub fn next_input(&mut self) -> Vec<u8> {
        let start = self.random.pick(&self.corpus);
        let mut bytes = start.unwrap_or_default().to_vec();
        for _ in 0..=self.random.below(MAX_CHANGES) {
            self.change(&mut bytes);
        }
        bytes.truncate(MAX_BYTES);
        if self.framing == Framing::OpenFlow && bytes.len() >= 4 && self.random.below(8) != 0 {
            let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX);
            bytes[2..4].copy_from_slice(&length.to_be_bytes());
        }
        bytes
    }

    fn change(&mut self, bytes: &mut Vec<u8>) {
        let random = &mut self.random;
        let at = random.below(bytes.len());
        match random.below(10) {
            0 => flip(bytes, at, random),
            1 => set_byte(bytes, at, random),
            2 => set_number(bytes, at, random),
            3 => drop(bytes.drain(piece(bytes, at, random))),
            4 => repeat(bytes, at, random),
            5 => insert(bytes, at, &[random.below(256) as u8]),
            6 => insert(bytes, at, random.pick(&self.words).unwrap_or_default()),
            7 => replace_word(bytes, at, random.pick(&self.words).unwrap_or_default()),
            8 => splice(
                bytes,
                at,
                random.pick(&self.corpus).unwrap_or_default(),
                random,
            ),
            _ => bytes.truncate(at.max(1)),
        }
    }
}

fn flip(bytes: &mut [u8], at: usize, random: &mut Random) {
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << random.below(8);
    }
}

fn set_byte(bytes: &mut [u8], at: usize, random: &mut Random) {
    const OF_SYNTAX: &[u8] = b"0123456789[](){},;:.=\"'\\/#!@<>+-_ exXaA\n\0\x7f\x80\xff";
    let byte = match random.below(2) {
        0 => random.below(256) as u8,
        _ => OF_SYNTAX[random.below(OF_SYNTAX.len())],
    };
    if let Some(place) = bytes.get_mut(at) {
        *place = byte;
    }
}

/// Puts a number that parsers stumble over where a length or a count could be.
fn set_number(bytes: &mut [u8], at: usize, random: &mut Random) {
    const NUMBERS: &[u32] = &[
        0,
        1,
        2,
        4,
        7,
        8,
        9,
        15,
        16,
        17,
        24,
        32,
        64,
        127,
        128,
        255,
        256,
        0x7fff,
        0x8000,
        0xfff8,
        0xfffe,
        0xffff,
        0x1_0000,
        0x7fff_ffff,
        0x8000_0000,
        0xffff_ffff,
    ];
    let number = NUMBERS[random.below(NUMBERS.len())].to_be_bytes();
    let width = [1, 2, 4][random.below(3)];
    // Numbers of messages are aligned, mostly.
    let at = if random.below(4) == 0 {
        at
    } else {
        at / width * width
    };
    if let Some(place) = bytes.get_mut(at..at + width) {
        place.copy_from_slice(&number[4 - width..]);
    }
}

/// A piece of the bytes from a place on.
fn piece(bytes: &[u8], at: usize, random: &mut Random) -> std::ops::Range<usize> {
    let end = (at + 1 + random.below(MAX_PIECE_BYTES)).min(bytes.len());
    at.min(end)..end
}

fn repeat(bytes: &mut Vec<u8>, at: usize, random: &mut Random) {
    let one = bytes[piece(bytes, at, random)].to_vec();
    for _ in 0..=random.below(4) {
        insert(bytes, at, &one);
    }
}

fn insert(bytes: &mut Vec<u8>, at: usize, what: &[u8]) {
    if bytes.len() + what.len() <= MAX_BYTES {
        let behind = bytes.split_off(at.min(bytes.len()));
        bytes.extend_from_slice(what);
        bytes.extend_from_slice(&behind);
    }
}

/// Puts a word into the place of the one that is there.
fn replace_word(bytes: &mut Vec<u8>, at: usize, word: &[u8]) {
    let ends = |byte: &u8| !byte.is_ascii_alphanumeric();
    let behind = bytes.get(at..).unwrap_or_default();
    let end = at + behind.iter().position(ends).unwrap_or(behind.len());
    let before = bytes.get(..at).unwrap_or_default();
    let start = before.iter().rposition(ends).map_or(0, |place| place + 1);
    bytes.drain(start.min(end)..end);
    insert(bytes, start, word);
}

/// Goes on with another file.
fn splice(bytes: &mut Vec<u8>, at: usize, other: &[u8], random: &mut Random) {
    bytes.truncate(at);
    let from = match random.below(2) {
        0 => at.min(other.len()),
        _ => random.below(other.len()),
    };
    bytes.extend_from_slice(&other[from..]);
}

/// Words of a file.
fn words(file: &[u8]) -> Vec<Box<[u8]>> {
    const MAX_WORD_BYTES: usize = 40;
    let of_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let runs = file.chunk_by(|a, b| of_word(a) == of_word(b));
    let fits = runs.filter(|run| run.len() <= MAX_WORD_BYTES);
    fits.map(Box::from).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn mutator(framing: Framing, seed: u64) -> Mutator {
        let files = [&b"priority=5,actions=output:1"[..], b"", b"{\"a\": [1, 2]}"];
        Mutator::new(files.map(Box::from).to_vec(), framing, seed)
    }

    #[test]
    fn a_seed_makes_the_same_inputs_again_and_another_makes_others() {
        let inputs = |seed| {
            let mut mutator = mutator(Framing::None, seed);
            (0..500).map(|_| mutator.next_input()).collect::<Vec<_>>()
        };
        assert_eq!(inputs(1), inputs(1));
        assert_ne!(inputs(1), inputs(2));
        let different: BTreeSet<Vec<u8>> = inputs(1).into_iter().collect();
        assert!(different.len() > 300, "{}", different.len());
        assert!(different.iter().all(|input| input.len() <= MAX_BYTES));
    }

    #[test]
    fn most_messages_say_how_long_they_are() {
        let mut mutator = mutator(Framing::OpenFlow, 3);
        let inputs: Vec<Vec<u8>> = (0..500).map(|_| mutator.next_input()).collect();
        let right = |b: &&Vec<u8>| b.len() >= 4 && b[2..4] == (b.len() as u16).to_be_bytes();
        let long = inputs.iter().filter(|input| input.len() >= 4).count();
        let right = inputs.iter().filter(right).count();
        assert!(right * 4 > long * 3 && right < long, "{right} of {long}");
    }

    #[test]
    fn an_empty_corpus_makes_inputs_all_the_same() {
        let mut mutator = Mutator::new(Vec::new(), Framing::OpenFlow, 1);
        let inputs: BTreeSet<Vec<u8>> = (0..200).map(|_| mutator.next_input()).collect();
        assert!(inputs.len() > 1);
    }

    #[test]
    fn words_take_the_place_of_words() {
        let mut bytes = b"in_port=12,actions=drop".to_vec();
        replace_word(&mut bytes, 9, b"LOCAL");
        assert_eq!(bytes, b"in_port=LOCAL,actions=drop");
        assert_eq!(words(b"a-b=\xff1").len(), 3);
    }
}
