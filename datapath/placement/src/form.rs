//! A flow in the form that a card can take, or why it has none.

use std::collections::BTreeSet;

use aorta_flow::action::Action;
use aorta_flow::field::FieldId;
use aorta_flow::{Flow, Match, OfPort};

use crate::{Capabilities, Device, Reason};

/// A flow as a card takes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Form {
    /// Only [`Action::Output`] to the card's ports, [`Action::SetField`], [`Action::Modify`],
    /// [`Action::PushVlan`] and [`Action::PopVlan`].
    pub actions: Vec<Action>,
    /// The table where packets go on.
    pub goto: Option<u8>,
    /// Storage of fields that the actions change.
    pub changed: BTreeSet<FieldId>,
}

/// Tag present, in the storage of VLAN fields.
const PRESENT: u128 = 0x1000;

/// What a packet of a card carries of what actions or software would have told it: nothing.
fn is_unset(field: FieldId) -> bool {
    use FieldId as F;
    let known = [
        F::METADATA,
        F::TUN_ID,
        F::TUN_SRC,
        F::TUN_DST,
        F::TUN_IPV6_SRC,
        F::TUN_IPV6_DST,
        F::TUN_FLAGS,
        F::CT_STATE,
        F::CT_ZONE,
        F::CT_MARK,
        F::CT_LABEL,
    ];
    known.contains(&field) || (0..16).any(|number| field == F::reg(number).field().home)
}

/// A flow's match, without what is so for all packets that the card sees.
///
/// # Errors
/// [`Reason::NotFromDevice`] if it matches none of these.
pub fn seen_by(flow: &Flow, device: &Device) -> Result<Match, Reason> {
    for part in flow.matching.parts() {
        let never = is_unset(part.field) && part.value != 0;
        let elsewhere = part.field == FieldId::IN_PORT
            && !device.ports.iter().any(|port| part.value == port.0.into());
        if never || elsewhere {
            return Err(Reason::NotFromDevice);
        }
    }
    Ok(flow.matching.without(is_unset))
}

/// Whether a card can match a part's field in this way.
fn key_reason(part: &aorta_flow::Part, capabilities: &Capabilities) -> Option<Reason> {
    let port = part.field == FieldId::IN_PORT;
    match capabilities.keys.get(&part.field) {
        _ if port => None,
        None => Some(Reason::Key(part.field)),
        Some(_) if !capabilities.matches(part) => Some(Reason::Mask(part.field)),
        Some(_) => None,
    }
}

/// Why a card can't match all that a match says.
pub fn unmatched(matching: &Match, capabilities: &Capabilities) -> Option<Reason> {
    let mut parts = matching.parts();
    parts.find_map(|part| key_reason(&part, capabilities))
}

/// What a card can match of a match: all its packets and perhaps more.
pub fn widened(matching: &Match, capabilities: &Capabilities) -> Match {
    let hard: BTreeSet<FieldId> = matching
        .parts()
        .filter(|part| key_reason(part, capabilities).is_some())
        .map(|part| part.field)
        .collect();
    // What a header's field means depends on those that are matched before it.
    let mut wide = matching.without(|field| hard.contains(&field));
    wide.normalise();
    wide
}

/// The form of a flow whose match the card can do.
///
/// # Errors
/// When there is something in it that the card can't do.
pub fn form(flow: &Flow, matching: &Match, device: &Device) -> Result<Form, Reason> {
    let instructions = &flow.instructions;
    if !instructions.write_actions.is_empty() {
        return Err(Reason::Action("write_actions"));
    }
    if instructions.write_metadata.is_some() {
        return Err(Reason::Action("write_metadata"));
    }
    let (tci, known) = matching.get(FieldId::VLAN_TCI);
    let mut maker = Maker {
        device,
        tagged: (known & PRESENT != 0).then_some(tci & PRESENT != 0),
        outputs: 0,
        form: Form {
            actions: Vec::new(),
            goto: instructions.goto_table,
            changed: BTreeSet::new(),
        },
    };
    maker.list(flow.table, &instructions.apply)?;
    Ok(maker.form)
}

struct Maker<'d> {
    device: &'d Device,
    /// Whether the packet has a tag now, where that is known.
    tagged: Option<bool>,
    outputs: usize,
    form: Form,
}

