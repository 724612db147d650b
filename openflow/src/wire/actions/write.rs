//! Writing actions.

use aorta_flow::action::{Action, Controller, Sample, SampleDirection};
use aorta_flow::field::FieldId;
use aorta_flow::{Match, OfPort, Subfield};

use super::super::EncodeError;
use super::super::field::{Choice, has_short_code, write_operand};
use super::super::kind::NICIRA;
use super::super::write::Writer;
use super::number::{self, nx};
use super::{EXPERIMENTER, choices, controller, ct, learn, modify, set_field};
use crate::version::Version;

/// What is known about the packets that actions are for, which some versions' encodings ask.
#[derive(Clone, Copy, Default)]
pub(in super::super) struct Around {
    /// There is a VLAN tag.
    pub has_vlan: bool,
    /// The protocol of ports.
    pub proto: Option<u8>,
}

impl Around {
    /// Of a flow's match.
    pub fn of(matching: &Match) -> Around {
        const PRESENT: u128 = 0x1000;
        Around {
            has_vlan: matching.get(FieldId::VLAN_TCI).0 & PRESENT != 0,
            proto: matching.exact(FieldId::NW_PROTO).map(|p| p as u8),
        }
    }

    /// After an action.
    fn after(self, action: &Action) -> Around {
        let has_vlan = match action {
            Action::PushVlan(_) | Action::SetVlanVid { .. } | Action::SetVlanPcp { .. } => true,
            Action::PopVlan | Action::StripVlan => false,
            Action::SetField {
                field: FieldId::VLAN_TCI,
                value,
                ..
            } => value & 0x1000 != 0,
            _ => self.has_vlan,
        };
        Around { has_vlan, ..self }
    }
}

/// Writes a list of actions for packets of which nothing is known.
pub(in super::super) fn write(out: &mut Writer<'_>, actions: &[Action]) -> Result<(), EncodeError> {
    write_around(out, actions, Around::default())
}

/// Writes a list of actions.
pub(in super::super) fn write_around(
    out: &mut Writer<'_>,
    actions: &[Action],
    mut around: Around,
) -> Result<(), EncodeError> {
    for action in actions {
        match write_one(out, action, around) {
            // What a version can't say is left out of what is only told.
            Err(EncodeError::Unsupported { .. }) if out.lossy => {}
            done => done?,
        }
        around = around.after(action);
    }
    Ok(())
}

/// An action of the standard's; padding follows.
pub(super) fn standard(
    out: &mut Writer<'_>,
    kind: u16,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    let start = out.place();
    out.u16(kind);
    out.u16(0);
    if let Err(e) = body(out) {
        out.bytes.truncate(start);
        return Err(e);
    }
    out.pad_to_8(start);
    out.length_at(start + 2, start)
}

