//! Escapes in quoted strings: those of JSON (RFC 8259 §7), but control characters may stand as they
//! are.

use std::str::Chars;

use thiserror::Error;

/// A quoted string that can't be read.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(super) enum EscapeError {
    /// A quote that isn't the last character.
    #[error("quoted string may not include unescaped \"")]
    Quote,
    /// Nothing follows a backslash.
    #[error("quoted string may not end with backslash")]
    Backslash,
    /// No escape begins so.
    #[error("bad escape \\{0}")]
    Unknown(char),
    /// `\u` without four digits.
    #[error("quoted string ends within \\u escape")]
    Short,
    /// `\u` with other characters than hexadecimal digits.
    #[error("malformed \\u escape")]
    NotHex,
    /// The character number 0.
    #[error("null bytes not supported in quoted strings")]
    Null,
    /// The first half of a pair without a second.
    #[error("malformed escaped surrogate pair")]
    HalfPair,
    /// The first half of a pair is followed by something else than a second half.
    #[error("second half of escaped surrogate pair is not trailing surrogate")]
    WrongPair,
    /// The second half of a pair by itself, which no UTF-8 can stand for.
    #[error("not a valid UTF-8 string: invalid UTF-8 sequence {lead:#04x} {next:#04x}")]
    NotUtf8 {
        /// First byte that it would have.
        lead: u32,
        /// Second byte.
        next: u32,
    },
}

/// The text that stands between the quotes, with escapes replaced.
pub(super) fn unescaped(text: &str) -> Result<String, EscapeError> {
    let mut result = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        result.push(match c {
            '"' => return Err(EscapeError::Quote),
            '\\' => escape(&mut chars)?,
            plain => plain,
        });
    }
    Ok(result)
}

fn escape(chars: &mut Chars<'_>) -> Result<char, EscapeError> {
    Ok(match chars.next().ok_or(EscapeError::Backslash)? {
        plain @ ('"' | '\\' | '/') => plain,
        'b' => '\u{8}',
        'f' => '\u{c}',
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        'u' => unicode(chars)?,
        other => return Err(EscapeError::Unknown(other)),
    })
}

/// The character of a `\u` escape, or of two that make a pair (RFC 8259 §7).
fn unicode(chars: &mut Chars<'_>) -> Result<char, EscapeError> {
    let first = hex(chars)?;
    let code = match first {
        0 => return Err(EscapeError::Null),
        0xd800..0xdc00 => {
            if chars.next() != Some('\\') || chars.next() != Some('u') {
                return Err(EscapeError::HalfPair);
            }
            match hex(chars)? {
                second @ 0xdc00..0xe000 => 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00),
                _ => return Err(EscapeError::WrongPair),
            }
        }
        other => other,
    };
    char::from_u32(code).ok_or(EscapeError::NotUtf8 {
        lead: 0xe0 | code >> 12,
        next: 0x80 | code >> 6 & 0x3f,
    })
}

fn hex(chars: &mut Chars<'_>) -> Result<u32, EscapeError> {
    let digits: String = chars.by_ref().take(4).collect();
    if digits.chars().count() < 4 {
        return Err(EscapeError::Short);
    }
    let all_digits = digits.chars().all(|c| c.is_ascii_hexdigit());
    match u32::from_str_radix(&digits, 16) {
        Ok(code) if all_digits => Ok(code),
        _ => Err(EscapeError::NotHex),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_replaced_and_control_characters_kept() {
        assert_eq!(
            unescaped(r#"\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"#).unwrap(),
            "\"\\/\u{8}\u{c}\n\r\t\u{e9}\u{1f600}"
        );
        assert_eq!(unescaped("a\tb").unwrap(), "a\tb");
    }

    #[test]
    fn faults_are_told_apart() {
        let cases = [
            ("a\"b", EscapeError::Quote),
            ("\\", EscapeError::Backslash),
            ("\\q", EscapeError::Unknown('q')),
            ("\\u12", EscapeError::Short),
            ("\\u00z0", EscapeError::NotHex),
            ("\\u+123", EscapeError::NotHex),
            ("\\u0000", EscapeError::Null),
            ("\\ud800", EscapeError::HalfPair),
            ("\\ud800\\u0041", EscapeError::WrongPair),
        ];
        for (text, fault) in cases {
            assert_eq!(unescaped(text), Err(fault), "{text}");
        }
        let lone = unescaped("\\udc00").unwrap_err().to_string();
        assert!(lone.ends_with("0xed 0xb0"), "{lone}");
    }
}
