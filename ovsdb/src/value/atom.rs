//! A single value (RFC 7047 §5.1 `<atom>`).
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

use serde_json::{Number, Value, json};
use uuid::Uuid;

use crate::error::OpError;
use crate::json::{is_id, real_text, whole_number};

/// The type of an atom (RFC 7047 §3.1 `<atomic-type>`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AtomType {
    /// A signed 64-bit integer.
    Integer,
    /// A finite double.
    Real,
    /// True or false.
    Boolean,
    /// A UTF-8 string without NUL.
    String,
    /// A row's identity.
    Uuid,
}

impl AtomType {
    /// Parses `integer`, `real`, `boolean`, `string` or `uuid`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "integer" => Self::Integer,
            "real" => Self::Real,
            "boolean" => Self::Boolean,
            "string" => Self::String,
            "uuid" => Self::Uuid,
            _ => return None,
        })
    }

    /// The name as schemas spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Real => "real",
            Self::Boolean => "boolean",
            Self::String => "string",
            Self::Uuid => "uuid",
        }
    }

    /// The value of a scalar that nobody set (RFC 7047 §5.2.1).
    pub fn default_atom(self) -> Atom {
        match self {
            Self::Integer => Atom::Integer(0),
            Self::Real => Atom::Real(Real::default()),
            Self::Boolean => Atom::Boolean(false),
            Self::String => Atom::String("".into()),
            Self::Uuid => Atom::Uuid(Uuid::nil()),
        }
    }
}

impl fmt::Display for AtomType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A finite double with a total order; `-0.0` is kept as `0.0` so that equal numbers are equal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Real(f64);

impl Real {
    /// Takes a finite number; `None` for NaN and the infinities.
    pub fn new(value: f64) -> Option<Self> {
        value
            .is_finite()
            .then_some(Self(if value == 0.0 { 0.0 } else { value }))
    }

    /// The number.
    pub fn get(self) -> f64 {
        self.0
    }
}

impl PartialEq for Real {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Real {}

impl PartialOrd for Real {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Real {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl Hash for Real {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.to_bits().hash(state);
    }
}

/// A single value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Atom {
    /// A signed 64-bit integer.
    Integer(i64),
    /// A finite double.
    Real(Real),
    /// True or false.
    Boolean(bool),
    /// A UTF-8 string without NUL.
    String(Box<str>),
    /// A row's identity.
    Uuid(Uuid),
}

/// Resolves `["named-uuid", NAME]` while a transaction is parsed (RFC 7047 §5.1).
pub trait Symbols {
    /// The uuid that `name` stands for, invented at its first mention; `None` where names have
    /// no meaning.
    fn resolve(&mut self, name: &str) -> Option<Uuid>;
}

/// A context in which named uuids have no meaning (monitor conditions, log records).
#[derive(Debug, Clone, Copy, Default)]
pub struct NoSymbols;

impl Symbols for NoSymbols {
    fn resolve(&mut self, _name: &str) -> Option<Uuid> {
        None
    }
}

/// Every whole number below this has no more than 15 digits.
const EXACT: f64 = 1e15;

impl Atom {
    /// The atom's type.
    pub fn atom_type(&self) -> AtomType {
        match self {
            Self::Integer(_) => AtomType::Integer,
            Self::Real(_) => AtomType::Real,
            Self::Boolean(_) => AtomType::Boolean,
            Self::String(_) => AtomType::String,
            Self::Uuid(_) => AtomType::Uuid,
        }
    }

    /// Whether this is [`AtomType::default_atom`] of its type.
    pub fn is_default(&self) -> bool {
        match self {
            Self::Integer(i) => *i == 0,
            Self::Real(r) => *r == Real::default(),
            Self::Boolean(b) => !b,
            Self::String(s) => s.is_empty(),
            Self::Uuid(u) => u.is_nil(),
        }
    }

    /// Parses RFC 7047 §5.1 `<atom>` of a known type; no constraint is checked.
    ///
    /// # Errors
    /// A syntax error if the JSON is not of the type or names an unknown symbol.
    pub fn from_json(
        json: &Value,
        ty: AtomType,
        symbols: &mut dyn Symbols,
    ) -> Result<Self, OpError> {
        let atom = match (ty, json) {
            (AtomType::Integer, Value::Number(n)) => whole_number(n).map(Self::Integer),
            (AtomType::Real, Value::Number(n)) => n.as_f64().and_then(Real::new).map(Self::Real),
            (AtomType::Boolean, Value::Bool(b)) => Some(Self::Boolean(*b)),
            (AtomType::String, Value::String(s)) => Some(Self::String(s.as_str().into())),
            (AtomType::Uuid, _) => Some(Self::Uuid(parse_uuid(json, symbols)?)),
            _ => None,
        };
        atom.ok_or_else(|| OpError::syntax(format!("expected {ty}")).with_syntax(json))
    }

