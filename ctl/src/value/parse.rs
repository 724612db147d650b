//! Reading values, and the `column:key=value` arguments that hold them.

use std::borrow::Cow;

use aorta_ovsdb::{Atom, AtomMap, AtomSet, AtomType, BaseType, ColumnType, Datum, Real, Uuid};

use super::Operator;
use super::print::{atom_string, type_in_words};
use super::token::{ColumnArg, is_delimiter, token};
use super::unescape::{EscapeError, unescaped};
use crate::error::ValueError;
use crate::symbols::Symbols;

/// Most elements that one range may stand for.
const RANGE_MAX: i64 = 4096;

/// Reads `column[:key]=value`; the value is in `rest`.
pub fn split_argument(text: &str) -> Result<ColumnArg<'_>, ValueError> {
    let arg = ColumnArg::parse(text)?;
    match arg.rest.strip_prefix('=') {
        Some(value) if !value.is_empty() => Ok(ColumnArg { rest: value, ..arg }),
        _ => Err(ValueError::NoOperator {
            text: text.to_owned(),
            operators: "\"=\"",
        }),
    }
}

/// Reads `column[:key]`, a relational operator and a value, which is in `rest`.
pub fn split_condition(text: &str) -> Result<(ColumnArg<'_>, Operator), ValueError> {
    let arg = ColumnArg::parse(text)?;
    match Operator::split(arg.rest) {
        Some((operator, value)) => Ok((ColumnArg { rest: value, ..arg }, operator)),
        None => Err(ValueError::NoOperator {
            text: text.to_owned(),
            operators: Operator::ALL_NAMES,
        }),
    }
}

/// Reads a single value that makes up the whole text.
pub fn atom(text: &str, base: &BaseType, symbols: &mut Symbols) -> Result<Atom, ValueError> {
    let bad = |expected| ValueError::BadAtom {
        text: text.to_owned(),
        expected,
    };
    let atom = match base.ty {
        AtomType::Integer => Atom::Integer(text.parse().map_err(|_| bad("integer or range"))?),
        AtomType::Real => {
            let number = text.parse().ok().and_then(Real::new);
            Atom::Real(number.ok_or_else(|| bad("real number"))?)
        }
        AtomType::Boolean => match text {
            "true" | "yes" | "on" | "1" => Atom::Boolean(true),
            "false" | "no" | "off" | "0" => Atom::Boolean(false),
            _ => return Err(bad("boolean (use \"true\" or \"false\")")),
        },
        AtomType::String => Atom::String(string(text)?.into()),
        AtomType::Uuid if text.starts_with('@') => Atom::Uuid(symbols.reference(text)),
        AtomType::Uuid => Atom::Uuid(Uuid::try_parse(text).map_err(|_| bad("UUID"))?),
    };
    check(base, &atom)?;
    Ok(atom)
}

/// A string: quoted much as in JSON, or as it stands.
fn string(text: &str) -> Result<String, ValueError> {
    if text.is_empty() {
        return Err(ValueError::EmptyString);
    }
    let quoting = |reason: String| ValueError::Quoting {
        text: text.to_owned(),
        reason,
    };
    if text.contains('\0') {
        return Err(quoting(EscapeError::Null.to_string()));
    }
    let Some(rest) = text.strip_prefix('"') else {
        return Ok(text.to_owned());
    };
    let inner = rest
        .strip_suffix('"')
        .ok_or_else(|| quoting("missing quote at end of quoted string".to_owned()))?;
    unescaped(inner).map_err(|cause| match cause {
        EscapeError::NotUtf8 { .. } => ValueError::Constraint {
            reason: cause.to_string(),
        },
        cause => quoting(cause.to_string()),
    })
}

/// Checks a value against the limits of its type, and names the limit it breaks.
fn check(base: &BaseType, atom: &Atom) -> Result<(), ValueError> {
    let Err(refused) = base.check(atom) else {
        return Ok(());
    };
    let reason = match (atom, base.min_integer, base.max_integer, &base.allowed) {
        (_, _, _, Some(allowed)) => {
            let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            let atom = atom_string(atom);
            format!("{atom} is not one of the allowed values ([{names}])")
        }
        (Atom::Integer(_), Some(min), Some(max), _) => {
            format!("{atom} is not in the valid range {min} to {max} (inclusive)")
        }
        (Atom::Integer(_), Some(min), None, _) => {
            format!("{atom} is less than minimum allowed value {min}")
        }
        (Atom::Integer(_), None, Some(max), _) => {
            format!("{atom} is greater than maximum allowed value {max}")
        }
        _ => refused.details,
    };
    Err(ValueError::Constraint { reason })
}

/// Reads the value of a column: elements or pairs, separated by commas or spaces, with or without
/// brackets around them. Number and limits are checked.
pub fn datum(text: &str, ty: &ColumnType, symbols: &mut Symbols) -> Result<Datum, ValueError> {
    let mut reader = Reader {
        text,
        rest: text.trim_start_matches(' '),
        ty,
        symbols,
    };
    let datum = match &ty.value {
        None => Datum::Set(reader.set()?),
        Some(value) => Datum::Map(reader.map(value)?),
    };
    let n = datum.len();
    let count = |limit, bound: usize| ValueError::Count {
        text: text.to_owned(),
        n,
        limit,
        bound: bound as u64,
    };
    if n < ty.min {
        return Err(count("minimum", ty.min));
    }
    if n > ty.max {
        return Err(count("maximum", ty.max));
    }
    Ok(datum)
}

