//! Tokens: what delimiters, quotes and backslashes make of a text.

use std::borrow::Cow;

use crate::error::ValueError;

/// Characters that end a token outside quotes.
const DELIMITERS: &str = ":=, []{}!<>";

pub(super) fn is_delimiter(c: char) -> bool {
    DELIMITERS.contains(c)
}

/// Splits the first token off: all up to a delimiter that isn't within quotes. Quotes stay;
/// outside them, a backslash goes and makes the next character an ordinary one.
pub(super) fn token(text: &str) -> Result<(Cow<'_, str>, &str), ValueError> {
    let fault = |reason: &str| ValueError::Quoting {
        text: text.to_owned(),
        reason: reason.to_owned(),
    };
    let mut quoted = false;
    // Where each backslash is that goes.
    let mut dropped = Vec::new();
    let mut end = text.len();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                if !quoted {
                    dropped.push(at);
                }
                if chars.next().is_none() {
                    return Err(fault("backslash at end of argument"));
                }
            }
            '"' => quoted = !quoted,
            c if !quoted && is_delimiter(c) => {
                end = at;
                break;
            }
            _ => {}
        }
    }
    if quoted {
        return Err(fault("quoted string extends past end of argument"));
    }
    let (token, rest) = text.split_at(end);
    if dropped.is_empty() {
        return Ok((Cow::Borrowed(token), rest));
    }
    let kept = token.char_indices().filter(|(at, _)| !dropped.contains(at));
    Ok((kept.map(|(_, c)| c).collect(), rest))
}

/// A `column[:key]` argument taken apart; the names are as given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnArg<'a> {
    /// Name of the column, perhaps abbreviated.
    pub column: Cow<'a, str>,
    /// Key of a map, in value syntax.
    pub key: Option<Cow<'a, str>>,
    /// What follows.
    pub rest: &'a str,
}

/// Reads the name of a column off the beginning of an argument; answers what follows, too.
pub fn column_name(text: &str) -> Result<(Cow<'_, str>, &str), ValueError> {
    let (column, rest) = token(text)?;
    if column.is_empty() {
        return Err(ValueError::NoColumn {
            text: text.to_owned(),
        });
    }
    Ok((column, rest))
}

impl<'a> ColumnArg<'a> {
    /// Reads the names off the beginning of an argument.
    pub fn parse(text: &'a str) -> Result<ColumnArg<'a>, ValueError> {
        let (column, rest) = column_name(text)?;
        let (key, rest) = match rest.strip_prefix(':') {
            Some(rest) => {
                let (key, rest) = token(rest)?;
                (Some(key), rest)
            }
            None => (None, rest),
        };
        Ok(ColumnArg { column, key, rest })
    }

    /// Reads an argument that consists of the names only.
    pub fn parse_whole(text: &'a str) -> Result<ColumnArg<'a>, ValueError> {
        let arg = ColumnArg::parse(text)?;
        if arg.rest.is_empty() {
            return Ok(arg);
        }
        Err(ValueError::TrailingGarbage {
            text: text.to_owned(),
            rest: arg.rest.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_end_at_delimiters_outside_quotes() {
        let cases = [
            ("a=b", "a", "=b"),
            ("\"a=b\"c:d", "\"a=b\"c", ":d"),
            ("a\\:b,c", "a:b", ",c"),
            (r#""a\"b" c"#, r#""a\"b""#, " c"),
            ("", "", ""),
        ];
        for (text, expected, expected_rest) in cases {
            let (token, rest) = token(text).unwrap();
            assert_eq!((&*token, rest), (expected, expected_rest), "{text}");
        }
        for (text, reason) in [
            (
                "a\"b c",
                "a\"b c: quoted string extends past end of argument",
            ),
            ("a\\", "a\\: backslash at end of argument"),
        ] {
            assert_eq!(token(text).unwrap_err().to_string(), reason);
        }
    }
}