    /// The JSON form (RFC 7047 §5.1). A real without a fraction is written as an integer if it has
    /// no more than 15 digits.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Integer(i) => Value::from(*i),
            Self::Real(r) if r.0.fract() == 0.0 && r.0.abs() < EXACT => Value::from(r.0 as i64),
            Self::Real(r) => Number::from_f64(r.0).map_or(Value::Null, Value::Number),
            Self::Boolean(b) => Value::from(*b),
            Self::String(s) => Value::from(&**s),
            Self::Uuid(u) => json!(["uuid", u.to_string()]),
        }
    }
}

fn parse_uuid(json: &Value, symbols: &mut dyn Symbols) -> Result<Uuid, OpError> {
    let form = || OpError::syntax("expected [\"uuid\", <string>]").with_syntax(json);
    let Some([Value::String(tag), Value::String(text)]) = json.as_array().map(Vec::as_slice) else {
        return Err(form());
    };
    match tag.as_str() {
        "uuid" => {
            let uuid = Some(text).filter(|text| text.len() == 36);
            let uuid = uuid.and_then(|text| Uuid::try_parse(text).ok());
            let words = || format!("\"{text}\" is not a valid UUID");
            uuid.ok_or_else(|| OpError::syntax(words()).with_syntax(json))
        }
        "named-uuid" => {
            let uuid = symbols.resolve(text).ok_or_else(form)?;
            let words = || OpError::syntax("named-uuid string is not a valid <id>");
            if is_id(text) {
                Ok(uuid)
            } else {
                Err(words().with_syntax(json))
            }
        }
        _ => Err(form()),
    }
}

/// Whether a string is written in quotes among other text.
fn needs_quotes(s: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    let start = |c: char| c.is_ascii_alphabetic() || c == '_';
    !s.starts_with(start)
        || !s.chars().all(plain)
        || matches!(s, "true" | "false")
        || s.len() == 36 && Uuid::try_parse(s).is_ok()
}

impl Atom {
    /// The atom within a sentence: strings that aren't plain words are quoted.
    pub(crate) fn quoted(&self) -> String {
        match self {
            Self::String(s) if needs_quotes(s) => Value::from(&**s).to_string(),
            Self::Real(r) => real_text(r.0),
            other => other.to_string(),
        }
    }
}

impl From<i64> for Atom {
    fn from(value: i64) -> Self {
        Self::Integer(value)
    }
}

impl From<bool> for Atom {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<&str> for Atom {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<String> for Atom {
    fn from(value: String) -> Self {
        Self::String(value.into())
    }
}

impl From<Uuid> for Atom {
    fn from(value: Uuid) -> Self {
        Self::Uuid(value)
    }
}

/// Plain text: strings as they are, everything else as `ovs-vsctl get` would print it.
impl fmt::Display for Atom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Integer(i) => write!(f, "{i}"),
            Self::Real(r) => write!(f, "{}", r.0),
            Self::Boolean(b) => write!(f, "{b}"),
            Self::String(s) => f.write_str(s),
            Self::Uuid(u) => write!(f, "{u}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: Value, ty: AtomType) -> Result<Atom, OpError> {
        Atom::from_json(&json, ty, &mut NoSymbols)
    }

    #[test]
    fn atoms_survive_json() {
        let uuid = "51b6ea15-5a51-4b2c-9ed6-9f0c0e0c2a11";
        for (json, ty) in [
            (json!(i64::MIN), AtomType::Integer),
            (json!(1.5), AtomType::Real),
            (json!(true), AtomType::Boolean),
            (json!("a\u{e9}"), AtomType::String),
            (json!(["uuid", uuid]), AtomType::Uuid),
        ] {
            assert_eq!(parse(json.clone(), ty).unwrap().to_json(), json);
        }
    }

    #[test]
    fn whole_numbers_cross_between_real_and_integer() {
        assert_eq!(
            parse(json!(1e3), AtomType::Integer).unwrap(),
            Atom::Integer(1000)
        );
        assert_eq!(parse(json!(3), AtomType::Real).unwrap().to_json(), json!(3));
        assert_eq!(
            parse(json!(-0.0), AtomType::Real).unwrap(),
            parse(json!(0), AtomType::Real).unwrap()
        );
        assert!(parse(json!(1.5), AtomType::Integer).is_err());
        assert!(parse(json!(u64::MAX), AtomType::Integer).is_err());
    }

    #[test]
    fn wrong_types_are_refused() {
        assert!(parse(json!("1"), AtomType::Integer).is_err());
        assert!(parse(json!(["uuid", "x"]), AtomType::Uuid).is_err());
        assert!(parse(json!(["named-uuid", "x"]), AtomType::Uuid).is_err());
        assert!(parse(json!(1), AtomType::Boolean).is_err());
    }
}
