//! Conditions on rows (RFC 7047 §5.1 `<condition>`).
use serde_json::Value;

use super::column::{ColumnRef, mismatch, unknown};
use crate::error::{ErrorKind, OpError};
use crate::row::Row;
use crate::schema::{ColumnType, TableSchema};
use crate::value::{AtomType, Datum, Symbols};

/// A list of clauses. `where` of an operation asks for all of them, a monitor for any.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Condition {
    pub(super) clauses: Vec<Clause>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Clause {
    Constant(bool),
    Test {
        column: ColumnRef,
        function: Function,
        arg: Datum,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Function {
    Lt,
    Le,
    Eq,
    Ne,
    Ge,
    Gt,
    Includes,
    Excludes,
}

impl Condition {
    /// Parses an array of clauses, or one boolean (as monitors may give).
    ///
    /// # Errors
    /// If a column, function or argument doesn't fit the table.
    pub fn from_json(
        json: &Value,
        table: &TableSchema,
        symbols: &mut dyn Symbols,
    ) -> Result<Self, OpError> {
        let clauses = match json {
            Value::Bool(constant) => vec![Clause::Constant(*constant)],
            Value::Array(clauses) => {
                let parsed = clauses.iter().map(|c| Clause::from_json(c, table, symbols));
                parsed.collect::<Result<_, _>>()?
            }
            _ => return Err(OpError::syntax("array expected").with_syntax(json)),
        };
        Ok(Self { clauses })
    }

    /// Whether every clause holds.
    pub fn matches_all(&self, row: &Row) -> bool {
        self.clauses.iter().all(|clause| clause.holds(row))
    }

    /// Whether there is no clause, or one that holds.
    pub fn matches_any(&self, row: &Row) -> bool {
        self.clauses.is_empty() || self.clauses.iter().any(|clause| clause.holds(row))
    }
}

impl Clause {
    fn from_json(
        json: &Value,
        table: &TableSchema,
        symbols: &mut dyn Symbols,
    ) -> Result<Self, OpError> {
        if let Value::Bool(constant) = json {
            return Ok(Self::Constant(*constant));
        }
        let Some([Value::String(name), Value::String(function), arg]) =
            json.as_array().map(Vec::as_slice)
        else {
            return Err(OpError::syntax("Parse error in condition.").with_syntax(json));
        };
        let column = ColumnRef::find(name, table).ok_or_else(|| unknown(name, table, json))?;
        let (given, ty) = (function, column.ty(table));
        let function = Function::from_name(given).ok_or_else(|| {
            let words = format!("No function named {given}.");
            OpError::new(ErrorKind::UnknownFunction, words)
        })?;
        let ty = function
            .argument_type(ty)
            .ok_or_else(|| mismatch(given, name, ty, json))?;
        Ok(Self::Test {
            column,
            function,
            arg: Datum::from_json(arg, &ty, symbols)?,
        })
    }

    fn holds(&self, row: &Row) -> bool {
        match self {
            Self::Constant(constant) => *constant,
            Self::Test {
                column,
                function,
                arg,
            } => function.holds(&column.value(row), arg),
        }
    }
}

impl Function {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "<" => Self::Lt,
            "<=" => Self::Le,
            "==" => Self::Eq,
            "!=" => Self::Ne,
            ">=" => Self::Ge,
            ">" => Self::Gt,
            "includes" => Self::Includes,
            "excludes" => Self::Excludes,
            _ => return None,
        })
    }

    /// The type that the argument must have; `None` if the function can't be used on the column.
    fn argument_type(self, column: &ColumnType) -> Option<ColumnType> {
        let mut ty = column.clone();
        match self {
            Self::Eq | Self::Ne => {}
            Self::Includes if !ty.is_scalar() => ty.min = 0,
            Self::Excludes if !ty.is_scalar() => (ty.min, ty.max) = (0, usize::MAX),
            Self::Includes | Self::Excludes => {}
            Self::Lt | Self::Le | Self::Ge | Self::Gt => {
                let number = matches!(ty.key.ty, AtomType::Integer | AtomType::Real);
                if !number || !(ty.is_scalar() || ty.is_optional()) {
                    return None;
                }
                ty.min = 1;
            }
        }
        Some(ty)
    }

    fn holds(self, value: &Datum, arg: &Datum) -> bool {
        let ordered = value.as_atom().zip(arg.as_atom()).map(|(v, a)| v.cmp(a));
        match self {
            Self::Eq => value == arg,
            Self::Ne => value != arg,
            Self::Lt => ordered.is_some_and(|o| o.is_lt()),
            Self::Le => ordered.is_some_and(|o| o.is_le()),
            Self::Ge => ordered.is_some_and(|o| o.is_ge()),
            Self::Gt => ordered.is_some_and(|o| o.is_gt()),
            Self::Includes => shared(value, arg) == arg.len(),
            Self::Excludes => shared(value, arg) == 0,
        }
    }
}

