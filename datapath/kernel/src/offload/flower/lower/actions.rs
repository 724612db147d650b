//! What a rule does, in the terms of TC.

use aorta_flow::OfPort;
use aorta_flow::action::Action;
use aorta_flow::field::FieldId;

use super::edit::Edit;
use super::labels::Labels;
use super::matching::{Matched, PCP, PRESENT, VID};
use super::stacks::Stack;
use super::{ARP, Lowering, changes};
use crate::offload::flower::{Police, Refusal, TcAction};

/// Most actions that a filter has (TCA_ACT_MAX_PRIO).
const MAX_ACTIONS: usize = 32;

/// The packets that a filter is for.
pub struct Packets<'a> {
    /// Where they come from.
    pub from: OfPort,
    /// Their tags.
    pub stack: &'a Stack,
    /// What else is known of them.
    pub matched: &'a Matched,
    /// The rule's bucket.
    pub police: Option<Police>,
}

/// What becomes of packets that aren't left to software.
///
/// # Errors
/// When TC can't say it.
pub fn forward(
    actions: &[Action],
    goto: Option<u8>,
    packets: &Packets,
    lowering: &Lowering,
) -> Result<Vec<TcAction>, Refusal> {
    let mut maker = Maker::new(packets);
    // A packet isn't sent back but by IN_PORT, and what is done to it behind the last copy is seen by
    // nobody.
    let sends = |action: &Action| matches!(action, Action::Output(to) if *to != packets.from);
    let last = actions.iter().rposition(sends);
    let seen = match (goto, last) {
        (Some(_), _) => actions,
        (None, Some(last)) => &actions[..=last],
        (None, None) => {
            maker.done.extend(packets.police.map(TcAction::Police));
            maker.done.push(TcAction::Drop);
            return Ok(maker.done);
        }
    };
    for (at, action) in seen.iter().enumerate() {
        match action {
            Action::Output(to) if *to == packets.from => {}
            Action::Output(to) => {
                let to = match *to {
                    OfPort::IN_PORT => packets.from,
                    to => to,
                };
                let device = lowering.device(to)?;
                let ends = goto.is_none() && Some(at) == last;
                maker.tell_edit()?;
                maker.done.push(match ends {
                    true => TcAction::Redirect(device),
                    false => TcAction::Mirror(device),
                });
            }
            Action::Meter(_) => maker.done.extend(packets.police.map(TcAction::Police)),
            change => maker.change(change)?,
        }
    }
    if let Some(table) = goto {
        maker.tell_edit()?;
        if !lowering.stacks.contains(&maker.stack) {
            return Err(Refusal::unsupported(
                "frames would come to another table with more VLAN tags than the card reads",
            ));
        }
        maker.done.push(TcAction::Goto(table.into()));
    }
    if maker.done.len() > MAX_ACTIONS {
        return Err(Refusal::unsupported(format!(
            "{} actions: a filter has {MAX_ACTIONS} at most",
            maker.done.len()
        )));
    }
    Ok(maker.done)
}

struct Maker<'a> {
    packets: &'a Packets<'a>,
    done: Vec<TcAction>,
    edit: Edit,
    labels: Labels,
    stack: Stack,
    /// Of the outer tag, where they are known.
    vid: Option<u16>,
    pcp: Option<u8>,
}

