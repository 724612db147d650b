//! Values as JSON text, written without building a tree first: what monitors and the log send
//! and store is nothing else.
use std::fmt::Write;

use serde_json::{Number, Value};
use uuid::Uuid;

use super::{Atom, Datum, differences};
use crate::json::real_text;
use crate::schema::ColumnType;

/// Writes a string as JSON (RFC 8259 §7). Escapes what must be escaped, as serde_json does.
pub(crate) fn write_string(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(must_escape) {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut special = special.chars();
        escape(special.next().unwrap_or_default(), out);
        rest = special.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

fn must_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn escape(special: char, out: &mut String) {
    match special {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        '\u{8}' => out.push_str("\\b"),
        '\u{c}' => out.push_str("\\f"),
        // Writing to a string doesn't fail.
        other => drop(write!(out, "\\u{:04x}", u32::from(other))),
    }
}

/// Writes a uuid with its quotes.
pub(crate) fn write_uuid(uuid: Uuid, out: &mut String) {
    let mut buffer = Uuid::encode_buffer();
    out.push('"');
    out.push_str(uuid.hyphenated().encode_lower(&mut buffer));
    out.push('"');
}

/// Writes elements with commas between them.
fn write_all<T>(
    elements: impl IntoIterator<Item = T>,
    out: &mut String,
    mut write: impl FnMut(T, &mut String),
) {
    for (at, element) in elements.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        write(element, out);
    }
}

/// Writes any JSON.
pub(crate) fn write_value(json: &Value, out: &mut String) {
    match json {
        Value::Null => out.push_str("null"),
        Value::Bool(b) => write_bool(*b, out),
        Value::Number(number) => write_number(number, out),
        Value::String(text) => write_string(text, out),
        Value::Array(elements) => write_array(elements, out),
        Value::Object(members) => {
            out.push('{');
            write_all(members, out, |(name, value), out| {
                write_string(name, out);
                out.push(':');
                write_value(value, out);
            });
            out.push('}');
        }
    }
}

/// Writes a number: what is no integer of 64 bits in C's `%.15g`, as Open vSwitch does.
fn write_number(number: &Number, out: &mut String) {
    match (number.as_i64(), number.as_f64()) {
        // Writing to a string doesn't fail.
        (Some(integer), _) => drop(write!(out, "{integer}")),
        (None, Some(real)) => out.push_str(&real_text(real)),
        (None, None) => out.push_str("null"),
    }
}

/// Writes an array.
pub(crate) fn write_array(elements: &[Value], out: &mut String) {
    out.push('[');
    write_all(elements, out, write_value);
    out.push(']');
}

fn write_bool(value: bool, out: &mut String) {
    out.push_str(if value { "true" } else { "false" });
}

impl Atom {
    /// Appends the text of [`Atom::to_json`], with 15 digits of a real, as Open vSwitch does.
    pub fn write_json(&self, out: &mut String) {
        match self {
            // Writing to a string doesn't fail.
            Self::Integer(i) => drop(write!(out, "{i}")),
            Self::Boolean(b) => write_bool(*b, out),
            Self::String(s) => write_string(s, out),
            Self::Uuid(u) => {
                out.push_str("[\"uuid\",");
                write_uuid(*u, out);
                out.push(']');
            }
            Self::Real(real) => out.push_str(&real_text(real.get())),
        }
    }
}

/// Writes the elements of a set.
fn write_set<'a>(atoms: impl IntoIterator<Item = &'a Atom>, out: &mut String) {
    out.push_str("[\"set\",[");
    write_all(atoms, out, Atom::write_json);
    out.push_str("]]");
}

/// Writes the pairs of a map.
fn write_map<'a>(pairs: impl IntoIterator<Item = &'a (Atom, Atom)>, out: &mut String) {
    out.push_str("[\"map\",[");
    write_all(pairs, out, |(key, value), out| {
        out.push('[');
        key.write_json(out);
        out.push(',');
        value.write_json(out);
        out.push(']');
    });
    out.push_str("]]");
}