/// How many elements of `arg` are in `value`.
fn shared(value: &Datum, arg: &Datum) -> usize {
    match (value, arg) {
        (Datum::Set(value), Datum::Set(arg)) => arg.iter().filter(|a| value.contains(a)).count(),
        (Datum::Map(value), Datum::Map(arg)) => {
            arg.iter().filter(|(k, v)| value.get(k) == Some(v)).count()
        }
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::DatabaseSchema;
    use crate::value::NoSymbols;
    use serde_json::json;
    use std::sync::Arc;
    use uuid::Uuid;

    fn bridge(values: &[(&str, Datum)]) -> (Arc<TableSchema>, Row) {
        let table = Arc::clone(DatabaseSchema::vswitch().table("Bridge").unwrap());
        let mut row = Row::new(&table, Uuid::from_u128(1), Uuid::nil());
        for (name, value) in values {
            row.set_at(table.position(name).unwrap(), value.clone());
        }
        (table, row)
    }

    #[test]
    fn clauses_hold_as_the_rfc_says() {
        let (table, row) = bridge(&[
            ("name", Datum::scalar("br0")),
            ("flood_vlans", Datum::set([1i64, 2, 3])),
            ("other_config", Datum::map([("a", "1"), ("b", "2")])),
        ]);
        for (clause, expected) in [
            (json!(["name", "==", "br0"]), true),
            (json!(["name", "!=", "br0"]), false),
            (
                json!([
                    "_uuid",
                    "==",
                    ["uuid", "00000000-0000-0000-0000-000000000001"]
                ]),
                true,
            ),
            (json!(["flood_vlans", "includes", 2]), true),
            (json!(["flood_vlans", "includes", ["set", [2, 4]]]), false),
            (json!(["flood_vlans", "excludes", ["set", [4, 5]]]), true),
            (
                json!(["other_config", "includes", ["map", [["a", "1"]]]]),
                true,
            ),
            (
                json!(["other_config", "excludes", ["map", [["a", "2"]]]]),
                true,
            ),
            (json!(["fail_mode", "==", ["set", []]]), true),
            (json!(true), true),
            (json!(false), false),
        ] {
            let condition = Condition::from_json(&json!([clause]), &table, &mut NoSymbols).unwrap();
            assert_eq!(condition.matches_all(&row), expected, "{clause}");
        }
    }

    #[test]
    fn all_and_any_differ_where_clauses_do() {
        let (table, row) = bridge(&[("name", Datum::scalar("br0"))]);
        let json = json!([["name", "==", "br0"], ["name", "==", "br1"]]);
        let condition = Condition::from_json(&json, &table, &mut NoSymbols).unwrap();
        assert!(!condition.matches_all(&row) && condition.matches_any(&row));
        assert!(Condition::default().matches_all(&row) && Condition::default().matches_any(&row));
    }

    #[test]
    fn order_is_for_numbers_and_false_when_unset() {
        let schema = DatabaseSchema::vswitch();
        let table = schema.table("Interface").unwrap();
        let row = Row::new(table, Uuid::nil(), Uuid::nil());
        let json = json!([["mtu", "<", 9000]]);
        let condition = Condition::from_json(&json, table, &mut NoSymbols).unwrap();
        assert!(!condition.matches_all(&row));
        let error = Condition::from_json(&json!([["name", "<", "x"]]), table, &mut NoSymbols);
        assert_eq!(error.unwrap_err().kind, ErrorKind::Syntax);
    }
}