impl<'a> Maker<'a> {
    fn new(packets: &'a Packets<'a>) -> Maker<'a> {
        let tag = packets.matched.tag;
        Maker {
            packets,
            done: Vec::new(),
            edit: Edit::default(),
            labels: Labels::default(),
            stack: packets.stack.clone(),
            vid: tag.vid(),
            pcp: tag.pcp(),
        }
    }

    fn tell_edit(&mut self) -> Result<(), Refusal> {
        let actions = self.edit.take(self.packets.matched);
        let label = self.labels.take()?;
        if label.is_some() || actions.iter().any(changes(&ARP)) {
            self.check_tags()?;
        }
        self.done.extend(actions);
        self.done.extend(label);
        Ok(())
    }

    /// That the kernel finds what is behind the type: it looks behind one tag.
    fn check_tags(&self) -> Result<(), Refusal> {
        match self.stack.len().max(self.packets.stack.len()) {
            0 | 1 => Ok(()),
            _ => Err(Refusal::unsupported(
                "TC changes neither labels nor ARP behind two VLAN tags",
            )),
        }
    }

    fn change(&mut self, action: &Action) -> Result<(), Refusal> {
        match action {
            Action::PushVlan(tpid) => self.push(*tpid),
            Action::PopVlan | Action::StripVlan => self.pop(),
            Action::SetField { field, value, mask } => return self.set(*field, *value, *mask),
            // Its ECN bits stay.
            Action::Modify {
                field: FieldId::NW_TOS,
                value,
            } => {
                return self.set(FieldId::IP_DSCP, value >> 2, u128::MAX);
            }
            Action::Modify { field, value } => return self.set(*field, *value, u128::MAX),
            Action::DecTtl(_) => return self.edit.lower_ttl(self.packets.matched),
            Action::PushMpls(ethertype) => {
                // What was changed so far is changed before.
                self.tell_edit()?;
                self.labels.push(*ethertype);
            }
            Action::PopMpls(ethertype) => {
                self.tell_edit()?;
                self.check_tags()?;
                self.done.push(TcAction::MplsPop {
                    ethertype: *ethertype,
                });
            }
            other => {
                return Err(Refusal::unsupported(format!(
                    "TC has no action for {other:?}"
                )));
            }
        }
        Ok(())
    }

    fn push(&mut self, tpid: u16) {
        self.stack.insert(0, tpid);
        (self.vid, self.pcp) = (Some(0), Some(0));
        let (vid, pcp) = (0, 0);
        self.done.push(TcAction::VlanPush { tpid, vid, pcp });
    }

    fn pop(&mut self) {
        if self.stack.is_empty() {
            return;
        }
        self.stack.remove(0);
        (self.vid, self.pcp) = (None, None);
        match self.done.last() {
            Some(TcAction::VlanPush { .. }) => drop(self.done.pop()),
            _ => self.done.push(TcAction::VlanPop),
        }
    }

    fn set(&mut self, field: FieldId, value: u128, mask: u128) -> Result<(), Refusal> {
        let known = field.field();
        let mask = (mask & known.full_mask()) << known.shift;
        let value = value << known.shift & mask;
        match known.home {
            FieldId::VLAN_TCI => self.set_tag(value, mask),
            home @ (FieldId::MPLS_LABEL | FieldId::MPLS_TC | FieldId::MPLS_TTL) => {
                self.labels.set(home, value, mask)
            }
            home => self.edit.set(home, value, mask, self.packets.matched),
        }
    }

    /// Changes the outer tag, or the one that was just added.
    fn set_tag(&mut self, value: u128, mask: u128) -> Result<(), Refusal> {
        let unsupported = |what: &str| Err(Refusal::unsupported(what));
        let Some(tpid) = self.stack.first().copied() else {
            return unsupported("a VLAN tag is changed of frames that may have none");
        };
        if mask & PRESENT != 0 && value & PRESENT == 0 {
            return unsupported("a VLAN tag is removed by changing it");
        }
        if [VID, PCP]
            .iter()
            .any(|bits| mask & bits != 0 && mask & bits != *bits)
        {
            return unsupported("TC can't change single bits of a VLAN tag");
        }
        let new_vid = (mask & VID != 0).then_some((value & VID) as u16);
        let new_pcp = (mask & PCP != 0).then_some(((value & PCP) >> 13) as u8);
        let Some(vid_now) = new_vid.or(self.vid) else {
            return unsupported("TC changes a tag's priority together with its VLAN only");
        };
        (self.vid, self.pcp) = (Some(vid_now), new_pcp.or(self.pcp));
        match self.done.last_mut() {
            Some(TcAction::VlanPush { vid, pcp, .. }) => {
                *vid = vid_now;
                *pcp = new_pcp.unwrap_or(*pcp);
            }
            Some(TcAction::VlanModify { vid, pcp, .. }) => {
                *vid = vid_now;
                *pcp = new_pcp.or(*pcp);
            }
            _ => self.done.push(TcAction::VlanModify {
                tpid,
                vid: vid_now,
                pcp: new_pcp,
            }),
        }
        Ok(())
    }
}
