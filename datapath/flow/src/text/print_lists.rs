//! Printing actions that are lists of their own.

use super::print_actions::{Printer, put_port, put_table};
use crate::action::{
    Bundle, Controller, Ct, CtZone, Learn, LearnSpec, Nat, NatDirection, PacketInReason, Sample,
    SampleDirection,
};
use crate::field::hex;

impl Printer<'_> {
    pub(super) fn controller(&mut self, controller: &Controller) {
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

    pub(super) fn learn(&mut self, learn: &Learn) {
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

    pub(super) fn bundle(&mut self, bundle: &Bundle) {
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

    pub(super) fn sample(&mut self, sample: &Sample) {
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

    pub(super) fn ct(&mut self, ct: &Ct) {
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
