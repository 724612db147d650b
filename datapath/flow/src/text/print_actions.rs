//! Printing actions and instructions.

use std::fmt::Write as _;

use super::action_names::MODIFY;
use super::names::Names;
use crate::OfPort;
use crate::action::{Action, Instructions};
use crate::field::{FieldId, hex, show};

/// Appends a port's reserved name, name or number.
pub(super) fn put_port(out: &mut String, port: OfPort, names: &dyn Names) {
    let name = names
        .port_name(port)
        .filter(|_| port.reserved_name().is_none());
    let _ = match name {
        None => write!(out, "{port}"),
        Some(name) => {
            put_name(out, name);
            Ok(())
        }
    };
}

/// Appends a name, in quotes unless it is all letters and digits.
fn put_name(out: &mut String, name: &str) {
    let plain = name.bytes().all(|c| c.is_ascii_alphanumeric())
        && name.starts_with(|c: char| c.is_ascii_alphabetic());
    let _ = match plain {
        true => write!(out, "{name}"),
        false => write!(out, "{name:?}"),
    };
}

/// Appends a table's name or number.
pub(super) fn put_table(out: &mut String, table: u8, names: &dyn Names) {
    match names.table_name(table) {
        Some(name) => put_name(out, name),
        None => {
            let _ = write!(out, "{table}");
        }
    }
}

/// Appends what follows `actions=`.
pub(super) fn put_instructions(out: &mut String, all: &Instructions, names: &dyn Names) {
    let mut printer = Printer { out, names };
    let mut parts = 0;
    let mut next = |out: &mut String| {
        if parts > 0 {
            out.push(',');
        }
        parts += 1;
    };
    for action in &all.apply {
        next(printer.out);
        printer.action(action);
    }
    if all.clear_actions {
        next(printer.out);
        printer.out.push_str("clear_actions");
    }
    if !all.write_actions.is_empty() {
        next(printer.out);
        printer.out.push_str("write_actions(");
        printer.actions(&all.write_actions);
        printer.out.push(')');
    }
    if let Some((value, mask)) = all.write_metadata {
        next(printer.out);
        printer.out.push_str("write_metadata:");
        show(printer.out, FieldId::METADATA, value.into(), mask.into());
    }
    if let Some(table) = all.goto_table {
        next(printer.out);
        printer.out.push_str("goto_table:");
        put_table(printer.out, table, names);
    }
    if parts == 0 {
        printer.out.push_str("drop");
    }
}

/// Appends a list of actions; `drop` if there is none.
pub(super) fn put_actions(out: &mut String, actions: &[Action], names: &dyn Names) {
    Printer { out, names }.actions(actions);
}

/// Appends actions to a text.
pub(super) struct Printer<'a> {
    pub(super) out: &'a mut String,
    pub(super) names: &'a dyn Names,
}

