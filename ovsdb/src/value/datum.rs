//! The value of a column (RFC 7047 §5.1 `<value>`).
use serde_json::{Value, json};
use uuid::Uuid;

use super::{Atom, AtomMap, AtomSet, Symbols};
use crate::error::{ErrorKind, OpError};
use crate::schema::ColumnType;

/// The value of a column. A scalar is a set of one element, an optional scalar one of at most one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Datum {
    /// A set, an optional or a scalar.
    Set(AtomSet),
    /// A map.
    Map(AtomMap),
}

impl Datum {
    /// The empty set.
    pub const fn empty() -> Self {
        Self::Set(AtomSet::new())
    }

    /// A scalar.
    pub fn scalar(atom: impl Into<Atom>) -> Self {
        Self::Set(atom.into().into())
    }

    /// A set.
    pub fn set<A: Into<Atom>>(atoms: impl IntoIterator<Item = A>) -> Self {
        Self::Set(atoms.into_iter().map(Into::into).collect())
    }

    /// A map.
    pub fn map<K: Into<Atom>, V: Into<Atom>>(pairs: impl IntoIterator<Item = (K, V)>) -> Self {
        Self::Map(
            pairs
                .into_iter()
                .map(|(k, v)| (k.into(), v.into()))
                .collect(),
        )
    }

    /// What a column of this type holds when nobody set it (RFC 7047 §5.2.1).
    pub fn default_for(ty: &ColumnType) -> Self {
        match (&ty.value, ty.min) {
            (None, 0) => Self::empty(),
            (None, _) => Self::scalar(ty.key.ty.default_atom()),
            (Some(_), 0) => Self::Map(AtomMap::new()),
            (Some(value), _) => Self::map([(ty.key.ty.default_atom(), value.ty.default_atom())]),
        }
    }

    /// Whether this is [`Datum::default_for`] the type; cheaper than building that.
    pub fn is_default(&self, ty: &ColumnType) -> bool {
        match self.as_atom() {
            _ if ty.min == 0 => self.is_empty(),
            Some(atom) if !ty.is_map() => atom.is_default(),
            _ => *self == Self::default_for(ty),
        }
    }

    /// Number of elements or pairs.
    pub fn len(&self) -> usize {
        match self {
            Self::Set(set) => set.len(),
            Self::Map(map) => map.len(),
        }
    }

    /// Whether there is no element.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Parses RFC 7047 §5.1 `<value>` and checks it against the column's type.
    ///
    /// # Errors
    /// A syntax error for the wrong form, type or number of elements; a constraint violation
    /// for an element outside of the column's range, enumeration or length.
    pub fn from_json(
        json: &Value,
        ty: &ColumnType,
        symbols: &mut dyn Symbols,
    ) -> Result<Self, OpError> {
        let Some(value_type) = &ty.value else {
            return parse_set(json, ty, symbols);
        };
        let pairs = tagged(json, "map")?;
        allowed_len("map", pairs.len(), ty, json)?;
        let mut parsed = Vec::with_capacity(pairs.len());
        for pair in pairs {
            let Some([key, value]) = pair.as_array().map(Vec::as_slice) else {
                return Err(OpError::syntax("expected 2-element array").with_syntax(pair));
            };
            let key = ty.key.parse_atom(key, symbols)?;
            parsed.push((key, value_type.parse_atom(value, symbols)?));
        }
        let map: AtomMap = parsed.into_iter().collect();
        distinct("map contains duplicate key", pairs.len(), map.len())?;
        Ok(Self::Map(map))
    }

