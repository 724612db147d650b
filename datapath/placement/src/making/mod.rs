//! What a flow does, made of what cards do.

mod labels;
mod meters;
mod names;

use std::collections::BTreeSet;

use aorta_flow::action::Action;
use aorta_flow::field::{FieldId, Prereq};
use aorta_flow::translate::in_order;
use aorta_flow::{Flow, GroupKind, Match, OfPort, Subfield};
use aorta_packet::TPID_8021Q;

use self::labels::Labels;
use self::names::name;
use crate::form::Form;
use crate::place::Refs;
use crate::{Device, Reason};

/// Tag present, in the storage of VLAN fields.
const PRESENT: u128 = 0x1000;

/// The form of a flow whose match the card can do.
///
/// # Errors
/// When there is something in it that the card can't do.
pub(crate) fn form(
    flow: &Flow,
    matching: &Match,
    device: &Device,
    refs: &Refs,
) -> Result<Form, Reason> {
    let instructions = &flow.instructions;
    if instructions.write_metadata.is_some() {
        return Err(Reason::Action("write_metadata"));
    }
    let (tci, known) = matching.get(FieldId::VLAN_TCI);
    let mut maker = Maker {
        device,
        refs,
        matching,
        table: flow.table,
        tagged: (known & PRESENT != 0).then_some(tci & PRESENT != 0),
        labels: Labels::default(),
        outputs: 0,
        bucket: None,
        exits: false,
        form: Form {
            actions: Vec::new(),
            goto: instructions.goto_table,
            changed: BTreeSet::new(),
            policer: None,
        },
    };
    let set: Vec<&Action> = instructions.write_actions.iter().collect();
    // Where packets go on, an action set would be done in the end only. So packets that come to a later
    // table of the card have none.
    if !set.is_empty() && maker.form.goto.is_some() {
        return Err(Reason::Action("write_actions before another table"));
    }
    maker.list(
        &instructions.apply.iter().collect::<Vec<_>>(),
        set.is_empty(),
    )?;
    if !set.is_empty() && maker.exits {
        return Err(Reason::Action("exit"));
    }
    maker.list(&in_order(&set), true)?;
    if maker.form.goto.is_some() {
        maker.labels.check()?;
    }
    Ok(maker.form)
}

struct Maker<'d, 't> {
    device: &'d Device,
    refs: &'d Refs<'d, 't>,
    matching: &'d Match,
    table: u8,
    /// Whether the packet has a tag now, where that is known.
    tagged: Option<bool>,
    labels: Labels,
    outputs: usize,
    /// In a bucket of a group, whether nobody sees the packet after it.
    bucket: Option<bool>,
    exits: bool,
    form: Form,
}

impl Maker<'_, '_> {
    /// Actions in their order; `ends` if no others come behind these.
    fn list(&mut self, actions: &[&Action], ends: bool) -> Result<(), Reason> {
        for (position, action) in actions.iter().enumerate() {
            let last = ends && position + 1 == actions.len();
            match action {
                Action::Note(_) => {}
                Action::Exit if self.bucket.is_none() => {
                    // What follows an `exit` isn't done, a later table neither.
                    (self.form.goto, self.exits) = (None, true);
                    return Ok(());
                }
                Action::Group(id) if self.bucket.is_none() => self.group(*id, last)?,
                Action::Resubmit {
                    in_port: None,
                    table: Some(to),
                    ct: false,
                } if last
                    && self.bucket.is_none()
                    && self.form.goto.is_none()
                    && *to > self.table =>
                {
                    self.form.goto = Some(*to);
                }
                other => self.action(other)?,
            }
        }
        Ok(())
    }

    fn action(&mut self, action: &Action) -> Result<(), Reason> {
        match action {
            Action::Output(port) => self.output(*port),
            Action::SetField { field, value, mask } => self.set(action, *field, *value, *mask),
            Action::Modify { field, value } => {
                self.set(action, *field, *value, field.field().wire_mask())
            }
            Action::Load { to, value } => self.load(*to, (*value).into()),
            Action::PushVlan(tpid) => self.push(*tpid),
            Action::PopVlan | Action::StripVlan => self.pop(),
            Action::SetVlanVid { vid, .. } => {
                self.tag(FieldId::VLAN_VID, PRESENT | u128::from(*vid))
            }
            Action::SetVlanPcp { pcp, .. } => self.tag(FieldId::VLAN_PCP, (*pcp).into()),
            Action::DecTtl(_) => self.dec_ttl(action),
            Action::PushMpls(ethertype) => self.push_label(*ethertype),
            Action::PopMpls(ethertype) => self.pop_label(*ethertype),
            Action::Meter(id) => self.meter(*id),
            other => Err(Reason::Action(name(other))),
        }
    }

    fn output(&mut self, port: OfPort) -> Result<(), Reason> {
        let reserved = match port {
            OfPort::NORMAL => Some("NORMAL"),
            OfPort::FLOOD => Some("FLOOD"),
            OfPort::ALL => Some("ALL"),
            OfPort::IN_PORT if !self.device.capabilities.to_in_port => Some("IN_PORT"),
            OfPort::CONTROLLER => Some("CONTROLLER"),
            _ => None,
        };
        if let Some(name) = reserved {
            return Err(Reason::Action(name));
        }
        if port != OfPort::IN_PORT && !self.device.ports.contains(&port) {
            return Err(Reason::Output(port));
        }
        self.outputs += 1;
        let most = self.device.capabilities.max_outputs;
        if self.outputs > most {
            let wanted = self.outputs;
            return Err(Reason::TooManyOutputs { wanted, most });
        }
        self.labels.check()?;
        self.form.actions.push(Action::Output(port));
        Ok(())
    }

