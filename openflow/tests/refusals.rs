//! Bad messages: the errors that `ovs-vswitchd` answered, and those that we would answer.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use aorta_openflow::{Context, decode, encode};

/// Each as what is wrong with it, the message, and the first bytes of the error behind the header.
const REFUSALS: &str = include_str!("errors.txt");

fn bytes(hex: &str) -> Vec<u8> {
    let (pairs, _) = hex.as_bytes().as_chunks::<2>();
    let byte = |pair: &[u8; 2]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16);
    pairs.iter().map(|pair| byte(pair).unwrap()).collect()
}

#[test]
fn errors_as_others_answer_them() {
    let mut differences = Vec::new();
    for line in REFUSALS.lines() {
        let mut columns = line.split('\t');
        let [name, message, theirs] = [0; 3].map(|_| columns.next().unwrap());
        match decode(&bytes(message), Context::default()) {
            Ok(read) => differences.push(format!("{name}: understood as {read:?}")),
            Err(refused) => {
                let shown = refused.to_string();
                let reply = encode(&refused.reply(), Context::default()).unwrap();
                let theirs = bytes(theirs);
                // Type and code, or type and experimenter.
                let len = if theirs[..2] == [0xff, 0xff] { 8 } else { 4 };
                if reply[8..8 + len] != theirs[..len] {
                    differences.push(format!("{name}: {shown}, not {:02x?}", &theirs[..len]));
                }
            }
        }
    }
    assert_eq!(differences, Vec::<String>::new());
}