    /// The JSON form (RFC 7047 §5.1): a set of one element is written as the bare atom.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Set(set) => match set.as_slice() {
                [one] => one.to_json(),
                atoms => json!(["set", atoms.iter().map(Atom::to_json).collect::<Vec<_>>()]),
            },
            Self::Map(map) => {
                let pairs = map.iter().map(|(k, v)| json!([k.to_json(), v.to_json()]));
                json!(["map", pairs.collect::<Vec<_>>()])
            }
        }
    }

    /// The value within a sentence: `a`, `[1, 2]`, `{k=v}`.
    pub(crate) fn to_words(&self, ty: &ColumnType) -> String {
        let pair = |(k, v): (&Atom, &Atom)| format!("{}={}", k.quoted(), v.quoted());
        let words: Vec<String> = match self {
            Self::Set(set) => set.iter().map(Atom::quoted).collect(),
            Self::Map(_) => self.pairs().map(pair).collect(),
        };
        let words = words.join(", ");
        match self {
            _ if ty.max == 1 && !self.is_empty() => words,
            Self::Set(_) => format!("[{words}]"),
            Self::Map(_) => format!("{{{words}}}"),
        }
    }

    /// The only element, of a set with exactly one.
    pub fn as_atom(&self) -> Option<&Atom> {
        match self {
            Self::Set(set) => match set.as_slice() {
                [one] => Some(one),
                _ => None,
            },
            Self::Map(_) => None,
        }
    }

    /// The string of a string scalar or of a set optional.
    pub fn as_str_opt(&self) -> Option<&str> {
        match self.as_atom() {
            Some(Atom::String(s)) => Some(s),
            _ => None,
        }
    }

    /// The number of an integer scalar or of a set optional.
    pub fn as_int_opt(&self) -> Option<i64> {
        match self.as_atom() {
            Some(Atom::Integer(i)) => Some(*i),
            _ => None,
        }
    }

    /// The uuid of a reference or of a set optional reference.
    pub fn as_uuid_opt(&self) -> Option<Uuid> {
        match self.as_atom() {
            Some(Atom::Uuid(u)) => Some(*u),
            _ => None,
        }
    }

    /// The boolean; false for an empty optional.
    pub fn as_bool(&self) -> bool {
        matches!(self.as_atom(), Some(Atom::Boolean(true)))
    }

    /// The elements of a set, in order; none of a map.
    pub fn atoms(&self) -> &[Atom] {
        match self {
            Self::Set(set) => set.as_slice(),
            Self::Map(_) => &[],
        }
    }

    /// The strings of a set of strings, in order.
    pub fn strings(&self) -> impl Iterator<Item = &str> {
        self.atoms().iter().filter_map(|atom| match atom {
            Atom::String(s) => Some(&**s),
            _ => None,
        })
    }

    /// The numbers of a set of integers, in order.
    pub fn ints(&self) -> impl Iterator<Item = i64> {
        self.atoms().iter().filter_map(|atom| match atom {
            Atom::Integer(i) => Some(*i),
            _ => None,
        })
    }

    /// The uuids of a set of references, in order.
    pub fn uuids(&self) -> impl Iterator<Item = Uuid> {
        self.atoms().iter().filter_map(|atom| match atom {
            Atom::Uuid(u) => Some(*u),
            _ => None,
        })
    }

    /// The pairs of a map; none of a set.
    pub fn pairs(&self) -> impl Iterator<Item = (&Atom, &Atom)> {
        let map = match self {
            Self::Map(map) => Some(map),
            Self::Set(_) => None,
        };
        map.into_iter().flatten().map(|(k, v)| (k, v))
    }

    /// The string under a string key of a map.
    pub fn map_get(&self, key: &str) -> Option<&str> {
        match self {
            Self::Map(map) => match map.get(&Atom::from(key)) {
                Some(Atom::String(s)) => Some(s),
                _ => None,
            },
            Self::Set(_) => None,
        }
    }
}

fn parse_set(json: &Value, ty: &ColumnType, symbols: &mut dyn Symbols) -> Result<Datum, OpError> {
    let first = json.as_array().and_then(|array| array.first());
    if first.and_then(Value::as_str) != Some("set") {
        return Ok(Datum::scalar(ty.key.parse_atom(json, symbols)?));
    }
    let atoms = tagged(json, "set")?;
    allowed_len("set", atoms.len(), ty, json)?;
    let parsed = atoms.iter().map(|atom| ty.key.parse_atom(atom, symbols));
    let set = parsed.collect::<Result<AtomSet, _>>()?;
    distinct("set contains duplicate", atoms.len(), set.len())?;
    Ok(Datum::Set(set))
}