    /// Each bucket has a copy of the packet as it comes to the group.
    fn group(&mut self, id: u32, last: bool) -> Result<(), Reason> {
        let group = (self.refs.group)(id).ok_or(Reason::Action("a group that isn't there"))?;
        match group.kind {
            GroupKind::All => {}
            GroupKind::Indirect => {}
            GroupKind::Select => return Err(Reason::Action("a select group")),
            GroupKind::FastFailover => return Err(Reason::Action("a fast failover group")),
        }
        let ends = last && self.form.goto.is_none();
        let (tagged, labels) = (self.tagged, self.labels.clone());
        for (position, bucket) in group.buckets.iter().enumerate() {
            self.bucket = Some(ends && position + 1 == group.buckets.len());
            self.list(&in_order(&bucket.actions.iter().collect::<Vec<_>>()), false)?;
        }
        (self.bucket, self.tagged, self.labels) = (None, tagged, labels);
        Ok(())
    }

    /// A change of the packet, which cards that change it once can do before the first copy only.
    fn change(&mut self, action: Action, home: FieldId) -> Result<(), Reason> {
        if self.outputs > 0 && !self.device.capabilities.changes_between_outputs {
            return Err(Reason::Action("a change behind an output"));
        }
        if self.bucket == Some(false) {
            return Err(Reason::Action("a change in a bucket that isn't the last"));
        }
        self.form.changed.insert(home);
        self.form.actions.push(action);
        Ok(())
    }

    fn set(&mut self, action: &Action, id: FieldId, value: u128, mask: u128) -> Result<(), Reason> {
        let field = id.field();
        let bits = (mask & field.full_mask()) << field.shift;
        if field.home == FieldId::VLAN_TCI {
            match self.tagged {
                Some(true) => {}
                // What it means there, and whether it takes the tag away, is software's to say.
                _ => return Err(Reason::TagUnknown),
            }
            // A value without the bit for a tag being there removes the tag.
            if bits & PRESENT != 0 && value << field.shift & PRESENT == 0 {
                return Err(Reason::Set(field.home));
            }
        }
        let ports = [FieldId::TCP_SRC, FieldId::UDP_SRC, FieldId::SCTP_SRC];
        let has = match action {
            // Ports are where they are, whichever protocol has them.
            Action::Modify { .. } if [FieldId::TCP_SRC, FieldId::TCP_DST].contains(&id) => {
                ports.iter().any(|port| self.has(port.field().prereq))
            }
            _ => field.home == FieldId::VLAN_TCI || self.has(field.prereq),
        };
        if !has {
            return Err(Reason::FieldUnknown(id));
        }
        let capabilities = &self.device.capabilities;
        if !capabilities.changes(field.home, bits) {
            return Err(Reason::Set(id));
        }
        self.change(action.clone(), field.home)?;
        self.labels.set(field.home, bits);
        Ok(())
    }

    /// Whether all packets of the flow have what a field needs, now.
    fn has(&self, prereq: Prereq) -> bool {
        prereq.met(&|field| self.known(field))
    }

    fn load(&mut self, to: Subfield, value: u128) -> Result<(), Reason> {
        let mask = (u128::MAX >> (128 - u32::from(to.bits))) << to.start;
        let value = value << to.start & mask;
        let field = to.field;
        let action = Action::SetField { field, value, mask };
        self.set(&action, field, value, mask)
    }

    /// Changes the outer tag, which is added if there is none.
    fn tag(&mut self, field: FieldId, value: u128) -> Result<(), Reason> {
        if self.tagged == Some(false) {
            self.push(TPID_8021Q)?;
        }
        let mask = field.field().wire_mask();
        let action = Action::SetField { field, value, mask };
        self.set(&action, field, value, mask)
    }

    fn push(&mut self, tpid: u16) -> Result<(), Reason> {
        if !self.device.capabilities.vlan_tags {
            return Err(Reason::Action("push_vlan"));
        }
        self.tagged = Some(true);
        self.change(Action::PushVlan(tpid), FieldId::VLAN_TCI)
    }

    fn pop(&mut self) -> Result<(), Reason> {
        if !self.device.capabilities.vlan_tags {
            return Err(Reason::Action("pop_vlan"));
        }
        if self.tagged != Some(true) {
            return Err(Reason::TagUnknown);
        }
        // There may be another tag behind it.
        self.tagged = None;
        self.change(Action::PopVlan, FieldId::VLAN_TCI)
    }

    /// Packets whose time is over go to software, which needs them as they came.
    fn dec_ttl(&mut self, action: &Action) -> Result<(), Reason> {
        if !self.device.capabilities.dec_ttl {
            return Err(Reason::Action("dec_ttl"));
        }
        if self.table > 0 || self.bucket.is_some() {
            return Err(Reason::Action("dec_ttl in a later table or a group"));
        }
        if !self.has(Prereq::Ip) {
            return Err(Reason::FieldUnknown(FieldId::NW_TTL));
        }
        if self.outputs > 0 || self.form.changed.contains(&FieldId::NW_TTL) {
            return Err(Reason::Action("dec_ttl behind an output or a change of it"));
        }
        self.change(action.clone(), FieldId::NW_TTL)
    }
}
