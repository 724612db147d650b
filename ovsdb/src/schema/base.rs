//! The type of the elements of a column (RFC 7047 §3.2 `<base-type>`).
use std::sync::Arc;

use serde_json::Value;

use super::SchemaError;
use crate::error::OpError;
use crate::value::{Atom, AtomSet, AtomType, NoSymbols, Real, Symbols};

/// Which rows a uuid points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefTable {
    /// The table that holds the rows.
    pub table: Arc<str>,
    /// Strong references keep their row alive and must resolve; weak ones vanish with it.
    pub strong: bool,
}

/// The type of the elements of a set, or of the keys or values of a map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseType {
    /// The atoms' type.
    pub ty: AtomType,
    /// The only values allowed, if limited.
    pub allowed: Option<AtomSet>,
    /// Smallest integer allowed.
    pub min_integer: Option<i64>,
    /// Largest integer allowed.
    pub max_integer: Option<i64>,
    /// Smallest real allowed.
    pub min_real: Option<Real>,
    /// Largest real allowed.
    pub max_real: Option<Real>,
    /// Least number of characters of a string.
    pub min_length: Option<u64>,
    /// Greatest number of characters of a string.
    pub max_length: Option<u64>,
    /// What a uuid refers to.
    pub reference: Option<RefTable>,
}

impl BaseType {
    /// A type without any limit.
    pub fn plain(ty: AtomType) -> Self {
        Self {
            ty,
            allowed: None,
            min_integer: None,
            max_integer: None,
            min_real: None,
            max_real: None,
            min_length: None,
            max_length: None,
            reference: None,
        }
    }

    /// Parses `"string"` or `{"type": "string", …}`.
    ///
    /// # Errors
    /// If the type is unknown or a limit has the wrong form.
    pub fn from_json(json: &Value) -> Result<Self, SchemaError> {
        let name = json.as_str().or_else(|| json.get("type")?.as_str());
        let ty = name
            .and_then(AtomType::from_name)
            .ok_or_else(|| SchemaError::new(format!("{json} is not an atomic type")))?;
        let mut base = Self::plain(ty);
        base.min_integer = json.get("minInteger").and_then(Value::as_i64);
        base.max_integer = json.get("maxInteger").and_then(Value::as_i64);
        base.min_real = json
            .get("minReal")
            .and_then(Value::as_f64)
            .and_then(Real::new);
        base.max_real = json
            .get("maxReal")
            .and_then(Value::as_f64)
            .and_then(Real::new);
        base.min_length = json.get("minLength").and_then(Value::as_u64);
        base.max_length = json.get("maxLength").and_then(Value::as_u64);
        base.allowed = json.get("enum").map(|e| parse_enum(e, ty)).transpose()?;
        base.reference = parse_reference(json)?;
        Ok(base)
    }

    /// Parses an atom of this type and checks it.
    ///
    /// # Errors
    /// A syntax error for the wrong type, a constraint violation for a value not allowed.
    pub fn parse_atom(&self, json: &Value, symbols: &mut dyn Symbols) -> Result<Atom, OpError> {
        let atom = Atom::from_json(json, self.ty, symbols)?;
        self.check(&atom)?;
        Ok(atom)
    }

    /// Checks an atom of the right type against the limits.
    ///
    /// # Errors
    /// A constraint violation that tells the limit.
    pub fn check(&self, atom: &Atom) -> Result<(), OpError> {
        if let Some(allowed) = &self.allowed {
            if allowed.contains(atom) {
                return Ok(());
            }
            let names: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let names = names.join(", ");
            return Err(OpError::constraint(format!(
                "{atom} is not one of: {names}"
            )));
        }
        let problem = match atom {
            Atom::Integer(i) => outside(i, self.min_integer.as_ref(), self.max_integer.as_ref()),
            Atom::Real(r) => outside(r, self.min_real.as_ref(), self.max_real.as_ref()),
            Atom::String(s) => self.length_problem(s),
            Atom::Boolean(_) | Atom::Uuid(_) => None,
        };
        problem.map_or(Ok(()), |words| {
            Err(OpError::constraint(format!("{atom} is {words}")))
        })
    }

    fn length_problem(&self, s: &str) -> Option<&'static str> {
        if self.min_length.is_none() && self.max_length.is_none() {
            return None;
        }
        let length = s.chars().count() as u64;
        match (self.min_length, self.max_length) {
            (Some(min), _) if length < min => Some("shorter than the column allows"),
            (_, Some(max)) if length > max => Some("longer than the column allows"),
            _ => None,
        }
    }
}

fn outside<T: Ord>(value: &T, min: Option<&T>, max: Option<&T>) -> Option<&'static str> {
    match (min, max) {
        (Some(min), _) if value < min => Some("below the column's range"),
        (_, Some(max)) if value > max => Some("above the column's range"),
        _ => None,
    }
}

fn parse_enum(json: &Value, ty: AtomType) -> Result<AtomSet, SchemaError> {
    let atoms = match json.as_array().map(Vec::as_slice) {
        Some([Value::String(tag), Value::Array(atoms)]) if tag == "set" => atoms.as_slice(),
        _ => std::slice::from_ref(json),
    };
    atoms
        .iter()
        .map(|atom| Atom::from_json(atom, ty, &mut NoSymbols))
        .collect::<Result<_, _>>()
        .map_err(|e| SchemaError::new(format!("enum: {e}")))
}

fn parse_reference(json: &Value) -> Result<Option<RefTable>, SchemaError> {
    let Some(table) = json.get("refTable").and_then(Value::as_str) else {
        return Ok(None);
    };
    let strong = match json.get("refType").map(Value::as_str) {
        None | Some(Some("strong")) => true,
        Some(Some("weak")) => false,
        Some(_) => return Err(SchemaError::new("refType is neither strong nor weak")),
    };
    Ok(Some(RefTable {
        table: table.into(),
        strong,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn base(json: Value) -> BaseType {
        BaseType::from_json(&json).unwrap()
    }

    #[test]
    fn ranges_lengths_and_enumerations_limit() {
        let port = base(json!({"type": "integer", "minInteger": 1, "maxInteger": 65279}));
        assert!(port.check(&Atom::Integer(1)).is_ok() && port.check(&Atom::Integer(65279)).is_ok());
        assert!(port.check(&Atom::Integer(0)).is_err());
        assert!(port.check(&Atom::Integer(65280)).is_err());
        let short = base(json!({"type": "string", "maxLength": 2}));
        assert!(short.check(&"éé".into()).is_ok() && short.check(&"abc".into()).is_err());
        let mode = base(json!({"type": "string", "enum": ["set", ["a", "b"]]}));
        assert!(mode.check(&"a".into()).is_ok() && mode.check(&"c".into()).is_err());
    }

    #[test]
    fn references_are_strong_unless_said_otherwise() {
        let strong = |json| base(json).reference.unwrap().strong;
        assert!(strong(json!({"type": "uuid", "refTable": "Port"})));
        assert!(!strong(
            json!({"type": "uuid", "refTable": "Port", "refType": "weak"})
        ));
        assert!(BaseType::from_json(&json!({"type": "text"})).is_err());
    }
}
