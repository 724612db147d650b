//! Columns and their types (RFC 7047 §3.2 `<column-schema>`, `<type>`).
use std::sync::Arc;

use serde_json::Value;

use super::{BaseType, SchemaError, flag};
use crate::error::OpError;
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
        Self {
            key: BaseType::plain(ty),
            value: None,
            min: 1,
            max: 1,
        }
    }

    /// Parses RFC 7047 §3.2 `<type>`.
    ///
    /// # Errors
    /// If a part has the wrong form.
    pub fn from_json(json: &Value) -> Result<Self, SchemaError> {
        let Some(key) = json.get("key") else {
            return Ok(Self {
                key: BaseType::from_json(json)?,
                value: None,
                min: 1,
                max: 1,
            });
        };
        let value = json.get("value").map(BaseType::from_json).transpose()?;
        let min = match json.get("min") {
            None => 1,
            Some(min) => usize_of(min, "min")?,
        };
        let max = match json.get("max") {
            None => 1,
            Some(Value::String(s)) if s == "unlimited" => usize::MAX,
            Some(max) => usize_of(max, "max")?,
        };
        if min > 1 || max < 1 {
            return Err(SchemaError::new("min is more than 1, or max less"));
        }
        Ok(Self {
            key: BaseType::from_json(key)?,
            value,
            min,
            max,
        })
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
            let (found, expected) = (datum.len(), self.describe_len());
            let words = format!("{found} elements where {expected} may be");
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

    pub(crate) fn describe_len(&self) -> String {
        match (self.min, self.max) {
            (1, 1) => "exactly 1".into(),
            (min, usize::MAX) => format!("{min} or more"),
            (min, max) => format!("{min} to {max}"),
        }
    }
}

fn usize_of(json: &Value, what: &str) -> Result<usize, SchemaError> {
    json.as_u64()
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
}
