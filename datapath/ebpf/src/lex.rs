//! Splits a line of program text into tokens.

/// A token and the column (from 1) of its first character.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token<'a> {
    pub(crate) column: usize,
    pub(crate) kind: Kind<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind<'a> {
    /// A letter or `_`, then letters, digits, `_` and `.`.
    Word(&'a str),
    /// Decimal, or hexadecimal after `0x`; no sign.
    Number(u64),
    /// One of [`SYMBOLS`].
    Symbol(&'static str),
}

/// Longer before their prefixes.
const SYMBOLS: [&str; 31] = [
    "s>>=", "<<=", ">>=", "s>=", "s<=", "+=", "-=", "*=", "/=", "|=", "&=", "%=", "^=", "==", "!=",
    ">=", "<=", "s>", "s<", "=", "<", ">", "&", "*", "(", ")", "+", "-", "[", "]", ":",
];

/// The tokens of a line without its comment; the column of what is none.
pub(crate) fn tokens(line: &str) -> Result<Vec<Token<'_>>, usize> {
    let mut found = Vec::new();
    let mut rest = line.trim_start();
    while !rest.is_empty() {
        let column = column_of(line, rest);
        let (kind, after) = first(rest).ok_or(column)?;
        found.push(Token { column, kind });
        rest = after.trim_start();
    }
    Ok(found)
}

/// Column of the rest of a line, in characters from 1.
pub(crate) fn column_of(line: &str, rest: &str) -> usize {
    line.chars().count() - rest.chars().count() + 1
}

fn first(text: &str) -> Option<(Kind<'_>, &str)> {
    // Before words: an `s` that begins `s>` is part of the symbol.
    for symbol in SYMBOLS {
        if let Some(after) = text.strip_prefix(symbol) {
            return Some((Kind::Symbol(symbol), after));
        }
    }
    let end = text.find(|c: char| !is_word(c)).unwrap_or(text.len());
    let (word, after) = text.split_at(end);
    if word.starts_with(|c: char| c.is_ascii_digit()) {
        return Some((Kind::Number(number(word)?), after));
    }
    if word.is_empty() || word.starts_with('.') {
        return None;
    }
    Some((Kind::Word(word), after))
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '.')
}

fn number(word: &str) -> Option<u64> {
    match word.strip_prefix("0x") {
        // from_str_radix would also take a sign.
        Some(digits) if digits.bytes().all(|c| c.is_ascii_hexdigit()) => {
            u64::from_str_radix(digits, 16).ok()
        }
        Some(_) => None,
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Kind::{Number, Symbol, Word};

    fn kinds(line: &str) -> Vec<Kind<'_>> {
        tokens(line)
            .unwrap()
            .into_iter()
            .map(|token| token.kind)
            .collect()
    }

    #[test]
    fn longest_symbol_wins() {
        assert_eq!(
            kinds("r1 s>>= 0x1F"),
            [Word("r1"), Symbol("s>>="), Number(31)]
        );
        assert_eq!(kinds("s>=s s"), [Symbol("s>="), Word("s"), Word("s")]);
        assert_eq!(kinds("a.2:"), [Word("a.2"), Symbol(":")]);
    }

    #[test]
    fn columns_count_characters() {
        assert_eq!(tokens("  r1 = é"), Err(8));
        assert_eq!(tokens("r1 = 5x"), Err(6));
        assert_eq!(tokens("0x+1"), Err(1));
        let columns: Vec<_> = tokens(" r1 =7").unwrap().iter().map(|t| t.column).collect();
        assert_eq!(columns, [2, 5, 6]);
    }
}
