//! Columns and their types (RFC 7047 §3.2 `<column-schema>`, `<type>`).
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::{BaseType, SchemaError, flag, known_members};
use crate::error::OpError;
use crate::json::{is_id, whole_number};
use crate::value::{AtomType, Datum};

/// The type of a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnType {
    /// Type of the elements, or of a map's keys.
    pub key: BaseType,
    /// Type of a map's values; `None` unless the column is a map.
    pub value: Option<BaseType>,
    /// Least number of elements: 0 or 1.
    pub min: usize,
    /// Greatest number of elements; `usize::MAX` for unlimited.
    pub max: usize,
}

impl ColumnType {
    /// A scalar without limits.
    pub fn scalar(ty: AtomType) -> Self {
        Self::of(BaseType::plain(ty))
    }

    /// Parses RFC 7047 §3.2 `<type>`.
    ///
    /// # Errors
    /// If a part has the wrong form.
    pub fn from_json(json: &Value) -> Result<Self, SchemaError> {
        let Some(object) = json.as_object() else {
            return Ok(Self::of(BaseType::from_json(json)?));
        };
        known_members(object, &["key", "value", "min", "max"])?;
        let key = object
            .get("key")
            .ok_or_else(|| SchemaError::new("no key"))?;
        let value = object.get("value").map(BaseType::from_json).transpose()?;
        let min = object.get("min").map_or(Ok(1), |n| usize_of(n, "min"))?;
        let max = match object.get("max") {
            None => 1,
            Some(Value::String(s)) if s == "unlimited" => usize::MAX,
            Some(max) => usize_of(max, "max")?,
        };
        if min > 1 || max < 1 {
            return Err(SchemaError::new("min is more than 1, or max less"));
        }
        let ty = Self::of(BaseType::from_json(key)?);
        Ok(Self {
            value,
            min,
            max,
            ..ty
        })
    }

    /// One element of a type.
    fn of(key: BaseType) -> Self {
        Self {
            key,
            value: None,
            min: 1,
            max: 1,
        }
    }

    /// The type as RFC 7047 §3.2 `<type>`, in its shortest form.
    pub fn to_json(&self) -> Value {
        let key = self.key.to_json();
        if self.is_scalar() && key.is_string() {
            return key;
        }
        let mut object = Map::new();
        object.insert("key".to_owned(), key);
        object.extend(
            self.value
                .as_ref()
                .map(|v| ("value".to_owned(), v.to_json())),
        );
        if self.min != 1 {
            object.insert("min".to_owned(), json!(self.min));
        }
        match self.max {
            1 => {}
            usize::MAX => drop(object.insert("max".to_owned(), json!("unlimited"))),
            max => drop(object.insert("max".to_owned(), json!(max))),
        }
        Value::Object(object)
    }

    /// Whether the column holds pairs.
    pub fn is_map(&self) -> bool {
        self.value.is_some()
    }

    /// Whether the column always holds exactly one element.
    pub fn is_scalar(&self) -> bool {
        !self.is_map() && self.min == 1 && self.max == 1
    }

    /// Whether the column holds at most one element and may be empty.
    pub fn is_optional(&self) -> bool {
        !self.is_map() && self.min == 0 && self.max == 1
    }

    /// Whether `n` elements may be in the column.
    pub fn allows_len(&self, n: usize) -> bool {
        (self.min..=self.max).contains(&n)
    }

    /// Checks number and limits of the elements.
    ///
    /// # Errors
    /// A constraint violation.
    pub fn check(&self, datum: &Datum) -> Result<(), OpError> {
        if !self.allows_len(datum.len()) {
            let (found, ty) = (datum.len(), self.describe());
            let words = format!("Attempted to store {found} elements in {ty}.");
            return Err(OpError::constraint(words));
        }
        for atom in datum.atoms() {
            self.key.check(atom)?;
        }
        for (key, value) in datum.pairs() {
            self.key.check(key)?;
            self.value
                .as_ref()
                .map_or(Ok(()), |base| base.check(value))?;
        }
        Ok(())
    }

    /// The same atoms without limits on their number and values.
    #[must_use]
    pub fn relaxed(&self) -> Self {
        let value = self.value.as_ref().map(|base| BaseType::plain(base.ty));
        Self {
            key: BaseType::plain(self.key.ty),
            value,
            min: 0,
            max: usize::MAX,
        }
    }

    /// The type in words, such as `set of up to 3 strings`.
    pub(crate) fn describe(&self) -> String {
        let key = self.key.ty.name();
        if self.is_scalar() {
            return key.to_owned();
        }
        let count = match (self.min, self.max) {
            (0, usize::MAX) => " of".to_owned(),
            (min, usize::MAX) => format!(" of {min} or more"),
            (0, max) => format!(" of up to {max}"),
            (min, max) => format!(" of {min} to {max}"),
        };
        match &self.value {
            Some(value) => format!("map{count} ({key}, {}) pairs", value.ty),
            None => format!("set{count} {key}s"),
        }
    }
}

fn usize_of(json: &Value, what: &str) -> Result<usize, SchemaError> {
    let number = json.as_number().and_then(whole_number);
    number
        .and_then(|n| u32::try_from(n).ok().filter(|n| *n < u32::MAX))
        .and_then(|n| usize::try_from(n).ok())
        .ok_or_else(|| SchemaError::new(format!("{what} is {json}")))
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnSchema {
    /// Its name.
    pub name: Arc<str>,
    /// What it holds.
    pub ty: ColumnType,
    /// Whether its value is lost when the server restarts.
    pub ephemeral: bool,
    /// Whether it may change once its row exists.
    pub mutable: bool,
}

impl ColumnSchema {
    /// Parses RFC 7047 §3.2 `<column-schema>`.
    ///
    /// # Errors
    /// If a part has the wrong form.
    pub fn from_json(name: &str, json: &Value) -> Result<Self, SchemaError> {
        let object = json.as_object();
        let object = object.ok_or_else(|| SchemaError::new("a column is an object"))?;
        known_members(object, &["type", "ephemeral", "mutable"])?;
        if name.starts_with('_') || !is_id(name) {
            return Err(SchemaError::new("no name that a column may have"));
        }
        let ty = json
            .get("type")
            .ok_or_else(|| SchemaError::new("no type"))?;
        Ok(Self {
            name: name.into(),
            ty: ColumnType::from_json(ty)?,
            ephemeral: flag(json, "ephemeral", false)?,
            mutable: flag(json, "mutable", true)?,
        })
    }

    /// The column as RFC 7047 §3.2 `<column-schema>`, in its shortest form.
    pub fn to_json(&self) -> Value {
        let mut object = Map::new();
        object.insert("type".to_owned(), self.ty.to_json());
        if !self.mutable {
            object.insert("mutable".to_owned(), json!(false));
        }
        if self.ephemeral {
            object.insert("ephemeral".to_owned(), json!(true));
        }
        Value::Object(object)
    }
}