impl Printer<'_> {
    pub(super) fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(arguments);
    }

    pub(super) fn actions(&mut self, actions: &[Action]) {
        if actions.is_empty() {
            self.out.push_str("drop");
        }
        for (at, action) in actions.iter().enumerate() {
            if at > 0 {
                self.out.push(',');
            }
            self.action(action);
        }
    }

    pub(super) fn named_port(&mut self, before: &str, port: OfPort) {
        self.out.push_str(before);
        put_port(self.out, port, self.names);
    }

    fn action(&mut self, action: &Action) {
        match action {
            Action::Output(port) => {
                let before = match port.reserved_name() {
                    Some(_) => "",
                    None => "output:",
                };
                self.named_port(before, *port);
            }
            Action::OutputTruncated {
                port,
                max_len_bytes,
            } => {
                self.named_port("output(port=", *port);
                self.put(format_args!(",max_len={max_len_bytes})"));
            }
            Action::OutputField(from) => self.put(format_args!("output:{from}")),
            Action::Controller(controller) => self.controller(controller),
            Action::Enqueue { port, queue } => {
                self.named_port("enqueue:", *port);
                self.put(format_args!(":{queue}"));
            }
            Action::Group(id) => self.put(format_args!("group:{id}")),
            Action::Meter(id) => self.put(format_args!("meter:{id}")),
            Action::SetField { field, value, mask } => {
                self.out.push_str("set_field:");
                self.value(*field, *value, *mask);
                self.put(format_args!("->{field}"));
            }
            Action::Load { to, value } => {
                self.out.push_str("load:");
                hex(self.out, (*value).into());
                self.put(format_args!("->{to}"));
            }
            Action::Modify { field, value } => self.modify(*field, *value),
            Action::Move { from, to } => self.put(format_args!("move:{from}->{to}")),
            Action::Push(from) => self.put(format_args!("push:{from}")),
            Action::Pop(to) => self.put(format_args!("pop:{to}")),
            Action::Resubmit { in_port, table, ct } => self.resubmit(*in_port, *table, *ct),
            Action::Learn(learn) => self.learn(learn),
            Action::Bundle(bundle) => self.bundle(bundle),
            Action::Sample(sample) => self.sample(sample),
            Action::Ct(ct) => self.ct(ct),
            Action::Clone(actions) => {
                self.out.push_str("clone(");
                self.actions(actions);
                self.out.push(')');
            }
            other => self.simple(other),
        }
    }

    /// Actions without lists.
    fn simple(&mut self, action: &Action) {
        let mod_or_set = |push: &bool| if *push { "mod" } else { "set" };
        match action {
            Action::SetVlanVid { vid, push } => {
                self.put(format_args!("{}_vlan_vid:{vid}", mod_or_set(push)));
            }
            Action::SetVlanPcp { pcp, push } => {
                self.put(format_args!("{}_vlan_pcp:{pcp}", mod_or_set(push)));
            }
            Action::PushVlan(tpid) => self.put(format_args!("push_vlan:{tpid:#06x}")),
            Action::PopVlan => self.out.push_str("pop_vlan"),
            Action::StripVlan => self.out.push_str("strip_vlan"),
            Action::PushMpls(ethertype) => self.put(format_args!("push_mpls:{ethertype:#06x}")),
            Action::PopMpls(ethertype) => self.put(format_args!("pop_mpls:{ethertype:#06x}")),
            Action::DecMplsTtl => self.out.push_str("dec_mpls_ttl"),
            Action::DecTtl(None) => self.out.push_str("dec_ttl"),
            Action::DecTtl(Some(ids)) => {
                let ids: Vec<String> = ids.iter().map(u16::to_string).collect();
                self.put(format_args!("dec_ttl({})", ids.join(",")));
            }
            Action::SetTunnel { id, wide } => {
                self.out.push_str(if *wide {
                    "set_tunnel64:"
                } else {
                    "set_tunnel:"
                });
                hex(self.out, (*id).into());
            }
            Action::SetQueue(queue) => self.put(format_args!("set_queue:{queue}")),
            Action::PopQueue => self.out.push_str("pop_queue"),
            Action::Conjunction {
                id,
                clause,
                n_clauses,
            } => self.put(format_args!("conjunction({id},{clause}/{n_clauses})")),
            Action::Multipath(m) => self.put(format_args!(
                "multipath({},{},{},{},{},{})",
                m.fields.name(),
                m.basis,
                m.algorithm.name(),
                m.n_links,
                m.argument,
                m.to
            )),
            Action::Note(bytes) => {
                self.out.push_str("note:");
                self.bytes(bytes);
            }
            Action::Exit => self.out.push_str("exit"),
            Action::FinTimeout {
                idle_timeout_s,
                hard_timeout_s,
            } => {
                self.out.push_str("fin_timeout(");
                self.nonzero("idle_timeout", u64::from(*idle_timeout_s));
                self.nonzero("hard_timeout", u64::from(*hard_timeout_s));
                self.close();
            }
            Action::CtClear => self.out.push_str("ct_clear"),
            Action::CheckPktLarger { len_bytes, to } => {
                self.put(format_args!("check_pkt_larger({len_bytes})->{to}"));
            }
            Action::DeleteField(field) => self.put(format_args!("delete_field:{field}")),
            Action::DecNshTtl => self.out.push_str("dec_nsh_ttl"),
            Action::DebugRecirc => self.out.push_str("debug_recirc"),
            Action::DebugSlow => self.out.push_str("debug_slow"),
            _ => {}
        }
    }

    pub(super) fn value(&mut self, field: FieldId, value: u128, mask: u128) {
        match field {
            FieldId::IN_PORT | FieldId::IN_PORT_OXM => {
                put_port(self.out, OfPort(value as u16), self.names);
            }
            _ if mask == field.field().wire_mask() => {
                show(self.out, field, value, field.field().full_mask());
            }
            // A mask that was given is kept, though it covers all bits that have a meaning.
            _ if mask == field.field().full_mask() => {
                show(self.out, field, value, mask);
                self.out.push('/');
                hex(self.out, mask);
            }
            _ => show(self.out, field, value, mask),
        }
    }

    fn modify(&mut self, field: FieldId, value: u128) {
        let Some((name, _, parenthesised)) = MODIFY.iter().find(|m| m.1 == field) else {
            return;
        };
        let (open, close) = if *parenthesised {
            ("(", ")")
        } else {
            (":", "")
        };
        self.put(format_args!("{name}{open}"));
        show(self.out, field, value, field.field().full_mask());
        self.out.push_str(close);
    }

    pub(super) fn bytes(&mut self, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate() {
            let dot = if at > 0 { "." } else { "" };
            self.put(format_args!("{dot}{byte:02x}"));
        }
    }

    /// `NAME=VALUE,`, or nothing for 0.
    pub(super) fn nonzero(&mut self, name: &str, value: u64) {
        if value != 0 {
            self.put(format_args!("{name}={value},"));
        }
    }

    /// Closes a list each of whose entries ended with a comma.
    pub(super) fn close(&mut self) {
        if self.out.ends_with(',') {
            self.out.pop();
        }
        self.out.push(')');
    }

    fn resubmit(&mut self, in_port: Option<OfPort>, table: Option<u8>, ct: bool) {
        match (in_port, table) {
            (Some(port), None) if !ct => self.named_port("resubmit:", port),
            _ => {
                self.out.push_str("resubmit(");
                if let Some(port) = in_port {
                    put_port(self.out, port, self.names);
                }
                self.out.push(',');
                if let Some(table) = table {
                    put_table(self.out, table, self.names);
                }
                self.out.push_str(if ct { ",ct)" } else { ")" });
            }
        }
    }
}
