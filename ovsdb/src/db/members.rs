//! Strict reading of JSON objects: every member is known and of its type, or the object is
//! refused. The first fault is kept while reading goes on, and outweighs what reading leads to.
use std::fmt;

use serde_json::{Map, Value};

use crate::error::OpError;
use crate::json::{is_id, whole_number};

/// What an object is, for words about its faults.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Part<'a> {
    /// An operation of a transaction: its position, from 1, and how many there are.
    Operation(usize, usize),
    /// What a monitor asks of a table.
    Table(&'a str),
    /// Which changes of a table a monitor asks for.
    Select(&'a str),
}

impl fmt::Display for Part<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operation(at, of) => write!(f, "ovsdb operation {at} of {of}"),
            Self::Table(name) => write!(f, "table {name}"),
            Self::Select(name) => write!(f, "table {name} select"),
        }
    }
}

/// The types of JSON that a member may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Any string.
    String,
    /// A string that is an `<id>`.
    Id,
    /// A whole number within 64 bits.
    Integer,
    /// True or false.
    Boolean,
    /// An array.
    Array,
    /// An object.
    Object,
}

impl Kind {
    fn fits(self, json: &Value) -> bool {
        let integer = |json: &Value| json.as_number().is_some_and(|n| whole_number(n).is_some());
        match self {
            Self::String => json.is_string(),
            Self::Id => json.as_str().is_some_and(is_id),
            Self::Integer => integer(json),
            Self::Boolean => json.is_boolean(),
            Self::Array => json.is_array(),
            Self::Object => json.is_object(),
        }
    }
}

/// An object whose members are taken one by one.
pub(crate) struct Members<'a> {
    json: &'a Value,
    object: Option<&'a Map<String, Value>>,
    part: Part<'a>,
    taken: Vec<&'static str>,
    fault: Option<OpError>,
}

impl<'a> Members<'a> {
    pub(crate) fn new(json: &'a Value, part: Part<'a>) -> Self {
        let mut members = Self {
            json,
            object: json.as_object(),
            part,
            taken: Vec::new(),
            fault: None,
        };
        if members.object.is_none() {
            members.raise("Object expected.");
        }
        members
    }

    /// Takes note of a fault, unless there was one before.
    pub(crate) fn raise(&mut self, problem: &str) {
        if self.fault.is_none() {
            let error = OpError::syntax(format!("Parsing {} failed: {problem}", self.part));
            self.fault = Some(match self.object {
                Some(_) => error.with_syntax(self.json),
                None => error,
            });
        }
    }

    pub(crate) fn optional(&mut self, name: &'static str, kind: Kind) -> Option<&'a Value> {
        let value = self.object?.get(name)?;
        if !kind.fits(value) {
            self.raise(&format!("Type mismatch for member '{name}'."));
            return None;
        }
        self.taken.push(name);
        Some(value)
    }

    pub(crate) fn required(&mut self, name: &'static str, kind: Kind) -> Option<&'a Value> {
        if self.object.is_some_and(|object| !object.contains_key(name)) {
            self.raise(&format!("Required '{name}' member is missing."));
        }
        self.optional(name, kind)
    }

    pub(crate) fn string(&mut self, name: &'static str, kind: Kind) -> Option<&'a str> {
        self.required(name, kind)?.as_str()
    }

    pub(crate) fn boolean(&mut self, name: &'static str) -> Option<bool> {
        self.required(name, Kind::Boolean)?.as_bool()
    }

    pub(crate) fn array(&mut self, name: &'static str) -> Option<&'a [Value]> {
        let array = self.required(name, Kind::Array)?.as_array();
        array.map(Vec::as_slice)
    }

    /// The whole object.
    pub(crate) fn json(&self) -> &'a Value {
        self.json
    }

    /// Refuses the object if a fault was met.
    pub(crate) fn check(&self) -> Result<(), OpError> {
        self.fault.clone().map_or(Ok(()), Err)
    }

    /// Why a required member was not had.
    pub(crate) fn failure(&self) -> OpError {
        let unknown = || OpError::syntax("a member is missing");
        self.fault.clone().unwrap_or_else(unknown)
    }

    /// Refuses the object if a fault was met, or if nobody took a member.
    pub(crate) fn finish(mut self) -> Result<(), OpError> {
        if self.fault.is_none()
            && let Some(object) = self.object
            && object.len() > self.taken.len()
        {
            let mut unknown = object
                .keys()
                .filter(|key| !self.taken.contains(&key.as_str()));
            if let Some(first) = unknown.next() {
                let others = match unknown.count() {
                    0 => "is".to_owned(),
                    1 => "and 1 other member are".to_owned(),
                    n => format!("and {n} other members are"),
                };
                self.raise(&format!(
                    "Member '{first}' {others} present but not allowed here."
                ));
            }
        }
        self.check()
    }
}
