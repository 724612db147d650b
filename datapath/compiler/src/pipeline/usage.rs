//! Which fields a bridge's tables and actions read and write.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use aorta_flow::Subfield;
use aorta_flow::field::{FieldId, Prereq};
use aorta_flow::{Band, BandKind, GroupKind, Meter};

use super::choice;
use super::codegen::other;
use super::extras::GroupPlan;
use super::record::MatchWord;
use super::shape::{Shape, Step, When};

/// Fields that are read and written: the ones with storage of their own.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Usage {
    /// Read by lookups and actions.
    pub reads: BTreeSet<FieldId>,
    /// Written by actions.
    pub writes: BTreeSet<FieldId>,
    /// Whether there is anything that pushes or pops values.
    pub stack: bool,
}

impl Usage {
    /// Adds what a lookup reads.
    pub fn add_match(&mut self, fields: impl IntoIterator<Item = FieldId>) {
        self.reads.extend(fields);
    }

    /// Adds what a shape reads and writes.
    pub fn add_shape(&mut self, shape: &Shape) {
        if !shape.metadata.is_empty() {
            self.write(FieldId::METADATA, When::Always);
        }
        for step in shape.all_steps() {
            self.add_step(step);
        }
    }

    /// Adds what steps read and write, those within them included.
    pub fn add_steps(&mut self, steps: &[Step]) {
        for step in steps.iter().flat_map(Step::with_inner) {
            self.add_step(step);
        }
    }

    /// Adds what a group's choice depends on.
    pub fn add_hash(&mut self, group: &GroupPlan) {
        if group.kind == GroupKind::Select {
            self.reads.extend(choice::fields(&group.hash.0));
        }
    }

    /// Adds what a meter may change.
    pub fn add_meter(&mut self, meter: &Meter) {
        let remarks = |band: &Band| matches!(band.kind, BandKind::DscpRemark(_));
        if meter.bands.iter().any(remarks) {
            self.write(FieldId::IP_DSCP, When::Prerequisite);
        }
    }

    fn add_step(&mut self, step: &Step) {
        match step {
            Step::Set { field, when, .. } => self.write(*field, *when),
            Step::Move { from, to } => {
                self.read(*from);
                self.reads.extend(prereq_reads(from.field.field().prereq));
                self.write(to.field, When::Prerequisite);
            }
            Step::Clear(field) => self.write(*field, When::Always),
            Step::Push(from) => {
                self.stack = true;
                self.read(*from);
            }
            Step::Pop(to) => {
                self.stack = true;
                self.write(to.field, When::Prerequisite);
            }
            Step::CheckLarger(_, to) => self.write(to.field, When::Always),
            Step::OutputField(from) => self.read(*from),
            Step::SetTag(_) => {
                self.reads.insert(FieldId::VLAN_TCI);
                self.writes.insert(FieldId::VLAN_TCI);
            }
            Step::Other(whole) => {
                self.reads.extend(other::reads(&whole.0));
                for field in other::writes(&whole.0) {
                    self.reads.insert(field.field().home);
                    self.write(field, When::Prerequisite);
                }
            }
            _ => {}
        }
    }

    fn read(&mut self, part: Subfield) {
        self.reads.insert(part.field.field().home);
    }

    fn write(&mut self, field: FieldId, when: When) {
        self.writes.insert(field.field().home);
        match when {
            When::Always => {}
            When::Prerequisite => self.reads.extend(prereq_reads(field.field().prereq)),
            When::AnyPorts => self.reads.extend(prereq_reads(Prereq::Tcp)),
        }
    }

    /// Whether all fields of a match's words are read.
    pub fn reads_all(&self, words: &[MatchWord]) -> bool {
        let mut fields = words.iter().filter_map(field_of);
        fields.all(|field| self.reads.contains(&field))
    }

    /// Both.
    pub fn all(&self) -> BTreeSet<FieldId> {
        self.reads.union(&self.writes).copied().collect()
    }
}

/// The fields that tell whether a prerequisite is met.
pub fn prereq_reads(prereq: Prereq) -> Vec<FieldId> {
    let mut reads = match prereq {
        Prereq::None | Prereq::Ethernet => return Vec::new(),
        Prereq::Vlan => return vec![FieldId::VLAN_TCI],
        _ => vec![FieldId::ETH_TYPE],
    };
    match prereq {
        Prereq::Tcp | Prereq::Udp | Prereq::Sctp | Prereq::Icmpv4 | Prereq::Icmpv6 => {
            reads.push(FieldId::NW_PROTO);
        }
        Prereq::Nd | Prereq::NdSolicit | Prereq::NdAdvert => {
            reads.extend([FieldId::NW_PROTO, FieldId::TCP_SRC, FieldId::TCP_DST]);
        }
        Prereq::Ct | Prereq::CtIpv4 | Prereq::CtIpv6 => reads.push(FieldId::CT_STATE),
        _ => {}
    }
    reads
}

/// Where each field with storage of its own begins, by place.
static PLACES: LazyLock<Vec<(i16, FieldId)>> = LazyLock::new(|| {
    let homes = FieldId::all().filter(|id| id.field().home == *id);
    let mut places: Vec<(i16, FieldId)> = homes
        .filter_map(|id| Some((super::layout::place(id)?, id)))
        .collect();
    places.sort();
    places
});

/// The field that a word is of.
fn field_of(word: &MatchWord) -> Option<FieldId> {
    let at = PLACES.partition_point(|(place, _)| *place <= word.at);
    let place = at.checked_sub(1).and_then(|at| PLACES.get(at));
    place.map(|(_, field)| *field)
}

/// The fields of a match's words.
pub fn fields_of(words: &[MatchWord]) -> BTreeSet<FieldId> {
    words.iter().filter_map(field_of).collect()
}
