//! Values as JSON text, written without building a tree first: what monitors and the log send
//! and store is nothing else.
use std::fmt::Write;

use serde_json::{Number, Value};
use uuid::Uuid;

use super::{Atom, Datum};
use crate::json::real_text;

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
                atoms => {
                    out.push_str("[\"set\",[");
                    write_all(atoms, out, Atom::write_json);
                    out.push_str("]]");
                }
            },
            Self::Map(map) => {
                out.push_str("[\"map\",[");
                write_all(map, out, |(key, value), out| {
                    out.push('[');
                    key.write_json(out);
                    out.push(',');
                    value.write_json(out);
                    out.push(']');
                });
                out.push_str("]]");
            }
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
        ) {
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
