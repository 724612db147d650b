//! Mutations of columns (RFC 7047 §5.1 `<mutation>`).
use std::fmt;

use serde_json::Value;

use super::column::{ColumnRef, mismatch, unknown};
use crate::error::{ErrorKind, OpError};
use crate::row::Row;
use crate::schema::{BaseType, ColumnType, TableSchema};
use crate::value::{Atom, AtomSet, AtomType, Datum, Real, Symbols};

/// One change of one column.
#[derive(Debug, Clone)]
pub(super) struct Mutation {
    column: usize,
    mutator: Mutator,
    arg: Datum,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mutator {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Insert,
    Delete,
}

impl Mutation {
    pub(super) fn from_json(
        json: &Value,
        table: &TableSchema,
        symbols: &mut dyn Symbols,
    ) -> Result<Self, OpError> {
        let Some([Value::String(name), Value::String(mutator), arg]) =
            json.as_array().map(Vec::as_slice)
        else {
            return Err(OpError::syntax("Parse error in mutation.").with_syntax(json));
        };
        let column = ColumnRef::find(name, table).ok_or_else(|| unknown(name, table, json))?;
        let at = match column {
            ColumnRef::At(at) if column.is_mutable(table) => at,
            _ => {
                let words = format!(
                    "Cannot mutate immutable column {name} in table {}.",
                    table.name
                );
                return Err(OpError::constraint(words).with_syntax(json));
            }
        };
        let (given, ty) = (mutator, column.ty(table));
        let mutator = Mutator::from_name(given).ok_or_else(|| {
            let words = format!("No mutator named {given}.");
            OpError::new(ErrorKind::UnknownMutator, words)
        })?;
        let arg = mutator
            .parse_argument(arg, ty, symbols)?
            .ok_or_else(|| mismatch(given, name, ty, json))?;
        Ok(Self {
            column: at,
            mutator,
            arg,
        })
    }

    /// Changes the row's column.
    pub(super) fn apply(&self, row: &mut Row, table: &TableSchema) -> Result<(), OpError> {
        let ty = ColumnRef::At(self.column).ty(table);
        // Taken out of the row, so that a large set is changed in place.
        let old = row.take_at(self.column);
        let new = match self.mutator {
            Mutator::Insert => union(old, &self.arg),
            Mutator::Delete => subtract(old, &self.arg),
            arithmetic => arithmetic.compute(&old, &self.arg, ty)?,
        };
        if !ty.allows_len(new.len()) {
            let (found, ty) = (new.len(), ty.describe());
            let words = format!("Attempted to store {found} elements in {ty}.");
            return Err(OpError::constraint(words));
        }
        row.set_at(self.column, new);
        Ok(())
    }
}

impl Mutator {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "+=" => Self::Add,
            "-=" => Self::Sub,
            "*=" => Self::Mul,
            "/=" => Self::Div,
            "%=" => Self::Mod,
            "insert" => Self::Insert,
            "delete" => Self::Delete,
            _ => return None,
        })
    }

    /// Parses the argument; `None` if the mutator can't be used on the column.
    fn parse_argument(
        self,
        json: &Value,
        column: &ColumnType,
        symbols: &mut dyn Symbols,
    ) -> Result<Option<Datum>, OpError> {
        let ty = match self {
            Self::Insert | Self::Delete if column.is_scalar() => return Ok(None),
            Self::Insert => ColumnType {
                min: 0,
                ..column.clone()
            },
            Self::Delete => return parse_deletion(json, column, symbols).map(Some),
            _ => {
                let real = column.key.ty == AtomType::Real && self != Self::Mod;
                if column.is_map() || !(real || column.key.ty == AtomType::Integer) {
                    return Ok(None);
                }
                ColumnType::scalar(column.key.ty)
            }
        };
        Datum::from_json(json, &ty, symbols).map(Some)
    }

    /// Arithmetic on every element.
    fn compute(self, old: &Datum, arg: &Datum, ty: &ColumnType) -> Result<Datum, OpError> {
        let Some(arg) = arg.as_atom() else {
            return Ok(old.clone());
        };
        let result = |atom: &Atom| match (atom, arg) {
            (Atom::Integer(x), Atom::Integer(y)) => self.integers(*x, *y).map(Atom::Integer),
            (Atom::Real(x), Atom::Real(y)) => self.reals(x.get(), y.get()).map(Atom::Real),
            _ => Ok(atom.clone()),
        };
        let results: Vec<Atom> = old.atoms().iter().map(result).collect::<Result<_, _>>()?;
        results.iter().try_for_each(|atom| ty.key.check(atom))?;
        let set: AtomSet = results.into_iter().collect();
        if set.len() < old.len() {
            let words = format!("Result of \"{self}\" operation contains duplicates.");
            return Err(OpError::constraint(words));
        }
        Ok(Datum::Set(set))
    }

    fn integers(self, x: i64, y: i64) -> Result<i64, OpError> {
        if y == 0 && matches!(self, Self::Div | Self::Mod) {
            return Err(division_by_zero());
        }
        let result = match self {
            Self::Add => x.checked_add(y),
            Self::Sub => x.checked_sub(y),
            Self::Mul => x.checked_mul(y),
            Self::Div => x.checked_div(y),
            Self::Mod => x.checked_rem(y),
            Self::Insert | Self::Delete => Some(x),
        };
        result.ok_or_else(|| self.out_of_range())
    }

    fn reals(self, x: f64, y: f64) -> Result<Real, OpError> {
        if y == 0.0 && self == Self::Div {
            return Err(division_by_zero());
        }
        let result = match self {
            Self::Add => x + y,
            Self::Sub => x - y,
            Self::Mul => x * y,
            Self::Div => x / y,
            Self::Mod | Self::Insert | Self::Delete => x,
        };
        Real::new(result).ok_or_else(|| self.out_of_range())
    }

    fn out_of_range(self) -> OpError {
        let words = format!("Result of \"{self}\" operation is out of range.");
        OpError::new(ErrorKind::Range, words)
    }
}

