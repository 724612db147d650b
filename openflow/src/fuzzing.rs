//! Entry for fuzzers: any bytes, and panics only on a defect. The corpus under `corpus/message` is
//! replayed by the tests.

use aorta_flow::text::NoNames;

use crate::text::{Style, show};
use crate::wire::{Context, decode, encode};

/// Reads the bytes as a message. What is understood can be written, unless it is too long or the
/// version hasn't what it would be written as, and then means the same; what isn't is answered with
/// an error that can be written.
pub fn message(bytes: &[u8]) {
    for flow_mod_table_id in [false, true] {
        let context = Context {
            flow_mod_table_id,
            options: None,
        };
        let read = match decode(bytes, context) {
            Ok(read) => read,
            Err(refused) => {
                let answered = encode(&refused.clone().reply(), context);
                assert!(answered.is_ok(), "{refused}: {answered:?}");
                continue;
            }
        };
        let Ok(written) = encode(&read, context) else {
            continue;
        };
        // What is written is written the same again: reading it loses nothing.
        let again = decode(&written, context);
        let again = again.unwrap_or_else(|e| panic_with(&read, &written, &e));
        let rewritten = encode(&again, context);
        assert_eq!(rewritten.as_ref(), Ok(&written), "{read:?}\n{again:?}");
    }
}

#[allow(clippy::panic)]
fn panic_with<T>(read: &crate::Envelope, written: &[u8], error: &crate::DecodeError) -> T {
    panic!("{read:?} was written as {written:02x?}, which is refused: {error}")
}

/// Prints the bytes as text, in every detail: lines that end, whatever the bytes are.
pub fn text(bytes: &[u8]) {
    for verbosity in [0, 3] {
        let style = Style {
            names: &NoNames,
            verbosity,
        };
        let printed = show(bytes, Context::default(), style);
        assert!(printed.ends_with('\n'), "{printed:?}");
    }
}
