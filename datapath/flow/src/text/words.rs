//! The words that a flow's text can have, for tools that help to write one.

use super::action_names;
use super::matching::SHORTHANDS;
use crate::field::FieldId;

/// Words of a match that stand without a value, such as `tcp`.
pub fn protocol_words() -> impl Iterator<Item = &'static str> {
    SHORTHANDS.iter().map(|shorthand| shorthand.0)
}

/// Fields of a match, by all their names.
pub fn field_words() -> impl Iterator<Item = &'static str> {
    FieldId::names()
}

/// Names of actions, without what follows them.
pub fn action_words() -> impl Iterator<Item = &'static str> {
    action_names::all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_words_of_each_kind() {
        assert!(protocol_words().any(|word| word == "tcp"));
        assert!(field_words().any(|word| word == "nw_src"));
        assert!(action_words().any(|word| word == "resubmit"));
        assert!(action_words().any(|word| word == "mod_nw_ttl"));
    }
}