fn division_by_zero() -> OpError {
    OpError::new(ErrorKind::Domain, "Division by zero.")
}

impl fmt::Display for Mutator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Add => "+=",
            Self::Sub => "-=",
            Self::Mul => "*=",
            Self::Div => "/=",
            Self::Mod => "%=",
            Self::Insert => "insert",
            Self::Delete => "delete",
        })
    }
}

/// What `delete` takes: elements; from maps either pairs or keys alone.
fn parse_deletion(
    json: &Value,
    column: &ColumnType,
    symbols: &mut dyn Symbols,
) -> Result<Datum, OpError> {
    let ty = ColumnType {
        min: 0,
        max: usize::MAX,
        ..column.clone()
    };
    if !column.is_map() {
        return Datum::from_json(json, &ty, symbols);
    }
    Datum::from_json(json, &ty, symbols).or_else(|_| {
        let keys = ColumnType {
            key: BaseType::clone(&column.key),
            value: None,
            ..ty
        };
        Datum::from_json(json, &keys, symbols)
    })
}

/// Adds elements; a map's existing keys keep their values.
fn union(old: Datum, arg: &Datum) -> Datum {
    match (old, arg) {
        (Datum::Set(mut set), Datum::Set(arg)) if arg.len() < 8 => {
            for atom in arg {
                set.insert(atom.clone());
            }
            Datum::Set(set)
        }
        (Datum::Set(old), Datum::Set(arg)) => Datum::Set(old.iter().chain(arg).cloned().collect()),
        (Datum::Map(old), Datum::Map(arg)) => Datum::Map(old.iter().chain(arg).cloned().collect()),
        (old, _) => old,
    }
}