impl Maker<'_> {
    fn list(&mut self, table: u8, actions: &[Action]) -> Result<(), Reason> {
        for (position, action) in actions.iter().enumerate() {
            let last = position + 1 == actions.len();
            match action {
                Action::Note(_) => {}
                Action::Exit => {
                    // What follows an `exit` isn't done, a later table neither.
                    self.form.goto = None;
                    return Ok(());
                }
                Action::Output(port) => self.output(*port)?,
                Action::SetField { field, value, mask } => {
                    self.set(action, *field, *value, *mask)?;
                }
                Action::Modify { field, value } => {
                    self.set(action, *field, *value, field.field().wire_mask())?;
                }
                Action::PushVlan(tpid) => self.push(*tpid)?,
                Action::PopVlan | Action::StripVlan => self.pop()?,
                Action::Resubmit {
                    in_port: None,
                    table: Some(to),
                    ct: false,
                } if last && self.form.goto.is_none() && *to > table => {
                    self.form.goto = Some(*to);
                }
                other => return Err(Reason::Action(name(other))),
            }
        }
        Ok(())
    }

    fn output(&mut self, port: OfPort) -> Result<(), Reason> {
        let reserved = match port {
            OfPort::NORMAL => Some("NORMAL"),
            OfPort::FLOOD => Some("FLOOD"),
            OfPort::ALL => Some("ALL"),
            OfPort::IN_PORT => Some("IN_PORT"),
            OfPort::CONTROLLER => Some("CONTROLLER"),
            _ => None,
        };
        if let Some(name) = reserved {
            return Err(Reason::Action(name));
        }
        if !self.device.ports.contains(&port) {
            return Err(Reason::Output(port));
        }
        self.outputs += 1;
        let most = self.device.capabilities.max_outputs;
        if self.outputs > most {
            let wanted = self.outputs;
            return Err(Reason::TooManyOutputs { wanted, most });
        }
        self.form.actions.push(Action::Output(port));
        Ok(())
    }

    /// A change of the packet, which cards that change it once can do before the first copy only.
    fn change(&mut self, action: Action, home: FieldId) -> Result<(), Reason> {
        if self.outputs > 0 && !self.device.capabilities.changes_between_outputs {
            return Err(Reason::Action("a change behind an output"));
        }
        self.form.changed.insert(home);
        self.form.actions.push(action);
        Ok(())
    }

    fn set(&mut self, action: &Action, id: FieldId, value: u128, mask: u128) -> Result<(), Reason> {
        let field = id.field();
        if field.home == FieldId::VLAN_TCI {
            match self.tagged {
                Some(true) => {}
                // What it means there, and whether it takes the tag away, is software's to say.
                _ => return Err(Reason::TagUnknown),
            }
            // A value without the bit for a tag being there removes the tag.
            if mask << field.shift & PRESENT != 0 && value << field.shift & PRESENT == 0 {
                return Err(Reason::Set(field.home));
            }
        }
        let capabilities = &self.device.capabilities;
        if !capabilities.changes(field.home, mask << field.shift) {
            return Err(Reason::Set(id));
        }
        self.change(action.clone(), field.home)
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
}

/// What flows call an action that no card does.
fn name(action: &Action) -> &'static str {
    match action {
        Action::Output(_) => "output",
        Action::OutputTruncated { .. } => "output(max_len)",
        Action::OutputField(_) => "output to the port of a field",
        Action::Controller(_) => "controller",
        Action::Enqueue { .. } => "enqueue",
        Action::Group(_) => "group",
        Action::Meter(_) => "meter",
        Action::SetField { .. } | Action::Modify { .. } => "set_field",
        Action::Load { .. } => "load",
        Action::Move { .. } => "move",
        Action::Push(_) | Action::Pop(_) => "the stack",
        Action::SetVlanVid { .. } | Action::SetVlanPcp { .. } => "mod_vlan",
        Action::PushVlan(_) => "push_vlan",
        Action::PopVlan | Action::StripVlan => "pop_vlan",
        Action::PushMpls(_) | Action::PopMpls(_) | Action::DecMplsTtl => "MPLS labels",
        Action::DecTtl(_) => "dec_ttl",
        Action::SetTunnel { .. } => "set_tunnel",
        Action::SetQueue(_) | Action::PopQueue => "set_queue",
        Action::Resubmit { .. } => "a resubmit that comes back",
        Action::Learn(_) => "learn",
        Action::Conjunction { .. } => "conjunction",
        Action::Multipath(_) => "multipath",
        Action::Bundle(_) => "bundle",
        Action::FinTimeout { .. } => "fin_timeout",
        Action::Sample(_) => "sample",
        Action::Ct(_) | Action::CtClear => "ct",
        Action::Clone(_) => "clone",
        Action::CheckPktLarger { .. } => "check_pkt_larger",
        Action::DeleteField(_) => "delete_field",
        Action::DecNshTtl => "dec_nsh_ttl",
        Action::Note(_) | Action::Exit | Action::DebugRecirc | Action::DebugSlow => {
            "an action for tests"
        }
    }
}
