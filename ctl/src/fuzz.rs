//! Entry points for fuzzing. Plain tests replay the corpora.

use aorta_ovsdb::DatabaseSchema;

use crate::names::lookup;
use crate::symbols::Symbols;
use crate::value::{self, ColumnArg};

/// Reads arbitrary bytes as a value of every type in the schema, as an argument and as a
/// condition. Whatever is read must print as something that reads as the same value.
///
/// # Panics
/// If it doesn't, which is the fault to look for.
#[allow(clippy::panic)]
pub fn value_syntax(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let schema = DatabaseSchema::vswitch();
    for column in schema.tables.iter().flat_map(|table| &table.columns) {
        let mut symbols = Symbols::default();
        let Ok(read) = value::datum(text, &column.ty, &mut symbols) else {
            continue;
        };
        let printed = value::datum_string(&read, &column.ty);
        match value::datum(&printed, &column.ty, &mut symbols) {
            Ok(again) if again == read => {}
            other => panic!("{text:?} prints as {printed:?}, which reads as {other:?}"),
        }
    }
    let _ = ColumnArg::parse_whole(text);
    let _ = value::split_argument(text);
    if let Ok((arg, _)) = value::split_condition(text) {
        assert!(text.ends_with(arg.rest));
        lookup(["name", "external_ids"], arg.column);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_corpus_of_values_is_replayed() {
        let corpus = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/value");
        let mut n = 0;
        for file in std::fs::read_dir(corpus).unwrap() {
            value_syntax(&std::fs::read(file.unwrap().path()).unwrap());
            n += 1;
        }
        assert!(n >= 20, "only {n} files in {corpus}");
    }

    /// A short walk through texts made of what the syntax cares about.
    #[test]
    fn random_values_do_no_harm() {
        let parts: Vec<&[u8]> = b"[]{}=,:\" \\@!<>-019ax_"
            .chunks(1)
            .chain([
                &b"true"[..],
                b"0-4095",
                b"\xc3\xa9",
                b"\\u00e9",
                b"a=b",
                b"tcp",
            ])
            .collect();
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        for _ in 0..300 {
            let mut text = Vec::new();
            for _ in 0..8 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                text.extend_from_slice(parts[(state % parts.len() as u64) as usize]);
            }
            value_syntax(&text);
        }
    }
}
