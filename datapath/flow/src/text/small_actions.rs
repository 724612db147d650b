//! Reading actions that need neither names of ports and tables nor other actions.

use super::error::{Problem, TextError};
use super::scan::{Item, Token};
use super::{arrow, number_u8, number_u16, number_u32, number_u64, subfield, writable_subfield};
use crate::Subfield;
use crate::action::Action;

pub(super) fn dec_ttl(item: &Item<'_>) -> Result<Action, TextError> {
    match item.value {
        Some(list) if list.text.trim().is_empty() => Ok(Action::DecTtl(Some(Vec::new()))),
        Some(list) => {
            let ids = list.split(',').map(|id| number_u16(id.trim()));
            Ok(Action::DecTtl(Some(ids.collect::<Result<_, _>>()?)))
        }
        None => Ok(Action::DecTtl(None)),
    }
}

pub(super) fn conjunction(at: Token<'_>) -> Result<Action, TextError> {
    let form = || TextError::form(at, "of the form conjunction(ID,CLAUSE/CLAUSES)");
    let (id, rest) = at.split_once(",").ok_or_else(form)?;
    let (clause, n_clauses) = rest.split_once("/").ok_or_else(form)?;
    let (clause, n_clauses) = (clause.trim(), n_clauses.trim());
    let n = number_u8(n_clauses)?;
    if !(2..=64).contains(&n) {
        return Err(TextError::form(
            n_clauses,
            "a number of clauses from 2 to 64",
        ));
    }
    let k = number_u8(clause)?;
    if k == 0 || k > n {
        return Err(TextError::form(
            clause,
            "a clause from 1 to the number of clauses",
        ));
    }
    Ok(Action::Conjunction {
        id: number_u32(id.trim())?,
        clause: k,
        n_clauses: n,
    })
}

/// Bytes in hexadecimal, with dots between them if wanted.
pub(super) fn note(at: Token<'_>) -> Result<Vec<u8>, TextError> {
    let digits: Vec<u8> = at.text.bytes().filter(|c| *c != b'.').collect();
    let (pairs, odd) = digits.as_chunks::<2>();
    let byte = |pair: &[u8; 2]| {
        let text = std::str::from_utf8(pair).ok()?;
        let plain = pair.iter().all(u8::is_ascii_hexdigit);
        plain.then(|| u8::from_str_radix(text, 16).ok())?
    };
    pairs
        .iter()
        .map(byte)
        .collect::<Option<Vec<u8>>>()
        .filter(|_| odd.is_empty())
        .ok_or_else(|| TextError::form(at, "bytes in hexadecimal, such as 00.01.ff"))
}

pub(super) fn fin_timeout(list: Token<'_>) -> Result<Action, TextError> {
    let (mut idle_timeout_s, mut hard_timeout_s) = (0, 0);
    for entry in super::items(list)? {
        match entry.key.text {
            "idle_timeout" => idle_timeout_s = number_u16(entry.need("seconds")?)?,
            "hard_timeout" => hard_timeout_s = number_u16(entry.need("seconds")?)?,
            _ => {
                let known = ["idle_timeout", "hard_timeout"].into_iter();
                return Err(TextError::unknown(entry.key, "part of fin_timeout", known));
            }
        }
    }
    Ok(Action::FinTimeout {
        idle_timeout_s,
        hard_timeout_s,
    })
}

pub(super) fn load(at: Token<'_>) -> Result<Action, TextError> {
    let (value, to) = arrow(at)?;
    let to = writable_subfield(to)?;
    let n = number_u64(value)?;
    fits(value, n.into(), to)?;
    Ok(Action::Load { to, value: n })
}

/// Refuses a value with more bits than there is room for.
pub(super) fn fits(at: Token<'_>, value: u128, to: Subfield) -> Result<(), TextError> {
    match value & !crate::field::ones(to.bits) {
        0 => Ok(()),
        _ => Err(TextError::form(at, format!("a value of {} bits", to.bits))),
    }
}

pub(super) fn copy(at: Token<'_>) -> Result<Action, TextError> {
    let (from, to) = arrow(at)?;
    let (from, to) = (subfield(from)?, writable_subfield(to)?);
    if from.bits != to.bits {
        let (from, to) = (from.bits, to.bits);
        return Err(TextError::new(at, Problem::Widths { from, to }));
    }
    Ok(Action::Move { from, to })
}

pub(super) fn check_pkt_larger(item: &Item<'_>) -> Result<Action, TextError> {
    let form = "of the form check_pkt_larger(BYTES)->FIELD[BIT]";
    let len = item.need("check_pkt_larger(BYTES)->FIELD[BIT]")?;
    let tail = item.tail.ok_or_else(|| TextError::form(item.all, form))?;
    let (nothing, to) = arrow(tail)?;
    let to_bit = writable_subfield(to)?;
    if !nothing.text.is_empty() || to_bit.bits != 1 {
        return Err(TextError::form(item.all, form));
    }
    Ok(Action::CheckPktLarger {
        len_bytes: number_u16(len)?,
        to: to_bit,
    })
}