/// A value while it is read.
struct Reader<'a> {
    text: &'a str,
    rest: &'a str,
    ty: &'a ColumnType,
    symbols: &'a mut Symbols,
}

impl<'a> Reader<'a> {
    fn set(&mut self) -> Result<AtomSet, ValueError> {
        let mut set = AtomSet::new();
        self.elements('[', ']', |reader| {
            let token = reader.token()?;
            for atom in reader.range_or_atom(&token)? {
                if !set.insert(atom) {
                    return Err(reader.duplicate("set", "value"));
                }
            }
            Ok(())
        })?;
        Ok(set)
    }

    fn map(&mut self, value_type: &BaseType) -> Result<AtomMap, ValueError> {
        let mut map = AtomMap::new();
        let key_type = &self.ty.key;
        self.elements('{', '}', |reader| {
            let pair = reader.rest;
            let key = atom(&reader.token()?, key_type, reader.symbols)?;
            reader.skip_spaces();
            match reader.rest.strip_prefix('=') {
                Some(rest) => reader.rest = rest.trim_start_matches(' '),
                None => {
                    return Err(ValueError::NoPair {
                        text: pair.to_owned(),
                        found: reader.rest.chars().next(),
                    });
                }
            }
            let (value, rest) = token(reader.rest)?;
            reader.rest = rest;
            let value = atom(&value, value_type, reader.symbols)?;
            if map.get(&key).is_some() {
                return Err(reader.duplicate("map", "key"));
            }
            map.insert(key, value);
            Ok(())
        })?;
        Ok(map)
    }

    /// Calls `take` at each element, between optional brackets.
    fn elements(
        &mut self,
        open: char,
        close: char,
        mut take: impl FnMut(&mut Self) -> Result<(), ValueError>,
    ) -> Result<(), ValueError> {
        let text = || self.text.to_owned();
        let bracketed = self.rest.starts_with(open);
        if bracketed {
            self.rest = self.rest[1..].trim_start_matches(' ');
        } else if self.rest.is_empty() {
            let (empty, what) = if open == '[' {
                ("[]", "set")
            } else {
                ("{}", "map")
            };
            return Err(ValueError::Empty { empty, what });
        }
        let is_end = |rest: &str| rest.is_empty() || bracketed && rest.starts_with(close);
        while !is_end(self.rest) {
            take(self)?;
            self.skip_spaces();
            if let Some(rest) = self.rest.strip_prefix(',') {
                self.rest = rest.trim_start_matches(' ');
            }
        }
        if bracketed {
            let Some(rest) = self.rest.strip_prefix(close) else {
                return Err(ValueError::Unclosed {
                    text: text(),
                    close,
                });
            };
            if !rest.trim_start_matches(' ').is_empty() {
                return Err(ValueError::AfterClose {
                    text: text(),
                    close,
                });
            }
        }
        Ok(())
    }

    /// The next token, where a delimiter would be a fault.
    fn token(&mut self) -> Result<Cow<'a, str>, ValueError> {
        if let Some(found) = self.rest.chars().next().filter(|c| is_delimiter(*c)) {
            return Err(ValueError::Unexpected {
                text: self.text.to_owned(),
                found,
                ty: type_in_words(self.ty),
            });
        }
        let (token, rest) = token(self.rest)?;
        self.rest = rest;
        Ok(token)
    }

    /// The element that a token stands for, or for integers all from one number to another.
    fn range_or_atom(&mut self, token: &str) -> Result<Vec<Atom>, ValueError> {
        let base = &self.ty.key;
        if base.ty != AtomType::Integer || token.parse::<i64>().is_ok() {
            return Ok(vec![atom(token, base, self.symbols)?]);
        }
        let text = || token.to_owned();
        let bad = || ValueError::BadAtom {
            text: text(),
            expected: "integer or range",
        };
        // The first character may be a minus sign.
        let dash = token
            .char_indices()
            .skip(1)
            .find(|(_, c)| *c == '-')
            .ok_or_else(bad)?
            .0;
        let start: i64 = token[..dash].parse().map_err(|_| bad())?;
        let end: i64 = token[dash + 1..].parse().map_err(|_| bad())?;
        if end < start {
            return Err(ValueError::BackwardRange { text: text() });
        }
        check(base, &Atom::Integer(start))?;
        check(base, &Atom::Integer(end))?;
        if end.checked_sub(start).is_none_or(|span| span >= RANGE_MAX) {
            let reason =
                format!("Range \"{token}\" is too big. Maximum allowed size is {RANGE_MAX}.");
            return Err(ValueError::Constraint { reason });
        }
        let atoms = (start..=end).map(Atom::Integer);
        atoms
            .map(|atom| check(base, &atom).map(|()| atom))
            .collect()
    }

    fn skip_spaces(&mut self) {
        self.rest = self.rest.trim_start_matches(' ');
    }

    fn duplicate(&self, what: &'static str, of: &'static str) -> ValueError {
        ValueError::Duplicate {
            text: self.text.to_owned(),
            what,
            of,
        }
    }
}

#[cfg(test)]
#[path = "parse_tests.rs"]
mod tests;
