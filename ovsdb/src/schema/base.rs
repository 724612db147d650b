//! The type of the elements of a column (RFC 7047 §3.2 `<base-type>`).
use std::sync::Arc;

use serde_json::Value;

use super::SchemaError;
use crate::error::OpError;
use crate::json::{is_id, real_text, whole_number};
use crate::value::{Atom, AtomSet, AtomType, Datum, NoSymbols, Real, Symbols};

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
        let no_members = serde_json::Map::new();
        for (name, value) in json.as_object().unwrap_or(&no_members) {
            base.set_member(name, value)?;
        }
        base.check_limits()?;
        Ok(base.without_idle_limits())
    }

    fn set_member(&mut self, name: &str, value: &Value) -> Result<(), SchemaError> {
        let fault = || SchemaError::new(format!("{name} is {value}"));
        let integer = || value.as_number().and_then(whole_number).ok_or_else(fault);
        let length = || {
            u32::try_from(integer()?)
                .map(u64::from)
                .map_err(|_| fault())
        };
        let real = || value.as_f64().and_then(Real::new).ok_or_else(fault);
        match (name, self.ty) {
            ("type", _) => {}
            ("enum", ty) => self.allowed = Some(parse_enum(value, ty)?),
            ("minInteger", AtomType::Integer) => self.min_integer = Some(integer()?),
            ("maxInteger", AtomType::Integer) => self.max_integer = Some(integer()?),
            ("minReal", AtomType::Real) => self.min_real = Some(real()?),
            ("maxReal", AtomType::Real) => self.max_real = Some(real()?),
            ("minLength", AtomType::String) => self.min_length = Some(length()?),
            ("maxLength", AtomType::String) => self.max_length = Some(length()?),
            ("refTable", AtomType::Uuid) => {
                let table = value
                    .as_str()
                    .filter(|name| is_id(name))
                    .ok_or_else(fault)?;
                let strong = self.reference.as_ref().is_none_or(|r| r.strong);
                self.reference = Some(RefTable {
                    table: table.into(),
                    strong,
                });
            }
            ("refType", AtomType::Uuid) => {
                let strong = match value.as_str() {
                    Some("strong") => true,
                    Some("weak") => false,
                    _ => return Err(fault()),
                };
                let reference = self.reference.get_or_insert(RefTable {
                    table: "".into(),
                    strong,
                });
                reference.strong = strong;
            }
            _ => {
                let words = format!("{name} has no meaning for a type of {}", self.ty);
                return Err(SchemaError::new(words));
            }
        }
        Ok(())
    }

    /// The type without limits that limit nothing.
    fn without_idle_limits(mut self) -> Self {
        self.min_integer = self.min_integer.filter(|n| *n != i64::MIN);
        self.max_integer = self.max_integer.filter(|n| *n != i64::MAX);
        self.min_real = self.min_real.filter(|n| n.get() != f64::MIN);
        self.max_real = self.max_real.filter(|n| n.get() != f64::MAX);
        self.min_length = self.min_length.filter(|n| *n > 0);
        self.max_length = self.max_length.filter(|n| *n < u64::from(u32::MAX));
        self
    }

    fn check_limits(&self) -> Result<(), SchemaError> {
        fn crossed<T: Ord>(min: Option<&T>, max: Option<&T>) -> bool {
            min.zip(max).is_some_and(|(min, max)| min > max)
        }
        let is_limited = self.min_integer.is_some()
            || self.max_integer.is_some()
            || self.min_real.is_some()
            || self.max_real.is_some()
            || self.min_length.is_some()
            || self.max_length.is_some()
            || self.reference.is_some();
        let problem = if crossed(self.min_integer.as_ref(), self.max_integer.as_ref())
            || crossed(self.min_real.as_ref(), self.max_real.as_ref())
            || crossed(self.min_length.as_ref(), self.max_length.as_ref())
        {
            "the least value allowed is greater than the greatest"
        } else if self.allowed.is_some() && is_limited {
            "enum and other limits exclude each other"
        } else if self.reference.as_ref().is_some_and(|r| r.table.is_empty()) {
            "refType has no meaning without refTable"
        } else {
            return Ok(());
        };
        Err(SchemaError::new(problem))
    }

    /// The type as RFC 7047 §3.2 `<base-type>`, in its shortest form.
    pub fn to_json(&self) -> Value {
        let mut object = serde_json::Map::new();
        let mut put = |name: &str, value: Option<Value>| {
            object.extend(value.map(|value| (name.to_owned(), value)));
        };
        let real = |real: Real| Atom::Real(real).to_json();
        let reference = self.reference.as_ref();
        let weak = reference.filter(|r| !r.strong);
        let values = self.allowed.as_ref();
        put("enum", values.map(|set| Datum::Set(set.clone()).to_json()));
        put("minInteger", self.min_integer.map(Value::from));
        put("maxInteger", self.max_integer.map(Value::from));
        put("minReal", self.min_real.map(real));
        put("maxReal", self.max_real.map(real));
        put("minLength", self.min_length.map(Value::from));
        put("maxLength", self.max_length.map(Value::from));
        put("refTable", reference.map(|r| Value::from(&*r.table)));
        put("refType", weak.map(|_| Value::from("weak")));
        if object.is_empty() {
            return Value::from(self.ty.name());
        }
        object.insert("type".to_owned(), Value::from(self.ty.name()));
        Value::Object(object)
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
            let names: Vec<String> = allowed.iter().map(Atom::quoted).collect();
            let (atom, names) = (atom.quoted(), names.join(", "));
            return Err(OpError::constraint(format!(
                "{atom} is not one of the allowed values ([{names}])"
            )));
        }
        let problem = match atom {
            Atom::Integer(i) => outside(i, self.min_integer.as_ref(), self.max_integer.as_ref())
                .map(|limits| limits.words(ToString::to_string)),
            Atom::Real(r) => outside(r, self.min_real.as_ref(), self.max_real.as_ref())
                .map(|limits| limits.words(|real| real_text(real.get()))),
            Atom::String(s) => return self.check_length(s),
            Atom::Boolean(_) | Atom::Uuid(_) => None,
        };
        problem.map_or(Ok(()), |words| {
            Err(OpError::constraint(format!("{} is {words}", atom.quoted())))
        })
    }

    fn check_length(&self, s: &str) -> Result<(), OpError> {
        if self.min_length.is_none() && self.max_length.is_none() {
            return Ok(());
        }
        let length = s.chars().count() as u64;
        let words = match (self.min_length, self.max_length) {
            (Some(min), _) if length < min => format!("less than minimum allowed length {min}"),
            (_, Some(max)) if length > max => format!("greater than maximum allowed length {max}"),
            _ => return Ok(()),
        };
        let words = format!("\"{s}\" length {length} is {words}");
        Err(OpError::constraint(words))
    }
}

/// The limits that a value is not within.
enum Limits<'a, T> {
    Both(&'a T, &'a T),
    Min(&'a T),
    Max(&'a T),
}

impl<T> Limits<'_, T> {
    fn words(&self, text: impl Fn(&T) -> String) -> String {
        match self {
            Self::Both(min, max) => {
                let (min, max) = (text(min), text(max));
                format!("not in the valid range {min} to {max} (inclusive)")
            }
            Self::Min(min) => format!("less than minimum allowed value {}", text(min)),
            Self::Max(max) => format!("greater than maximum allowed value {}", text(max)),
        }
    }
}

fn outside<'a, T: Ord>(value: &T, min: Option<&'a T>, max: Option<&'a T>) -> Option<Limits<'a, T>> {
    let is_within = min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max);
    match (min, max) {
        _ if is_within => None,
        (Some(min), Some(max)) => Some(Limits::Both(min, max)),
        (Some(min), None) => Some(Limits::Min(min)),
        (None, max) => max.map(Limits::Max),
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