fn allowed_len(what: &str, found: usize, ty: &ColumnType, json: &Value) -> Result<(), OpError> {
    if ty.allows_len(found) {
        return Ok(());
    }
    let words = match (ty.min, ty.max) {
        (1, 1) => format!("{what} must have exactly one member but {found} are present"),
        (min, max) => {
            let max = max.min(UNLIMITED);
            format!("{what} must have {min} to {max} members but {found} are present")
        }
    };
    Err(OpError::syntax(words).with_syntax(json))
}

/// How "unlimited" is told as a number.
const UNLIMITED: usize = u32::MAX as usize;

/// The elements of `[tag, [...]]`.
fn tagged<'a>(json: &'a Value, tag: &str) -> Result<&'a [Value], OpError> {
    match json.as_array().map(Vec::as_slice) {
        Some([Value::String(t), Value::Array(elements)]) if t == tag => Ok(elements),
        _ => {
            let words = format!("expected [\"{tag}\", <array>]");
            Err(OpError::syntax(words).with_syntax(json))
        }
    }
}

fn distinct(words: &str, given: usize, kept: usize) -> Result<(), OpError> {
    if given == kept {
        return Ok(());
    }
    Err(OpError::new(ErrorKind::Duplicate, words))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::value::NoSymbols;

    fn ty(json: Value) -> ColumnType {
        ColumnType::from_json(&json).unwrap()
    }

    fn parse(json: Value, column: Value) -> Result<Datum, OpError> {
        Datum::from_json(&json, &ty(column), &mut NoSymbols)
    }

    #[test]
    fn values_survive_json() {
        let map = json!({"key": "string", "value": "string", "min": 0, "max": "unlimited"});
        let set = json!({"key": "integer", "min": 0, "max": "unlimited"});
        for (value, column) in [
            (json!("x"), json!("string")),
            (json!(["set", []]), set.clone()),
            (json!(["set", [1, 2]]), set.clone()),
            (json!(7), set),
            (json!(["map", [["a", "b"], ["c", "d"]]]), map.clone()),
            (json!(["map", []]), map),
        ] {
            assert_eq!(parse(value.clone(), column).unwrap().to_json(), value);
        }
    }

    #[test]
    fn form_and_constraints_are_told_apart() {
        let tag = json!({"key": {"type": "integer", "minInteger": 0, "maxInteger": 4095},
                         "min": 0, "max": 1});
        let kind = |value, column| parse(value, column).unwrap_err().kind;
        assert_eq!(kind(json!(["set", [1, 2]]), tag.clone()), ErrorKind::Syntax);
        assert_eq!(kind(json!(4096), tag.clone()), ErrorKind::Constraint);
        assert_eq!(kind(json!("1"), tag), ErrorKind::Syntax);
        assert_eq!(kind(json!(["set", []]), json!("string")), ErrorKind::Syntax);
        let set = json!({"key": "integer", "min": 0, "max": "unlimited"});
        assert_eq!(kind(json!(["set", [1, 1]]), set), ErrorKind::Duplicate);
    }

    #[test]
    fn readers_give_what_the_column_holds() {
        let map = Datum::map([("peer", "p1")]);
        assert_eq!((map.map_get("peer"), map.map_get("x")), (Some("p1"), None));
        assert_eq!(Datum::empty().as_str_opt(), None);
        assert_eq!(Datum::scalar("s").as_str_opt(), Some("s"));
        assert_eq!(Datum::set([3i64, 1]).ints().collect::<Vec<_>>(), [1, 3]);
        assert!(Datum::scalar(true).as_bool() && !Datum::empty().as_bool());
    }
}
