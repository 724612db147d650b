//! Printing actions and instructions.

use std::fmt::Write as _;

use super::action_names::MODIFY;
use super::names::Names;
use crate::OfPort;
use crate::action::{
    Action, Bundle, Controller, Ct, CtZone, Instructions, Learn, LearnSpec, Nat, NatDirection,
    PacketInReason, Sample, SampleDirection,
};
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

struct Printer<'a> {
    out: &'a mut String,
    names: &'a dyn Names,
}

impl Printer<'_> {
    fn put(&mut self, arguments: std::fmt::Arguments<'_>) {
        let _ = self.out.write_fmt(arguments);
    }

    fn actions(&mut self, actions: &[Action]) {
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

    fn named_port(&mut self, before: &str, port: OfPort) {
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

    fn value(&mut self, field: FieldId, value: u128, mask: u128) {
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

    fn bytes(&mut self, bytes: &[u8]) {
        for (at, byte) in bytes.iter().enumerate() {
            let dot = if at > 0 { "." } else { "" };
            self.put(format_args!("{dot}{byte:02x}"));
        }
    }

    /// `NAME=VALUE,`, or nothing for 0.
    fn nonzero(&mut self, name: &str, value: u64) {
        if value != 0 {
            self.put(format_args!("{name}={value},"));
        }
    }

    /// Closes a list each of whose entries ended with a comma.
    fn close(&mut self) {
        if self.out.ends_with(',') {
            self.out.pop();
        }
        self.out.push(')');
    }

    fn controller(&mut self, controller: &Controller) {
        let plain = Controller {
            max_len_bytes: controller.max_len_bytes,
            ..Controller::default()
        };
        if *controller == plain {
            self.put(format_args!("CONTROLLER:{}", controller.max_len_bytes));
            return;
        }
        self.out.push_str("controller(");
        if controller.reason != PacketInReason::Action {
            self.put(format_args!("reason={},", controller.reason.name()));
        }
        if controller.max_len_bytes != u16::MAX {
            self.put(format_args!("max_len={},", controller.max_len_bytes));
        }
        self.nonzero("id", controller.id.into());
        if !controller.userdata.is_empty() {
            self.out.push_str("userdata=");
            self.bytes(&controller.userdata);
            self.out.push(',');
        }
        if controller.pause {
            self.out.push_str("pause,");
        }
        if let Some(meter) = controller.meter {
            self.put(format_args!("meter_id={meter},"));
        }
        self.close();
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

    fn learn(&mut self, learn: &Learn) {
        self.out.push_str("learn(table=");
        put_table(self.out, learn.table, self.names);
        self.out.push(',');
        self.nonzero("idle_timeout", learn.idle_timeout_s.into());
        self.nonzero("hard_timeout", learn.hard_timeout_s.into());
        self.nonzero("fin_idle_timeout", learn.fin_idle_timeout_s.into());
        self.nonzero("fin_hard_timeout", learn.fin_hard_timeout_s.into());
        if learn.priority != crate::Flow::DEFAULT_PRIORITY {
            self.put(format_args!("priority={},", learn.priority));
        }
        if learn.send_flow_removed {
            self.out.push_str("send_flow_rem,");
        }
        if learn.delete_learned {
            self.out.push_str("delete_learned,");
        }
        if learn.cookie != 0 {
            self.put(format_args!("cookie={:#x},", learn.cookie));
        }
        self.nonzero("limit", learn.limit.into());
        if let Some(result) = learn.result {
            self.put(format_args!("result_dst={result},"));
        }
        for spec in &learn.specs {
            self.learn_spec(spec);
            self.out.push(',');
        }
        self.close();
    }

    fn learn_spec(&mut self, spec: &LearnSpec) {
        match spec {
            LearnSpec::MatchValue { to, value } if to.is_whole() => {
                self.put(format_args!("{}=", to.field));
                self.value(to.field, *value, to.field.field().wire_mask());
            }
            LearnSpec::MatchValue { to, value } => {
                self.put(format_args!("{to}="));
                hex(self.out, *value);
            }
            LearnSpec::MatchField { to, from } if to == from => self.put(format_args!("{to}")),
            LearnSpec::MatchField { to, from } => self.put(format_args!("{to}={from}")),
            LearnSpec::LoadValue { to, value } => {
                self.out.push_str("load:");
                hex(self.out, *value);
                self.put(format_args!("->{to}"));
            }
            LearnSpec::LoadField { to, from } => self.put(format_args!("load:{from}->{to}")),
            LearnSpec::Output(from) => self.put(format_args!("output:{from}")),
        }
    }

    fn bundle(&mut self, bundle: &Bundle) {
        let name = match bundle.to {
            Some(_) => "bundle_load",
            None => "bundle",
        };
        self.put(format_args!(
            "{name}({},{},{},ofport,",
            bundle.fields.name(),
            bundle.basis,
            bundle.algorithm.name()
        ));
        if let Some(to) = bundle.to {
            self.put(format_args!("{to},"));
        }
        self.out.push_str("members:");
        for port in &bundle.members {
            put_port(self.out, *port, self.names);
            self.out.push(',');
        }
        self.close();
    }

    fn sample(&mut self, sample: &Sample) {
        self.put(format_args!(
            "sample(probability={},collector_set_id={},obs_domain_id={},obs_point_id={}",
            sample.probability, sample.collector_set, sample.obs_domain, sample.obs_point
        ));
        if let Some(port) = sample.sampling_port {
            self.named_port(",sampling_port=", port);
        }
        self.out.push_str(match sample.direction {
            None => ")",
            Some(SampleDirection::Ingress) => ",ingress)",
            Some(SampleDirection::Egress) => ",egress)",
        });
    }

    fn ct(&mut self, ct: &Ct) {
        self.out.push_str("ct(");
        if ct.commit {
            self.out.push_str("commit,");
        }
        if ct.force {
            self.out.push_str("force,");
        }
        if let Some(table) = ct.table {
            self.out.push_str("table=");
            put_table(self.out, table, self.names);
            self.out.push(',');
        }
        match ct.zone {
            CtZone::Field(from) => self.put(format_args!("zone={from},")),
            CtZone::Number(zone) => self.nonzero("zone", zone.into()),
        }
        if let Some(nat) = &ct.nat {
            self.nat(nat);
            self.out.push(',');
        }
        if !ct.exec.is_empty() {
            self.out.push_str("exec(");
            self.actions(&ct.exec);
            self.out.push_str("),");
        }
        if let Some(alg) = ct.alg {
            self.put(format_args!("alg={alg},"));
        }
        self.close();
    }

    fn nat(&mut self, nat: &Nat) {
        self.out.push_str("nat");
        let Some(direction) = nat.direction else {
            return;
        };
        self.out.push_str(match direction {
            NatDirection::Source => "(src",
            NatDirection::Destination => "(dst",
        });
        if let Some((first, last)) = nat.addresses {
            let brackets = first.is_ipv6() && nat.ports.is_some();
            let (open, close) = if brackets { ("[", "]") } else { ("", "") };
            self.put(format_args!("={open}{first}{close}"));
            if let Some(last) = last {
                self.put(format_args!("-{open}{last}{close}"));
            }
        }
        if let Some((first, last)) = nat.ports {
            self.put(format_args!(":{first}"));
            if let Some(last) = last {
                self.put(format_args!("-{last}"));
            }
        }
        for (set, name) in [
            (nat.persistent, ",persistent"),
            (nat.hash, ",hash"),
            (nat.random, ",random"),
        ] {
            self.out.push_str(if set { name } else { "" });
        }
        self.out.push(')');
    }
}
