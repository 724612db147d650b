//! Random tables, and the frames that go with them.

mod actions;
mod conjunctions;
mod groups;
mod matches;

use std::sync::Arc;

use aorta_flow::action::{Action, Instructions};
use aorta_flow::table::Tables;
use aorta_flow::text::{NoNames, parse_flow_line};
use aorta_flow::{Flow, OfPort};

use crate::case::add;
use crate::packet::{Packet, damaged};
use crate::{Case, Frame, Offload, Rng};
use actions::Maker;

/// A thing that flows can do. What isn't wanted can be left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// To one port by its number.
    Output,
    /// `IN_PORT`, `LOCAL`.
    InPort,
    /// `FLOOD`, `ALL`.
    Flood,
    /// `NORMAL`.
    Normal,
    /// `CONTROLLER` and `controller`.
    Controller,
    /// To the port whose number is in a field.
    OutputField,
    /// To a port, cut.
    Truncated,
    /// By a queue.
    Queue,
    /// Change of a register or another field that no packet carries.
    SetMetadata,
    /// Change of a header field.
    SetHeader,
    /// Copy of bits.
    Move,
    /// Change by one of the older names.
    Modify,
    /// VLAN tags added, changed and removed.
    Vlan,
    /// MPLS labels added, changed and removed.
    Mpls,
    /// Time to live.
    Ttl,
    /// To another table and back.
    Resubmit,
    /// To the same or an earlier table and back.
    Loop,
    /// To a later table at the end.
    Goto,
    /// Action sets.
    ActionSet,
    /// `write_metadata`.
    WriteMetadata,
    /// With a copy.
    Clone,
    /// `push` and `pop`.
    Stack,
    /// Groups that do all their buckets, or the only one.
    Group,
    /// Groups that choose by a hash.
    Select,
    /// Groups that choose by liveness.
    Failover,
    /// Meters.
    Meter,
    /// Conjunctions.
    Conjunction,
    /// A link by a hash.
    Multipath,
    /// A port by a hash or by liveness.
    Bundle,
    /// Flows that are made of packets.
    Learn,
    /// The end.
    Exit,
    /// Nothing.
    Note,
    /// Whether the packet is long.
    CheckLength,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 33] = [
        Kind::Output,
        Kind::InPort,
        Kind::Flood,
        Kind::Normal,
        Kind::Controller,
        Kind::OutputField,
        Kind::Truncated,
        Kind::Queue,
        Kind::SetMetadata,
        Kind::SetHeader,
        Kind::Move,
        Kind::Modify,
        Kind::Vlan,
        Kind::Mpls,
        Kind::Ttl,
        Kind::Resubmit,
        Kind::Loop,
        Kind::Goto,
        Kind::ActionSet,
        Kind::WriteMetadata,
        Kind::Clone,
        Kind::Stack,
        Kind::Group,
        Kind::Select,
        Kind::Failover,
        Kind::Meter,
        Kind::Conjunction,
        Kind::Multipath,
        Kind::Bundle,
        Kind::Learn,
        Kind::Exit,
        Kind::Note,
        Kind::CheckLength,
    ];

    /// What network cards can do.
    pub const OF_CARDS: [Kind; 13] = [
        Kind::Output,
        Kind::InPort,
        Kind::SetHeader,
        Kind::Modify,
        Kind::Vlan,
        Kind::Mpls,
        Kind::Ttl,
        Kind::Meter,
        Kind::Goto,
        Kind::ActionSet,
        Kind::Group,
        Kind::Exit,
        Kind::Note,
    ];

    /// All but so many of them, drawn at random: tables that do few things do these in more ways
    /// than tables that do everything.
    pub fn all_but(few: usize, rng: &mut Rng) -> Vec<Kind> {
        let mut all = Kind::ALL.to_vec();
        for _ in 0..few.min(all.len()) {
            all.swap_remove(rng.below(all.len()));
        }
        all
    }
}

/// What random tables are like.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Tables at most.
    pub tables: u8,
    /// Flows at most, groups and conjunctions not counted.
    pub flows: usize,
    /// Frames.
    pub frames: usize,
    /// How many ports there are: numbers from 1.
    pub ports: u16,
    /// What flows don't do.
    pub without: Vec<Kind>,
    /// Of a hundred frames, how many are damaged.
    pub damaged_percent: usize,
    /// Bytes of the shortest frame.
    pub least_bytes: usize,
    /// Whether most of the MPLS labels that are added are given number, class and time to live.
    pub whole_labels: bool,
}

impl Default for Profile {
    fn default() -> Self {
        Profile {
            tables: 6,
            flows: 40,
            frames: 30,
            ports: 6,
            without: Vec::new(),
            damaged_percent: 15,
            least_bytes: 14,
            whole_labels: false,
        }
    }
}

impl Profile {
    /// Flows that do what network cards can do.
    pub fn of_cards() -> Profile {
        let others = Kind::ALL.into_iter();
        let others = others.filter(|kind| !Kind::OF_CARDS.contains(kind));
        Profile {
            without: others.collect(),
            whole_labels: true,
            ..Profile::default()
        }
    }

    /// Whether flows may do this.
    pub fn has(&self, kind: Kind) -> bool {
        !self.without.contains(&kind)
    }
}