/// An action of Nicira's; padding follows.
pub(super) fn nicira(
    out: &mut Writer<'_>,
    subtype: u16,
    body: impl FnOnce(&mut Writer<'_>) -> Result<(), EncodeError>,
) -> Result<(), EncodeError> {
    standard(out, EXPERIMENTER, |out| {
        out.u32(NICIRA);
        out.u16(subtype);
        body(out)
    })
}

pub(super) fn plain(
    out: &mut Writer<'_>,
    kind: u16,
    body: impl FnOnce(&mut Writer<'_>),
) -> Result<(), EncodeError> {
    standard(out, kind, |out| {
        body(out);
        Ok(())
    })
}

pub(super) fn plain_nx(
    out: &mut Writer<'_>,
    subtype: u16,
    body: impl FnOnce(&mut Writer<'_>),
) -> Result<(), EncodeError> {
    nicira(out, subtype, |out| {
        body(out);
        Ok(())
    })
}

/// An action that OpenFlow 1.0 has from Nicira (with so much padding in front of the argument)
/// and later versions have themselves.
pub(super) fn since11(
    out: &mut Writer<'_>,
    (old, padding): (u16, usize),
    new: u16,
    argument: impl FnOnce(&mut Writer<'_>),
) -> Result<(), EncodeError> {
    match out.version {
        Version::OpenFlow10 => plain_nx(out, old, |out| {
            out.zeros(padding);
            argument(out);
        }),
        _ => plain(out, new, argument),
    }
}

/// First bit and number of bits, less 1, in 16 bits.
pub(super) fn packed_bits(part: Subfield) -> u16 {
    u16::from(part.start) << 6 | (u16::from(part.bits) - 1)
}

pub(super) fn is_10(out: &Writer<'_>) -> bool {
    out.version == Version::OpenFlow10
}

fn write_one(out: &mut Writer<'_>, action: &Action, around: Around) -> Result<(), EncodeError> {
    match action {
        Action::Output(port) => output(out, *port, 0xffff),
        Action::Controller(how) => {
            let max_len = how.max_len_bytes;
            let plain = Controller {
                max_len_bytes: max_len,
                ..Controller::default()
            };
            match **how == plain {
                true => output(out, OfPort::CONTROLLER, max_len),
                false => controller::write(out, how),
            }
        }
        Action::Enqueue { port, queue } => enqueue(out, *port, *queue),
        Action::Group(group) => since11(out, (nx::GROUP, 2), number::GROUP, |o| o.u32(*group)),
        Action::Meter(meter) if out.version >= Version::OpenFlow15 => {
            plain(out, number::METER, |out| out.u32(*meter))
        }
        Action::Meter(_) => Err(out.unsupported("meters among actions")),
        Action::SetField { field, value, mask } => {
            set_field::write(out, *field, *value, *mask, around)
        }
        Action::Load { to, value } => set_field::write_load(out, *to, *value),
        Action::Modify { field, value } => modify::modify(out, *field, *value, around),
        Action::SetVlanVid { vid, push } => {
            if *push && !around.has_vlan && !is_10(out) {
                modify::push_vlan(out, 0x8100)?;
            }
            modify::set_vlan_vid(out, *vid)
        }
        Action::SetVlanPcp { pcp, push } => {
            if *push && !around.has_vlan && !is_10(out) {
                modify::push_vlan(out, 0x8100)?;
            }
            modify::set_vlan_pcp(out, *pcp)
        }
        // In OpenFlow 1.0 tags are pushed by setting their VLAN.
        Action::PushVlan(_) if is_10(out) => Ok(()),
        Action::PushVlan(ethertype) => modify::push_vlan(out, *ethertype),
        Action::PopVlan | Action::StripVlan => modify::pop_vlan(out),
        Action::PushMpls(ethertype) => since11(out, (nx::PUSH_MPLS, 0), number::PUSH_MPLS, |o| {
            o.u16(*ethertype)
        }),
        Action::PopMpls(ethertype) => since11(out, (nx::POP_MPLS, 0), number::POP_MPLS, |o| {
            o.u16(*ethertype)
        }),
        Action::DecMplsTtl => since11(out, (nx::DEC_MPLS_TTL, 0), number::DEC_MPLS_TTL, |_| {}),
        Action::DecTtl(None) => since11(out, (nx::DEC_TTL, 0), number::DEC_NW_TTL, |_| {}),
        Action::SetTunnel { id, wide } => modify::set_tunnel(out, *id, *wide),
        Action::SetQueue(queue) => since11(out, (nx::SET_QUEUE, 2), number::SET_QUEUE, |o| {
            o.u32(*queue)
        }),
        other => write_extension(out, other),
    }
}

/// Actions that only Nicira has, in all versions.
fn write_extension(out: &mut Writer<'_>, action: &Action) -> Result<(), EncodeError> {
    match action {
        Action::OutputTruncated {
            port,
            max_len_bytes,
        } => plain_nx(out, nx::OUTPUT_TRUNC, |out| {
            out.u16(port.0);
            out.u32(*max_len_bytes);
        }),
        Action::OutputField(from) => output_field(out, *from),
        Action::Move { from, to } => write_move(out, *from, *to),
        Action::Push(part) => stack(out, nx::STACK_PUSH, *part),
        Action::Pop(part) => stack(out, nx::STACK_POP, *part),
        Action::DecTtl(ids) => dec_ttl(out, ids.as_deref().unwrap_or(&[])),
        Action::PopQueue => plain_nx(out, nx::POP_QUEUE, |_| {}),
        Action::Resubmit { in_port, table, ct } => resubmit(out, *in_port, *table, *ct),
        Action::Learn(learn) => learn::write(out, learn),
        Action::Conjunction {
            id,
            clause,
            n_clauses,
        } => plain_nx(out, nx::CONJUNCTION, |out| {
            out.u8(clause.wrapping_sub(1));
            out.u8(*n_clauses);
            out.u32(*id);
        }),
        Action::Multipath(multipath) => choices::write_multipath(out, multipath),
        Action::Bundle(bundle) => choices::write_bundle(out, bundle),
        Action::Note(bytes) => plain_nx(out, nx::NOTE, |out| out.all(bytes)),
        Action::Exit => plain_nx(out, nx::EXIT, |_| {}),
        Action::FinTimeout {
            idle_timeout_s,
            hard_timeout_s,
        } => plain_nx(out, nx::FIN_TIMEOUT, |out| {
            out.u16(*idle_timeout_s);
            out.u16(*hard_timeout_s);
        }),
        Action::Sample(how) => sample(out, how),
        Action::Ct(how) => ct::write_ct(out, how),
        Action::CtClear => plain_nx(out, nx::CT_CLEAR, |_| {}),
        Action::Clone(actions) => nicira(out, nx::CLONE, |out| {
            out.zeros(6);
            write(out, actions)
        }),
        Action::CheckPktLarger { len_bytes, to } => nicira(out, nx::CHECK_PKT_LARGER, |out| {
            out.u16(*len_bytes);
            out.u16(to.start.into());
            write_operand(out, to.field, Choice::Older)
        }),
        Action::DeleteField(field) => nicira(out, nx::DELETE_FIELD, |out| {
            write_operand(out, *field, Choice::Older)?;
            out.zeros(10);
            Ok(())
        }),
        Action::DecNshTtl => plain_nx(out, nx::DEC_NSH_TTL, |_| {}),
        Action::DebugSlow => plain_nx(out, nx::DEBUG_SLOW, |_| {}),
        Action::DebugRecirc => plain_nx(out, nx::DEBUG_RECIRC, |_| {}),
        _ => Err(out.unsupported("such an action")),
    }
}

fn output(out: &mut Writer<'_>, port: OfPort, max_len: u16) -> Result<(), EncodeError> {
    let max_len = if port == OfPort::CONTROLLER {
        max_len
    } else {
        0
    };
    let old = is_10(out);
    plain(out, number::OUTPUT, |out| {
        match old {
            true => out.u16(port.0),
            false => out.port32(port),
        }
        out.u16(max_len);
    })
}

/// Later versions choose a queue, send, and return to the default.
fn enqueue(out: &mut Writer<'_>, port: OfPort, queue: u32) -> Result<(), EncodeError> {
    if is_10(out) {
        return plain(out, number::ENQUEUE_10, |out| {
            out.u16(port.0);
            out.zeros(6);
            out.u32(queue);
        });
    }
    plain(out, number::SET_QUEUE, |out| out.u32(queue))?;
    plain(out, number::OUTPUT, |out| {
        out.port32(port);
        out.u16(0xffff);
    })?;
    plain_nx(out, nx::POP_QUEUE, |_| {})
}

fn output_field(out: &mut Writer<'_>, from: Subfield) -> Result<(), EncodeError> {
    match has_short_code(from.field) {
        true => nicira(out, nx::OUTPUT_REG, |out| {
            out.u16(packed_bits(from));
            write_operand(out, from.field, Choice::Older)?;
            out.u16(0xffff);
            out.zeros(6);
            Ok(())
        }),
        false => nicira(out, nx::OUTPUT_REG2, |out| {
            out.u16(packed_bits(from));
            out.u16(0xffff);
            let start = out.place();
            write_operand(out, from.field, Choice::Older)?;
            let len = out.place() - start;
            out.zeros(10 - len);
            Ok(())
        }),
    }
}

fn write_move(out: &mut Writer<'_>, from: Subfield, to: Subfield) -> Result<(), EncodeError> {
    let body = |out: &mut Writer<'_>, pad: usize, choice: Choice| {
        out.u16(from.bits.into());
        out.u16(from.start.into());
        out.u16(to.start.into());
        out.zeros(pad);
        write_operand(out, from.field, choice)?;
        write_operand(out, to.field, choice)
    };
    match out.version {
        Version::OpenFlow15 => {
            standard(out, number::COPY_FIELD, |out| body(out, 2, Choice::Version))
        }
        _ => nicira(out, nx::REG_MOVE, |out| body(out, 0, Choice::Older)),
    }
}

/// Room for a field's code is 8 bytes, and 4 less for a number behind it.
fn stack(out: &mut Writer<'_>, subtype: u16, part: Subfield) -> Result<(), EncodeError> {
    nicira(out, subtype, |out| {
        out.u16(part.start.into());
        let start = out.place();
        write_operand(out, part.field, Choice::Older)?;
        out.u16(part.bits.into());
        let len = out.place() - start;
        out.zeros(12 - len);
        Ok(())
    })
}

fn dec_ttl(out: &mut Writer<'_>, ids: &[u16]) -> Result<(), EncodeError> {
    plain_nx(out, nx::DEC_TTL_CNT_IDS, |out| {
        out.u16(ids.len() as u16);
        out.zeros(4);
        ids.iter().for_each(|id| out.u16(*id));
    })
}

fn resubmit(
    out: &mut Writer<'_>,
    in_port: Option<OfPort>,
    table: Option<u8>,
    ct: bool,
) -> Result<(), EncodeError> {
    let in_port = in_port.unwrap_or(OfPort::IN_PORT);
    let subtype = match ct {
        true => nx::RESUBMIT_TABLE_CT,
        false => nx::RESUBMIT_TABLE,
    };
    plain_nx(out, subtype, |out| {
        out.u16(in_port.0);
        out.u8(table.unwrap_or(0xff));
    })
}

fn sample(out: &mut Writer<'_>, sample: &Sample) -> Result<(), EncodeError> {
    let subtype = match (sample.direction, sample.sampling_port) {
        (Some(_), _) => nx::SAMPLE3,
        (None, Some(_)) => nx::SAMPLE2,
        (None, None) => nx::SAMPLE,
    };
    plain_nx(out, subtype, |out| {
        out.u16(sample.probability);
        out.u32(sample.collector_set);
        out.u32(sample.obs_domain);
        out.u32(sample.obs_point);
        if subtype != nx::SAMPLE {
            out.u16(sample.sampling_port.unwrap_or(OfPort::ANY).0);
            out.u8(match sample.direction {
                None => 0,
                Some(SampleDirection::Ingress) => 1,
                Some(SampleDirection::Egress) => 2,
            });
        }
    })
}

/// Writes the instruction that a list of actions can have.
pub(in super::super) fn write_metadata(
    out: &mut Writer<'_>,
    value: u64,
    mask: u64,
) -> Result<(), EncodeError> {
    plain_nx(out, nx::WRITE_METADATA, |out| {
        out.zeros(6);
        out.u64(value);
        out.u64(mask);
    })
}
