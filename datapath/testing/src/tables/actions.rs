//! Random actions.

use aorta_flow::action::{
    Action, Bundle, BundleAlgorithm, Controller, HashFields, Learn, LearnSpec, Multipath,
    MultipathAlgorithm,
};
use aorta_flow::field::FieldId;
use aorta_flow::{OfPort, Subfield};

use super::matches::{METADATA, mask};
use super::{Kind, Profile};
use crate::packet::Packet;
use crate::{Case, Rng};

/// How often each kind is made.
const WEIGHTS: [(usize, Kind); 30] = [
    (30, Kind::Output),
    (3, Kind::InPort),
    (3, Kind::Flood),
    (2, Kind::Normal),
    (3, Kind::Controller),
    (3, Kind::OutputField),
    (2, Kind::Truncated),
    (2, Kind::Queue),
    (12, Kind::SetMetadata),
    (14, Kind::SetHeader),
    (8, Kind::Move),
    (5, Kind::Modify),
    (8, Kind::Vlan),
    (5, Kind::Mpls),
    (4, Kind::Ttl),
    (16, Kind::Resubmit),
    (2, Kind::Loop),
    (6, Kind::Clone),
    (5, Kind::Stack),
    (4, Kind::Group),
    (3, Kind::Select),
    (2, Kind::Failover),
    (3, Kind::Meter),
    (2, Kind::Multipath),
    (2, Kind::Bundle),
    (4, Kind::Learn),
    (2, Kind::Exit),
    (1, Kind::Note),
    (2, Kind::CheckLength),
    (0, Kind::Goto),
];

const HASHES: [HashFields; 4] = [
    HashFields::EthSrc,
    HashFields::SymmetricL4,
    HashFields::SymmetricL3,
    HashFields::NwDst,
];

/// Makes the actions of one flow or bucket.
pub(super) struct Maker<'a> {
    pub profile: &'a Profile,
    /// Table of the flow.
    pub table: u8,
    /// How many tables there are.
    pub used: u8,
    /// A packet that the flow is for.
    pub anchor: &'a Packet,
    /// For groups and meters.
    pub case: &'a Case,
    pub rng: &'a mut Rng,
}

