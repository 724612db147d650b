//! Strict reading of JSON objects: every member is known, or the object is refused.
use serde_json::{Map, Value};

use crate::error::OpError;

/// An object whose members are taken one by one.
pub(crate) struct Members<'a> {
    json: &'a Value,
    object: &'a Map<String, Value>,
    what: &'static str,
    taken: Vec<&'static str>,
}

impl<'a> Members<'a> {
    pub(crate) fn new(json: &'a Value, what: &'static str) -> Result<Self, OpError> {
        let object = json
            .as_object()
            .ok_or_else(|| OpError::syntax(format!("{what}: an object is needed")))?;
        Ok(Self {
            json,
            object,
            what,
            taken: Vec::new(),
        })
    }

    pub(crate) fn optional(&mut self, name: &'static str) -> Option<&'a Value> {
        self.taken.push(name);
        self.object.get(name)
    }

    pub(crate) fn required(&mut self, name: &'static str) -> Result<&'a Value, OpError> {
        self.optional(name)
            .ok_or_else(|| self.fault(&format!("member {name} is missing")))
    }

    pub(crate) fn string(&mut self, name: &'static str) -> Result<&'a str, OpError> {
        let value = self.required(name)?;
        value
            .as_str()
            .ok_or_else(|| self.fault(&format!("member {name} is not a string")))
    }

    pub(crate) fn boolean(&mut self, name: &'static str) -> Result<bool, OpError> {
        let value = self.required(name)?;
        value
            .as_bool()
            .ok_or_else(|| self.fault(&format!("member {name} is not a boolean")))
    }

    pub(crate) fn array(&mut self, name: &'static str) -> Result<&'a [Value], OpError> {
        let value = self.required(name)?;
        let array = value.as_array().map(Vec::as_slice);
        array.ok_or_else(|| self.fault(&format!("member {name} is not an array")))
    }

    /// Refuses members that nobody took.
    pub(crate) fn finish(self) -> Result<(), OpError> {
        match self
            .object
            .keys()
            .find(|key| !self.taken.contains(&key.as_str()))
        {
            Some(unknown) => Err(self.fault(&format!("member {unknown} has no meaning here"))),
            None => Ok(()),
        }
    }

    pub(crate) fn fault(&self, problem: &str) -> OpError {
        OpError::syntax(format!("{}: {problem}", self.what)).with_syntax(self.json)
    }
}

/// Whether a string is an `<id>` (RFC 7047 §3.1).
pub(crate) fn is_id(s: &str) -> bool {
    let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
    s.starts_with(letter) && s.chars().all(|c| letter(c) || c.is_ascii_digit())
}
