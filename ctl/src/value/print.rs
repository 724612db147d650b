//! Writing values as commands accept them, and bare; and their types.

use aorta_ovsdb::{Atom, AtomType, BaseType, ColumnType, Datum, Uuid};

use crate::table::Cell;

/// An atom in the syntax that commands accept: strings quoted where they must be.
pub fn atom_string(atom: &Atom) -> String {
    match atom {
        Atom::String(text) if needs_quotes(text) => serde_json::Value::from(&**text).to_string(),
        other => other.to_string(),
    }
}

/// An atom without quotes.
pub fn atom_bare(atom: &Atom) -> String {
    atom.to_string()
}

/// Whether a string could be taken for something else.
fn needs_quotes(text: &str) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    !starts_well
        || !text.chars().all(plain)
        || matches!(text, "true" | "false")
        || (text.len() == 36 && Uuid::try_parse(text).is_ok())
}

fn joined(datum: &Datum, separator: &str, shown: fn(&Atom) -> String) -> String {
    let parts: Vec<String> = match datum {
        Datum::Set(set) => set.iter().map(shown).collect(),
        Datum::Map(map) => map
            .iter()
            .map(|(key, value)| format!("{}={}", shown(key), shown(value)))
            .collect(),
    };
    parts.join(separator)
}

/// A column's value in the syntax that commands accept.
pub fn datum_string(datum: &Datum, ty: &ColumnType) -> String {
    let inner = joined(datum, ", ", atom_string);
    if ty.is_map() {
        format!("{{{inner}}}")
    } else if ty.max > 1 || datum.is_empty() {
        format!("[{inner}]")
    } else {
        inner
    }
}

/// A column's value without brackets, quotes and commas.
pub fn datum_bare(datum: &Datum) -> String {
    joined(datum, " ", atom_bare)
}

/// A column's value in all forms.
pub fn cell(datum: &Datum, ty: &ColumnType) -> Cell {
    Cell {
        string: datum_string(datum, ty),
        bare: datum_bare(datum),
        json: datum.to_json(),
        uuids: ty.key.ty == AtomType::Uuid
            || ty
                .value
                .as_ref()
                .is_some_and(|value| value.ty == AtomType::Uuid),
    }
}

/// A column's type as messages name it.
pub(super) fn type_in_words(ty: &ColumnType) -> String {
    let name = |base: &BaseType| match base.ty {
        AtomType::Integer => "integer",
        AtomType::Real => "real",
        AtomType::Boolean => "boolean",
        AtomType::String => "string",
        AtomType::Uuid => "uuid",
    };
    let key = name(&ty.key);
    let count = match (ty.min, ty.max) {
        (1, 1) if ty.value.is_none() => return key.to_owned(),
        (0, usize::MAX) => String::new(),
        (min, usize::MAX) => format!("{min} or more "),
        (0, max) => format!("up to {max} "),
        (min, max) => format!("{min} to {max} "),
    };
    match &ty.value {
        None => format!("set of {count}{key}s"),
        Some(value) => format!("map of {count}({key}, {}) pairs", name(value)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_quoted_only_where_they_must_be() {
        let shown = |text: &str| atom_string(&Atom::from(text));
        assert_eq!(shown("eth0-x.1_b"), "eth0-x.1_b");
        assert_eq!(shown("52:54"), "\"52:54\"");
        assert_eq!(shown("1a"), "\"1a\"");
        assert_eq!(shown("true"), "\"true\"");
        assert_eq!(shown(""), "\"\"");
        assert_eq!(shown("q\"\n"), "\"q\\\"\\n\"");
        let id = "ad7edbef-8d90-417b-b271-5a572166977b";
        assert_eq!(shown(id), format!("\"{id}\""));
    }

    #[test]
    fn sets_have_brackets_unless_they_hold_at_most_one() {
        let optional = ColumnType {
            min: 0,
            ..ColumnType::scalar(AtomType::Integer)
        };
        let set = ColumnType {
            max: usize::MAX,
            ..optional.clone()
        };
        assert_eq!(datum_string(&Datum::scalar(7), &optional), "7");
        assert_eq!(datum_string(&Datum::empty(), &optional), "[]");
        assert_eq!(datum_string(&Datum::scalar(7), &set), "[7]");
        assert_eq!(datum_string(&Datum::set([2, 1]), &set), "[1, 2]");
        assert_eq!(datum_bare(&Datum::set([2, 1])), "1 2");
    }

    #[test]
    fn maps_have_braces() {
        let string = ColumnType::scalar(AtomType::String);
        let ty = ColumnType {
            value: Some(string.key.clone()),
            max: usize::MAX,
            ..string
        };
        let map = Datum::map([("b", "x y"), ("a", "1")]);
        assert_eq!(datum_string(&map, &ty), "{a=\"1\", b=\"x y\"}");
        assert_eq!(datum_bare(&map), "a=1 b=x y");
        assert_eq!(datum_string(&Datum::map::<&str, &str>([]), &ty), "{}");
    }
}
