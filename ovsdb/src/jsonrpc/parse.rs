//! Reading a message member by member, without a tree of the whole.
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

/// The members of a message that have a meaning; null if absent.
#[derive(Default)]
pub(super) struct Parts {
    pub(super) id: Value,
    pub(super) method: Value,
    pub(super) params: Value,
    pub(super) result: Value,
    pub(super) error: Value,
    /// Whether there are members without a meaning.
    pub(super) has_other: bool,
    other: Value,
}

impl Parts {
    pub(super) fn member(&mut self, name: &str) -> &mut Value {
        match name {
            "id" => &mut self.id,
            "method" => &mut self.method,
            "params" => &mut self.params,
            "result" => &mut self.result,
            "error" => &mut self.error,
            _ => {
                self.has_other = true;
                &mut self.other
            }
        }
    }

    /// Every member with a meaning.
    pub(super) fn all(&self) -> [&Value; 5] {
        [
            &self.id,
            &self.method,
            &self.params,
            &self.result,
            &self.error,
        ]
    }
}

impl<'de> Deserialize<'de> for Parts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Members)
    }
}

struct Members;

impl<'de> Visitor<'de> for Members {
    type Value = Parts;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Parts, A::Error> {
        let mut parts = Parts::default();
        while let Some(Name(name)) = map.next_key()? {
            *parts.member(name) = map.next_value()?;
        }
        Ok(parts)
    }
}

/// A member's name, if it has a meaning.
struct Name(&'static str);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(NameVisitor)
    }
}

struct NameVisitor;

impl Visitor<'_> for NameVisitor {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        let known = ["id", "method", "params", "result", "error"];
        let known = known.into_iter().find(|known| *known == name);
        Ok(Name(known.unwrap_or_default()))
    }
}