fn subtract(old: Datum, arg: &Datum) -> Datum {
    match (old, arg) {
        (Datum::Set(mut set), Datum::Set(arg)) => {
            set.retain(|atom| !arg.contains(atom));
            Datum::Set(set)
        }
        (Datum::Map(mut map), Datum::Map(arg)) => {
            map.retain(|(k, v)| arg.get(k) != Some(v));
            Datum::Map(map)
        }
        (Datum::Map(mut map), Datum::Set(arg)) => {
            map.retain(|(k, _)| !arg.contains(k));
            Datum::Map(map)
        }
        (old, _) => old,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DatabaseSchema;
    use crate::value::NoSymbols;
    use serde_json::json;
    use uuid::Uuid;

    /// Runs mutations on a fresh row and returns the value of `column`.
    fn run(table: &str, mutations: &[Value], column: &str) -> Result<Value, OpError> {
        let schema = DatabaseSchema::vswitch();
        let table = schema.table(table).unwrap();
        let mut row = Row::new(table, Uuid::nil(), Uuid::nil());
        for json in mutations {
            Mutation::from_json(json, table, &mut NoSymbols)?.apply(&mut row, table)?;
        }
        Ok(row.datum(column).to_json())
    }

    #[test]
    fn numbers_are_computed() {
        let steps = [
            ("+=", 7, 7),
            ("-=", 2, 5),
            ("*=", 5, 25),
            ("/=", -2, -12),
            ("%=", 5, -2),
        ];
        let mut mutations = Vec::new();
        for (mutator, arg, expected) in steps {
            mutations.push(json!(["next_cfg", mutator, arg]));
            assert_eq!(
                run("Open_vSwitch", &mutations, "next_cfg").unwrap(),
                json!(expected)
            );
        }
    }

    #[test]
    fn faults_of_arithmetic_have_their_names() {
        let kind = |m: &[Value]| run("Open_vSwitch", m, "next_cfg").unwrap_err().kind;
        assert_eq!(kind(&[json!(["next_cfg", "/=", 0])]), ErrorKind::Domain);
        let over = [
            json!(["next_cfg", "+=", i64::MAX]),
            json!(["next_cfg", "+=", 1]),
        ];
        assert_eq!(kind(&over), ErrorKind::Range);
        assert_eq!(kind(&[json!(["_uuid", "+=", 1])]), ErrorKind::Constraint);
        assert_eq!(kind(&[json!(["ovs_version", "+=", 1])]), ErrorKind::Syntax);
        assert_eq!(kind(&[json!(["next_cfg", "insert", 1])]), ErrorKind::Syntax);
        assert_eq!(kind(&[json!(["nope", "+=", 1])]), ErrorKind::UnknownColumn);
    }

    #[test]
    fn maps_keep_existing_keys_and_lose_keys_or_pairs() {
        let insert = |k: &str, v: &str| json!(["external_ids", "insert", ["map", [[k, v]]]]);
        let both = [insert("a", "1"), insert("a", "2"), insert("b", "3")];
        let run = |extra: Value| {
            let mutations: Vec<Value> = both.iter().cloned().chain([extra]).collect();
            run("Bridge", &mutations, "external_ids").unwrap()
        };
        let kept = json!(["map", [["a", "1"], ["b", "3"]]]);
        assert_eq!(
            run(json!(["external_ids", "delete", ["map", [["a", "2"]]]])),
            kept
        );
        let only_b = json!(["map", [["b", "3"]]]);
        assert_eq!(
            run(json!(["external_ids", "delete", ["map", [["a", "1"]]]])),
            only_b
        );
        assert_eq!(run(json!(["external_ids", "delete", "a"])), only_b);
        assert_eq!(
            run(json!(["external_ids", "delete", ["set", ["a", "z"]]])),
            only_b
        );
    }

    #[test]
    fn sets_stay_within_their_limits() {
        let mutations = ["a", "b"].map(|v| json!(["ovs_version", "insert", v]));
        assert_eq!(
            run("Open_vSwitch", &mutations[..1], "ovs_version").unwrap(),
            json!("a")
        );
        let error = run("Open_vSwitch", &mutations, "ovs_version").unwrap_err();
        assert_eq!(error.kind, ErrorKind::Constraint);
    }
}
