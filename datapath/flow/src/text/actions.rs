//! Reading actions and instructions.

use super::action_names::{self, MODIFY};
use super::error::TextError;
use super::matching::field_value;
use super::scan::{Item, Items, Token};
use super::small_actions::{check_pkt_larger, conjunction, copy, dec_ttl, fin_timeout, load, note};
use super::{
    Parser, arrow, number, number_u16, number_u32, number_u64, subfield, writable_field,
    writable_subfield,
};
use crate::OfPort;
use crate::action::{Action, Instructions};
use crate::field::FieldId;

/// Clones inside of clones at most: a text can't exhaust the stack.
const MAX_DEPTH: usize = 32;

/// Where in the order of instructions an entry stands.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone, Copy)]
enum Place {
    Apply,
    Clear,
    Write,
    Metadata,
    Goto,
}

impl Parser<'_> {
    /// What stands after `actions=`.
    pub(super) fn instructions(self, list: Token<'_>) -> Result<Instructions, TextError> {
        let mut instructions = Instructions::default();
        let mut last = Place::Apply;
        let mut dropped = None;
        let mut items = Items::new(list);
        let mut count = 0;
        while let Some(item) = items.next()? {
            count += 1;
            if is_drop(&item) {
                dropped = Some(item.all);
                continue;
            }
            let place = self.instruction(&mut instructions, &item)?;
            if place < last {
                return Err(TextError::rule(
                    item.all,
                    "the order must be: actions, clear_actions, write_actions, write_metadata, \
                     goto_table",
                ));
            }
            if place == last && place != Place::Apply {
                return Err(TextError::rule(item.all, "this may stand here once only"));
            }
            last = place;
        }
        match dropped {
            Some(at) if count > 1 => Err(TextError::rule(at, "drop must stand alone")),
            _ => Ok(instructions),
        }
    }

    fn instruction(
        self,
        instructions: &mut Instructions,
        item: &Item<'_>,
    ) -> Result<Place, TextError> {
        match item.key.text {
            "clear_actions" => {
                item.bare()?;
                instructions.clear_actions = true;
                Ok(Place::Clear)
            }
            "write_actions" => {
                let list = item.value.unwrap_or(item.key.from(item.key.text.len()));
                instructions.write_actions = self.actions(list, 1)?;
                Ok(Place::Write)
            }
            "write_metadata" => {
                let at = item.need("write_metadata:VALUE or write_metadata:VALUE/MASK")?;
                let (value, mask) = field_value(self, FieldId::METADATA, at)?;
                instructions.write_metadata = Some((value as u64, mask as u64));
                Ok(Place::Metadata)
            }
            "goto_table" => {
                let at = item.need("goto_table:TABLE")?;
                instructions.goto_table = Some(self.table(at)?);
                Ok(Place::Goto)
            }
            "apply_actions" => Err(TextError::rule(
                item.key,
                "actions are applied without saying so: write them without apply_actions",
            )),
            _ => {
                instructions.apply.push(self.action(item, 0)?);
                Ok(Place::Apply)
            }
        }
    }

    /// A list of actions.
    pub(super) fn actions(self, list: Token<'_>, depth: usize) -> Result<Vec<Action>, TextError> {
        if depth > MAX_DEPTH {
            return Err(TextError::rule(list, "actions are nested too deeply"));
        }
        let mut actions = Vec::new();
        let mut dropped = None;
        let mut items = Items::new(list);
        while let Some(item) = items.next()? {
            match is_drop(&item) {
                true => dropped = Some(item.all),
                false => actions.push(self.action(&item, depth)?),
            }
        }
        match dropped {
            Some(at) if !actions.is_empty() => Err(TextError::rule(at, "drop must stand alone")),
            _ => Ok(actions),
        }
    }

    fn action(self, item: &Item<'_>, depth: usize) -> Result<Action, TextError> {
        let found = match self.simple(item)? {
            Some(action) => Some(action),
            None => self.with_fields(item, depth)?,
        };
        let action = match found {
            Some(action) => action,
            None => self.port_name(item)?,
        };
        match (item.tail, &action) {
            (Some(tail), action) if !matches!(action, Action::CheckPktLarger { .. }) => Err(
                TextError::rule(tail, "nothing belongs behind the parenthesis"),
            ),
            _ => Ok(action),
        }
    }

    /// Actions of numbers and ports.
    fn simple(self, item: &Item<'_>) -> Result<Option<Action>, TextError> {
        let empty = item.key.from(item.key.text.len());
        let bare = |action: Action| item.bare().map(|()| action);
        Ok(Some(match item.key.text {
            "output" => self.output(item)?,
            "controller" | "CONTROLLER" => self.controller(item)?,
            "enqueue" => self.enqueue(item.need("enqueue:PORT:QUEUE")?)?,
            "group" => Action::Group(number_u32(item.need("group:NUMBER")?)?),
            "meter" => Action::Meter(number_u32(item.need("meter:NUMBER")?)?),
            "set_vlan_vid" | "mod_vlan_vid" => Action::SetVlanVid {
                vid: number(item.need("a VLAN")?, 0xfff)? as u16,
                push: item.key.text == "mod_vlan_vid",
            },
            "set_vlan_pcp" | "mod_vlan_pcp" => Action::SetVlanPcp {
                pcp: number(item.need("a priority")?, 7)? as u8,
                push: item.key.text == "mod_vlan_pcp",
            },
            "strip_vlan" => bare(Action::StripVlan)?,
            "pop_vlan" => bare(Action::PopVlan)?,
            "push_vlan" => {
                let at = item.need("push_vlan:0x8100 or push_vlan:0x88a8")?;
                match number_u16(at)? {
                    tpid @ (0x8100 | 0x88a8) => Action::PushVlan(tpid),
                    _ => return Err(TextError::form(at, "0x8100 or 0x88a8")),
                }
            }
            "push_mpls" => {
                let at = item.need("push_mpls:0x8847 or push_mpls:0x8848")?;
                match number_u16(at)? {
                    ethertype @ (0x8847 | 0x8848) => Action::PushMpls(ethertype),
                    _ => return Err(TextError::form(at, "0x8847 or 0x8848")),
                }
            }
            "pop_mpls" => Action::PopMpls(number_u16(item.need("pop_mpls:ETHERTYPE")?)?),
            "dec_mpls_ttl" => bare(Action::DecMplsTtl)?,
            "dec_ttl" => dec_ttl(item)?,
            "set_tunnel" | "set_tunnel64" => {
                let id = number_u64(item.need("set_tunnel:KEY")?)?;
                let wide = item.key.text == "set_tunnel64" || id > u32::MAX.into();
                Action::SetTunnel { id, wide }
            }
            "set_queue" => Action::SetQueue(number_u32(item.need("set_queue:QUEUE")?)?),
            "pop_queue" => bare(Action::PopQueue)?,
            "resubmit" => self.resubmit(item)?,
            "conjunction" => conjunction(item.need("conjunction(ID,CLAUSE/CLAUSES)")?)?,
            "note" => Action::Note(note(item.value.unwrap_or(empty))?),
            "exit" => bare(Action::Exit)?,
            "fin_timeout" => fin_timeout(item.value.unwrap_or(empty))?,
            "ct_clear" => bare(Action::CtClear)?,
            "dec_nsh_ttl" => bare(Action::DecNshTtl)?,
            "debug_recirc" => bare(Action::DebugRecirc)?,
            "debug_slow" => bare(Action::DebugSlow)?,
            _ => return Ok(None),
        }))
    }

    /// Actions of fields, and those that contain others.
    fn with_fields(self, item: &Item<'_>, depth: usize) -> Result<Option<Action>, TextError> {
        let empty = item.key.from(item.key.text.len());
        let list = item.value.unwrap_or(empty);
        Ok(Some(match item.key.text {
            "set_field" => self.set_field(item.need("set_field:VALUE->FIELD")?)?,
            "load" => load(item.need("load:VALUE->FIELD[BITS]")?)?,
            "move" => copy(item.need("move:FIELD[BITS]->FIELD[BITS]")?)?,
            "push" => Action::Push(subfield(item.need("push:FIELD[BITS]")?)?),
            "pop" => Action::Pop(writable_subfield(item.need("pop:FIELD[BITS]")?)?),
            "delete_field" => {
                let at = item.need("delete_field:FIELD")?;
                let id = writable_field(at)?;
                match id.as_tun_metadata() {
                    Some(_) => Action::DeleteField(id),
                    None => return Err(TextError::form(at, "a tunnel option (tun_metadataN)")),
                }
            }
            "check_pkt_larger" => check_pkt_larger(item)?,
            "learn" => Action::Learn(Box::new(self.learn(list)?)),
            "multipath" => Action::Multipath(Box::new(self.multipath(list)?)),
            "bundle" => Action::Bundle(Box::new(self.bundle(list, false)?)),
            "bundle_load" => Action::Bundle(Box::new(self.bundle(list, true)?)),
            "sample" => Action::Sample(Box::new(self.sample(list)?)),
            "ct" => Action::Ct(Box::new(self.ct(list, depth)?)),
            "clone" => Action::Clone(self.actions(list, depth + 1)?),
            name => match MODIFY.iter().find(|m| m.0 == name) {
                Some((_, field, _)) => self.modify(*field, item)?,
                None => return Ok(None),
            },
        }))
    }

    fn port_name(self, item: &Item<'_>) -> Result<Action, TextError> {
        match self.known_port(item.key.text) {
            Some(OfPort::ANY | OfPort::UNSET) | None => {
                Err(TextError::unknown(item.key, "action", action_names::all()))
            }
            Some(port) => item.bare().map(|()| Action::Output(port)),
        }
    }

    /// `PORT`, `FIELD[BITS]`, or `port=PORT,max_len=BYTES` in parentheses.
    fn output(self, item: &Item<'_>) -> Result<Action, TextError> {
        let at = item.need("output:PORT or output:FIELD[BITS]")?;
        if item.parenthesised && at.text.contains('=') {
            return self.output_truncated(at);
        }
        if let Some(port) = self.known_port(at.text) {
            return Ok(Action::Output(port));
        }
        match subfield(at) {
            Ok(from) => Ok(Action::OutputField(from)),
            Err(e) if at.text.contains('[') => Err(e),
            Err(_) => self.port(at).map(Action::Output),
        }
    }

    fn output_truncated(self, list: Token<'_>) -> Result<Action, TextError> {
        let (mut to, mut len) = (None, None);
        for entry in super::items(list)? {
            match entry.key.text {
                "port" => to = Some(self.port(entry.need("port=PORT")?)?),
                "max_len" => len = Some(number_u32(entry.need("max_len=BYTES")?)?),
                _ => {
                    let known = ["port", "max_len"].into_iter();
                    return Err(TextError::unknown(entry.key, "part of output", known));
                }
            }
        }
        match (to, len) {
            (Some(port), Some(14..)) => Ok(Action::OutputTruncated {
                port,
                max_len_bytes: len.unwrap_or(0),
            }),
            (Some(_), Some(_)) => Err(TextError::rule(list, "max_len must be at least 14")),
            _ => Err(TextError::rule(
                list,
                "this needs port=PORT and max_len=BYTES",
            )),
        }
    }

    fn enqueue(self, at: Token<'_>) -> Result<Action, TextError> {
        let (port, queue) = at
            .split_once(":")
            .or_else(|| at.split_once(","))
            .ok_or_else(|| TextError::form(at, "of the form PORT:QUEUE"))?;
        Ok(Action::Enqueue {
            port: self.port(port)?,
            queue: number_u32(queue)?,
        })
    }

    /// `resubmit:PORT`, `resubmit(PORT)`, `resubmit([PORT],[TABLE][,ct])`.
    fn resubmit(self, item: &Item<'_>) -> Result<Action, TextError> {
        let at = item.need("resubmit:PORT or resubmit([PORT],[TABLE])")?;
        let parts: Vec<Token<'_>> = at.split(',').map(Token::trim).collect();
        let given = |n: usize| parts.get(n).copied().filter(|part| !part.text.is_empty());
        let in_port = given(0)
            .map(|part| self.port(part))
            .transpose()?
            .filter(|port| *port != OfPort::IN_PORT || given(1).is_none());
        let table = given(1)
            .map(|part| self.table_or_current(part))
            .transpose()?;
        let ct = match given(2) {
            None => false,
            Some(part) if part.text == "ct" => true,
            Some(part) => return Err(TextError::form(part, "ct")),
        };
        if parts.len() > 3 {
            return Err(TextError::form(
                at,
                "of the form resubmit([PORT],[TABLE],[ct])",
            ));
        }
        let table = table.flatten();
        if in_port.is_none() && table.is_none() {
            return Err(TextError::rule(at, "resubmit needs a port or a table"));
        }
        Ok(Action::Resubmit { in_port, table, ct })
    }

    /// Table 255 stands for the current one.
    fn table_or_current(self, at: Token<'_>) -> Result<Option<u8>, TextError> {
        match at.text {
            "255" => Ok(None),
            _ => self.table(at).map(Some),
        }
    }

    fn set_field(self, at: Token<'_>) -> Result<Action, TextError> {
        let (text, name) = arrow(at)?;
        let field = writable_field(name)?;
        let (value, mask) = field_value(self, field, text)?;
        if mask == 0 {
            return Err(TextError::rule(at, "a mask of 0 changes nothing"));
        }
        let all = mask == field.field().full_mask() && !text.text.contains('/');
        let mask = if all { field.field().wire_mask() } else { mask };
        Ok(Action::SetField { field, value, mask })
    }

    fn modify(self, field: FieldId, item: &Item<'_>) -> Result<Action, TextError> {
        let at = item.need("a value")?;
        let (value, mask) = field_value(self, field, at)?;
        if mask != field.field().full_mask() {
            return Err(TextError::form(at, "a value without a mask"));
        }
        if field == FieldId::NW_TOS && value & 3 != 0 {
            return Err(TextError::form(at, "a type of service: a multiple of 4"));
        }
        Ok(Action::Modify { field, value })
    }
}

fn is_drop(item: &Item<'_>) -> bool {
    item.key.text == "drop" && item.value.is_none()
}