impl Datum {
    /// Appends the text of [`Datum::to_json`] with all digits of reals. With fewer, two elements of
    /// a set might become equal.
    pub(crate) fn write_exact(&self, out: &mut String) {
        let is_real = |atom: &Atom| matches!(atom, Atom::Real(_));
        if self.atoms().iter().any(is_real) || self.pairs().any(|(k, v)| is_real(k) || is_real(v)) {
            // Writing to a string doesn't fail.
            let _ = write!(out, "{}", self.to_json());
        } else {
            self.write_json(out);
        }
    }

    /// Appends the text of [`Datum::to_json`], with 15 digits of reals, as Open vSwitch does.
    pub fn write_json(&self, out: &mut String) {
        match self {
            Self::Set(set) => match set.as_slice() {
                [one] => one.write_json(out),
                atoms => write_set(atoms, out),
            },
            Self::Map(map) => write_map(map, out),
        }
    }

    /// Appends the text of [`Datum::diff_from`].
    pub(crate) fn write_difference(&self, old: &Self, ty: &ColumnType, out: &mut String) {
        match (old, self) {
            (Self::Set(old), Self::Set(new)) if ty.max > 1 => {
                match differences(old.as_slice(), new.as_slice()).as_slice() {
                    [(one, _)] => one.write_json(out),
                    atoms => write_set(atoms.iter().map(|(atom, _)| *atom), out),
                }
            }
            (Self::Map(old), Self::Map(new)) if ty.max > 1 => {
                let gone = old.iter().filter(|(key, _)| new.get(key).is_none());
                let is_new = |(key, value): &&(Atom, Atom)| old.get(key) != Some(value);
                let mut pairs: Vec<_> = gone.chain(new.iter().filter(is_new)).collect();
                pairs.sort_by(|a, b| a.0.cmp(&b.0));
                write_map(pairs, out);
            }
            _ => self.write_json(out),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::to_text;
    use crate::value::Real;
    use proptest::prelude::*;

    fn atom() -> impl Strategy<Value = Atom> {
        prop_oneof![
            any::<i64>().prop_map(Atom::Integer),
            any::<f64>().prop_filter_map("finite", |r| Real::new(r).map(Atom::Real)),
            any::<bool>().prop_map(Atom::Boolean),
            any::<String>().prop_map(Atom::from),
            "[\\x00-\\x7f]{0,20}".prop_map(Atom::from),
            any::<u128>().prop_map(|u| Atom::Uuid(Uuid::from_u128(u))),
        ]
    }

    proptest! {
        #[test]
        fn text_is_that_of_the_tree(
            set in prop::collection::vec(atom(), 0..4),
            map in prop::collection::vec((atom(), atom()), 0..4),
            split in 0usize..4,
        ) {
            let many = serde_json::json!({"key": "string", "min": 0, "max": "unlimited"});
            let one = ColumnType::scalar(crate::value::AtomType::String);
            let half = |datum: &Datum| match datum {
                Datum::Set(set) => Datum::set(set.iter().take(split).cloned()),
                Datum::Map(map) => Datum::map(map.iter().take(split).cloned()),
            };
            for new in [Datum::set(set.clone()), Datum::map(map.clone())] {
                let old = half(&new);
                for ty in [ColumnType::from_json(&many).unwrap(), one.clone()] {
                    for (new, old) in [(&new, &old), (&old, &new)] {
                        let (mut text, mut expected) = (String::new(), String::new());
                        new.write_difference(old, &ty, &mut text);
                        new.diff_from(old, &ty).write_json(&mut expected);
                        prop_assert_eq!(text, expected);
                    }
                }
            }
            for datum in [Datum::set(set), Datum::map(map)] {
                let mut text = String::new();
                datum.write_json(&mut text);
                let tree = serde_json::json!({"a\n": datum.to_json(), "b": null});
                prop_assert_eq!(text, to_text(&datum.to_json()));
                let mut text = String::new();
                write_value(&tree, &mut text);
                let again: Value = serde_json::from_str(&text).unwrap();
                prop_assert_eq!(to_text(&again), text);
            }
        }
    }
}