/// Random tables and frames that go with them. The tables are valid.
pub fn random_case(profile: &Profile, rng: &mut Rng) -> Case {
    let anchors: Vec<Packet> = (0..rng.between(2, 6))
        .map(|_| Packet::random(rng))
        .collect();
    let mut case = Case::default();
    groups::make(&mut case, profile, &anchors, rng);
    // Groups and meters were just made to be accepted; without them, flows that need them are
    // refused and left out.
    let mut tables = case.tables().unwrap_or_default();
    let used = rng.between(1, profile.tables.max(1).into()) as u8;
    for _ in 0..rng.between(1, profile.flows.max(1)) {
        let anchor = rng.pick(&anchors).clone();
        let flow = random_flow(profile, used, &anchor, &case, rng);
        accept(flow, &mut tables, &mut case, rng);
    }
    if profile.has(Kind::Conjunction) && rng.chance(30) {
        for flow in conjunctions::make(profile, used, &anchors, rng) {
            accept(flow, &mut tables, &mut case, rng);
        }
    }
    case.frames = (0..profile.frames)
        .map(|_| random_frame(profile, &anchors, &case.flows, rng))
        .collect();
    case
}

/// Adds a flow, without the actions that don't fit its match.
fn accept(mut flow: Flow, tables: &mut Tables, case: &mut Case, rng: &mut Rng) {
    loop {
        if tables.modify(&add(&flow)).is_ok() {
            // As it would be read from a file, so that it can be kept as one.
            let read = parse_flow_line(&flow.to_string(), &NoNames);
            case.flows
                .push(read.map_or(flow, |(_, text)| text.into_flow()));
            return;
        }
        let instructions = Arc::make_mut(&mut flow.instructions);
        let n = instructions.apply.len() + instructions.write_actions.len();
        if n == 0 {
            return;
        }
        let at = rng.below(n);
        match at.checked_sub(instructions.apply.len()) {
            None => drop(instructions.apply.remove(at)),
            Some(at) => drop(instructions.write_actions.remove(at)),
        }
    }
}

fn random_flow(profile: &Profile, used: u8, anchor: &Packet, case: &Case, rng: &mut Rng) -> Flow {
    let table = rng.below(used.into()) as u8;
    let ports = profile.ports;
    let matching = match rng.chance(8) {
        true => aorta_flow::Match::any(),
        false => matches::random(anchor, ports, rng),
    };
    let mut maker = Maker {
        profile,
        table,
        used,
        anchor,
        case,
        rng,
    };
    let instructions = instructions(&mut maker);
    Flow {
        table,
        // Few, so that some are equal.
        priority: *rng.pick(&[1, 5, 10, 10, 10, 100, 0x8000, 0xffff, 0]),
        cookie: rng.below(3) as u64,
        matching,
        instructions: instructions.into(),
        ..Flow::default()
    }
}

fn instructions(maker: &mut Maker<'_>) -> Instructions {
    let mut instructions = Instructions::apply(maker.list(5, 2));
    let later = maker.later_table();
    if maker.profile.has(Kind::Goto) && maker.rng.chance(25) {
        instructions.goto_table = later;
    }
    if maker.profile.has(Kind::ActionSet) && maker.rng.chance(15) {
        instructions.write_actions = maker.list(3, 0);
        instructions.clear_actions = maker.rng.chance(20);
    }
    if maker.profile.has(Kind::WriteMetadata) && maker.rng.chance(8) {
        let mask = *maker.rng.pick(&[1, 0xf, u64::MAX]);
        instructions.write_metadata = Some((maker.rng.below(4) as u64 & mask, mask));
    }
    instructions
}

/// A frame that some flow may be for, or another one.
fn random_frame(profile: &Profile, anchors: &[Packet], flows: &[Flow], rng: &mut Rng) -> Frame {
    let mut packet = match rng.chance(10) {
        true => Packet::random(rng),
        false => rng.pick(anchors).clone(),
    };
    let mut in_port = OfPort(rng.between(1, profile.ports.into()) as u16);
    if !flows.is_empty() && rng.chance(60) {
        let matching = &rng.pick(flows).matching;
        packet = packet.bent_to(matching, rng);
        if let Some(port) = matching.exact(aorta_flow::field::FieldId::IN_PORT)
            && (1..=u128::from(profile.ports)).contains(&port)
        {
            in_port = OfPort(port as u16);
        }
    }
    let mut bytes = packet.bytes();
    if rng.chance(profile.damaged_percent) {
        bytes = damaged(&bytes, profile.least_bytes, rng);
    }
    bytes.resize(bytes.len().max(profile.least_bytes), 0);
    let offload = *rng.weighted(&[
        (90, Offload::None),
        (7, Offload::Checksum),
        (3, Offload::Segments(4)),
    ]);
    Frame {
        in_port,
        offload,
        bytes,
    }
}

/// The actions of a flow and those inside of them that a predicate is true of.
pub fn counts(case: &Case, of: impl Fn(&Action) -> bool) -> usize {
    let all = case
        .flows
        .iter()
        .flat_map(|flow| flow.instructions.all_actions());
    all.filter(|action| of(action)).count()
}

#[cfg(test)]
mod tests;