impl Maker<'_> {
    /// So many actions at most, with clones inside of each other so deep.
    pub fn list(&mut self, most: usize, nest: usize) -> Vec<Action> {
        let kinds: Vec<(usize, Kind)> = WEIGHTS
            .into_iter()
            .filter(|(_, kind)| self.profile.has(*kind))
            .collect();
        let n = self.rng.below(most + 1);
        let mut actions = Vec::new();
        for _ in 0..n {
            let kind = *self.rng.weighted(&kinds);
            let action = self.action(kind, nest);
            let pushes = matches!(action, Some(Action::PushMpls(_)));
            actions.extend(action);
            if pushes && self.profile.whole_labels && self.rng.chance(80) {
                actions.extend(self.whole_label());
            }
        }
        actions
    }

    /// Sets all that a label says.
    fn whole_label(&mut self) -> [Action; 3] {
        let values = [
            (FieldId::MPLS_LABEL, 16 + self.rng.bits(10)),
            (FieldId::MPLS_TC, self.rng.bits(3)),
            (FieldId::MPLS_TTL, 1 + self.rng.bits(6)),
        ];
        values.map(|(field, value)| Action::SetField {
            field,
            value,
            mask: field.field().wire_mask(),
        })
    }

    pub fn port(&mut self) -> OfPort {
        match self.rng.chance(4) {
            // A port that isn't there.
            true => OfPort(99),
            false => OfPort(self.rng.between(1, self.profile.ports.into()) as u16),
        }
    }

    /// A table behind the flow's own.
    pub fn later_table(&mut self) -> Option<u8> {
        let next = self.table + 1;
        (next < self.used).then(|| self.rng.between(next.into(), (self.used - 1).into()) as u8)
    }

    fn action(&mut self, kind: Kind, nest: usize) -> Option<Action> {
        Some(match kind {
            Kind::Output => Action::Output(self.port()),
            Kind::InPort => Action::Output(*self.rng.pick(&[OfPort::IN_PORT, OfPort::LOCAL])),
            Kind::Flood => Action::Output(*self.rng.pick(&[OfPort::FLOOD, OfPort::ALL])),
            Kind::Normal => Action::Output(OfPort::NORMAL),
            Kind::Controller => self.controller(),
            Kind::OutputField => Action::OutputField(self.low_bits(16)),
            Kind::Truncated => Action::OutputTruncated {
                port: self.port(),
                max_len_bytes: *self.rng.pick(&[14, 15, 34, 60, 64, 1000]),
            },
            Kind::Queue => self.queue(),
            Kind::SetMetadata => {
                let field = *self.rng.pick(&METADATA);
                let value = *self.rng.pick(&[0, 1, 1, 2, 0xff, u128::MAX]);
                self.set(field, value)
            }
            Kind::SetHeader => self.set_header(),
            Kind::Move => self.copy()?,
            Kind::Modify => self.modify(),
            Kind::Vlan => self.vlan(),
            Kind::Mpls => self.mpls(),
            Kind::Ttl => self.ttl(),
            Kind::Resubmit => {
                let table = self.later_table()?;
                self.resubmit(table)
            }
            Kind::Loop => {
                let table = self.rng.below(usize::from(self.table) + 1) as u8;
                self.resubmit(table)
            }
            Kind::Clone if nest > 0 => Action::Clone(self.list(3, nest - 1)),
            Kind::Stack => self.stack(),
            Kind::Group | Kind::Select | Kind::Failover if !self.case.groups.is_empty() => {
                Action::Group(self.rng.pick(&self.case.groups).id)
            }
            Kind::Meter if !self.case.meters.is_empty() => Action::Meter(1),
            Kind::Multipath => self.multipath(),
            Kind::Bundle => self.bundle(),
            Kind::Learn => self.learn()?,
            Kind::Exit => Action::Exit,
            Kind::Note => Action::Note(vec![1, 2, 3, 4, 5, 6]),
            Kind::CheckLength => Action::CheckPktLarger {
                len_bytes: *self.rng.pick(&[14, 60, 64, 100, 1500]),
                to: self.low_bits(1),
            },
            _ => return None,
        })
    }

    fn controller(&mut self) -> Action {
        match self.rng.chance(50) {
            true => Action::Output(OfPort::CONTROLLER),
            false => Action::Controller(Box::new(Controller {
                max_len_bytes: *self.rng.pick(&[0, 20, 128, u16::MAX]),
                id: self.rng.below(3) as u16,
                ..Controller::default()
            })),
        }
    }

    fn queue(&mut self) -> Action {
        let queue = self.rng.below(4) as u32;
        let port = self.port();
        match self.rng.below(3) {
            0 => Action::SetQueue(queue),
            1 => Action::PopQueue,
            _ => Action::Enqueue { port, queue },
        }
    }

    /// So many low bits of a register.
    fn low_bits(&mut self, bits: u8) -> Subfield {
        Subfield {
            field: FieldId::reg(*self.rng.pick(&[0, 1, 7, 15])),
            start: 0,
            bits,
        }
    }

    /// A writable field of the flow's packet, and a value of another packet's.
    fn header(&mut self) -> (FieldId, u128) {
        let fields = self.anchor.fields();
        let writable: Vec<FieldId> = fields
            .iter()
            .map(|(id, _)| *id)
            .filter(|id| id.field().writable && id.field().code().is_some())
            .collect();
        let field = match writable.is_empty() {
            true => FieldId::ETH_DST,
            false => *self.rng.pick(&writable),
        };
        let other = Packet::random(self.rng).fields();
        let value = other.into_iter().find(|(id, _)| *id == field);
        let value = value.map_or_else(|| self.rng.bits(field.field().bits), |(_, value)| value);
        (field, value)
    }

    fn set_header(&mut self) -> Action {
        let (field, value) = self.header();
        self.set(field, value)
    }

    fn set(&mut self, field: FieldId, value: u128) -> Action {
        let row = field.field();
        if self.rng.chance(30) {
            let to = self.part(field);
            let bits = to.bits.min(64);
            let to = Subfield { bits, ..to };
            let value = (value & aorta_flow::field::ones(bits)) as u64;
            return Action::Load { to, value };
        }
        let partial = row.maskable && self.rng.chance(40);
        let mask = match partial {
            true => mask(row.bits, self.rng),
            false => row.wire_mask(),
        };
        let full = aorta_flow::field::ones(row.bits);
        Action::SetField {
            field,
            value: value & mask & full,
            mask,
        }
    }

    /// A field, or some bits of it.
    fn part(&mut self, field: FieldId) -> Subfield {
        let bits = field.field().bits;
        if self.rng.chance(50) {
            return Subfield::whole(field);
        }
        let start = self.rng.below(bits.into()) as u8;
        let bits = self.rng.between(1, (bits - start).into()) as u8;
        Subfield { field, start, bits }
    }

    fn copy(&mut self) -> Option<Action> {
        let any = |maker: &mut Self| match maker.rng.chance(50) {
            true => *maker.rng.pick(&METADATA),
            false => maker.header().0,
        };
        let (from, to) = (any(self), any(self));
        let from = self.part(from);
        let most = to.field().bits;
        let bits = from.bits.min(most);
        let start = self.rng.below(usize::from(most - bits) + 1) as u8;
        let from = Subfield { bits, ..from };
        let to = Subfield {
            field: to,
            start,
            bits,
        };
        (from.field.field().code().is_some()).then_some(Action::Move { from, to })
    }

    fn modify(&mut self) -> Action {
        let other = Packet::random(self.rng).fields();
        let of = |field: FieldId| {
            let found = other.iter().find(|(id, _)| *id == field);
            found.map_or(4, |(_, value)| *value)
        };
        let field = *self.rng.pick(&[
            FieldId::ETH_SRC,
            FieldId::ETH_DST,
            FieldId::IP_SRC,
            FieldId::IP_DST,
            FieldId::NW_TOS,
            FieldId::TCP_SRC,
            FieldId::TCP_DST,
        ]);
        let value = of(field);
        Action::Modify { field, value }
    }

    fn vlan(&mut self) -> Action {
        let vid = *self.rng.pick(&[0, 5, 6, 4095]);
        let pcp = self.rng.below(8) as u8;
        let push = self.rng.chance(70);
        match self.rng.below(6) {
            0 => Action::SetVlanVid { vid, push },
            1 => Action::SetVlanPcp { pcp, push },
            2 => Action::PushVlan(*self.rng.pick(&[0x8100, 0x8100, 0x88a8])),
            3 => Action::PopVlan,
            4 => Action::StripVlan,
            _ => Action::SetField {
                field: FieldId::VLAN_VID,
                value: u128::from(vid) | 0x1000,
                mask: FieldId::VLAN_VID.field().wire_mask(),
            },
        }
    }

    fn mpls(&mut self) -> Action {
        let set = |field: FieldId, value| Action::SetField {
            field,
            value,
            mask: field.field().wire_mask(),
        };
        match self.rng.below(6) {
            0 | 1 => Action::PushMpls(*self.rng.pick(&[0x8847, 0x8848])),
            2 => Action::PopMpls(*self.rng.pick(&[0x0800, 0x0800, 0x86dd, 0x8847, 0x1234])),
            3 => Action::DecMplsTtl,
            4 => set(FieldId::MPLS_LABEL, self.rng.bits(20)),
            _ => set(FieldId::MPLS_TC, self.rng.bits(3)),
        }
    }

    fn ttl(&mut self) -> Action {
        match self.rng.below(3) {
            0 => Action::DecTtl(Some(vec![self.rng.below(3) as u16, 7])),
            _ => Action::DecTtl(None),
        }
    }

    fn resubmit(&mut self, table: u8) -> Action {
        let port = self.port();
        Action::Resubmit {
            in_port: self.rng.chance(15).then_some(port),
            table: Some(table),
            ct: false,
        }
    }

    fn stack(&mut self) -> Action {
        let field = match self.rng.chance(70) {
            true => *self.rng.pick(&METADATA),
            false => self.header().0,
        };
        let part = self.part(field);
        match self.rng.chance(50) {
            true => Action::Push(part),
            false => Action::Pop(part),
        }
    }

    fn multipath(&mut self) -> Action {
        Action::Multipath(Box::new(Multipath {
            fields: *self.rng.pick(&HASHES),
            basis: self.rng.below(3) as u16,
            algorithm: *self.rng.pick(&[
                MultipathAlgorithm::ModuloN,
                MultipathAlgorithm::HashThreshold,
                MultipathAlgorithm::Hrw,
                MultipathAlgorithm::IterHash,
            ]),
            n_links: *self.rng.pick(&[1, 2, 3, 16]),
            argument: 0,
            to: self.low_bits(4),
        }))
    }

    fn bundle(&mut self) -> Action {
        let algorithm = match self.rng.chance(50) {
            true => BundleAlgorithm::ActiveBackup,
            false => BundleAlgorithm::Hrw,
        };
        let to = self.low_bits(16);
        Action::Bundle(Box::new(Bundle {
            fields: *self.rng.pick(&HASHES),
            basis: self.rng.below(3) as u16,
            algorithm,
            to: self.rng.chance(50).then_some(to),
            members: (0..self.rng.below(4)).map(|_| self.port()).collect(),
        }))
    }

    fn learn(&mut self) -> Option<Action> {
        let table = self.later_table()?;
        let whole = Subfield::whole;
        let result = self.low_bits(1);
        Some(Action::Learn(Box::new(Learn {
            table,
            result: self.rng.chance(30).then_some(result),
            specs: vec![
                LearnSpec::MatchField {
                    to: whole(FieldId::ETH_DST),
                    from: whole(FieldId::ETH_SRC),
                },
                LearnSpec::Output(whole(FieldId::IN_PORT)),
            ],
            ..Learn::default()
        })))
    }
}
