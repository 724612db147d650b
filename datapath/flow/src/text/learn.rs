//! Reading `learn`.

use super::error::TextError;
use super::matching::field_value;
use super::scan::{Item, Token};
use super::small_actions::fits;
use super::{
    Parser, Problem, arrow, items, number_u16, number_u32, number_u64, subfield, writable_subfield,
};
use crate::Subfield;
use crate::action::{Learn, LearnSpec};
use crate::field::{FieldId, parse_number};

impl Parser<'_> {
    pub(super) fn learn(self, list: Token<'_>) -> Result<Learn, TextError> {
        let mut learn = Learn::default();
        for entry in items(list)? {
            if !self.learn_option(&mut learn, &entry)? {
                learn.specs.push(self.learn_spec(&entry)?);
            }
        }
        Ok(learn)
    }

    fn learn_option(self, learn: &mut Learn, entry: &Item<'_>) -> Result<bool, TextError> {
        let seconds = || number_u16(entry.need("seconds")?);
        match entry.key.text {
            "table" => learn.table = self.table(entry.need("table=TABLE")?)?,
            "priority" => learn.priority = number_u16(entry.need("priority=NUMBER")?)?,
            "idle_timeout" => learn.idle_timeout_s = seconds()?,
            "hard_timeout" => learn.hard_timeout_s = seconds()?,
            "fin_idle_timeout" => learn.fin_idle_timeout_s = seconds()?,
            "fin_hard_timeout" => learn.fin_hard_timeout_s = seconds()?,
            "cookie" => learn.cookie = number_u64(entry.need("cookie=NUMBER")?)?,
            "send_flow_rem" => learn.send_flow_removed = true,
            "delete_learned" => learn.delete_learned = true,
            "limit" => learn.limit = number_u32(entry.need("limit=NUMBER")?)?,
            "result_dst" => {
                let at = entry.need("result_dst=FIELD[BIT]")?;
                match writable_subfield(at)? {
                    bit @ Subfield { bits: 1, .. } => learn.result = Some(bit),
                    _ => return Err(TextError::form(at, "one bit of a field")),
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    fn learn_spec(self, entry: &Item<'_>) -> Result<LearnSpec, TextError> {
        match (entry.key.text, entry.value) {
            ("load", _) => self.learn_load(entry.need("load:VALUE->FIELD[BITS]")?),
            ("output", _) => {
                let at = entry.need("output:FIELD[BITS]")?;
                Ok(LearnSpec::Output(subfield(at)?))
            }
            (_, None) => {
                let to = subfield(entry.key)?;
                Ok(LearnSpec::MatchField { to, from: to })
            }
            (_, Some(value)) => self.learn_match(entry.key, value),
        }
    }

    fn learn_load(self, at: Token<'_>) -> Result<LearnSpec, TextError> {
        let (from, to) = arrow(at)?;
        let to = writable_subfield(to)?;
        match parse_number(from.text) {
            Some(value) => {
                fits(from, value, to)?;
                Ok(LearnSpec::LoadValue { to, value })
            }
            None => {
                let from_bits = subfield(from)?;
                widths(at, from_bits, to)?;
                Ok(LearnSpec::LoadField {
                    to,
                    from: from_bits,
                })
            }
        }
    }

    /// `FIELD=VALUE`, `FIELD[BITS]=VALUE` or `FIELD[BITS]=FIELD[BITS]`.
    fn learn_match(self, key: Token<'_>, value: Token<'_>) -> Result<LearnSpec, TextError> {
        let to = subfield(key)?;
        if FieldId::by_name(name_of(value)).is_some() {
            let from = subfield(value)?;
            widths(value, from, to)?;
            return Ok(LearnSpec::MatchField { to, from });
        }
        if !to.is_whole() {
            let number = parse_number(value.text)
                .ok_or_else(|| TextError::form(value, "a number, or a field with its bits"))?;
            fits(value, number, to)?;
            return Ok(LearnSpec::MatchValue { to, value: number });
        }
        let id = to.field;
        let (number, mask) = field_value(self, id, value)?;
        if mask != id.field().full_mask() {
            return Err(TextError::form(value, "a value without a mask"));
        }
        Ok(LearnSpec::MatchValue { to, value: number })
    }
}

fn name_of(at: Token<'_>) -> &str {
    at.text.split('[').next().unwrap_or(at.text)
}

fn widths(at: Token<'_>, from: Subfield, to: Subfield) -> Result<(), TextError> {
    match from.bits == to.bits {
        true => Ok(()),
        false => Err(TextError::new(
            at,
            Problem::Widths {
                from: from.bits,
                to: to.bits,
            },
        )),
    }
}
