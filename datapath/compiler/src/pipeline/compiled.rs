//! The compiled form of one bridge's tables, and how it follows their changes.

use std::collections::BTreeSet;

use aorta_ebpf::{MapId, Program};
use aorta_flow::BridgeName;
use aorta_flow::action::Action;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_flow::translate::Packet;

use super::change;
use super::codegen::straight::{PortEntry, PortForm};
use super::codegen::{self, generate};
use super::follow::Follow;
use super::maps::table_memory;
use super::memory::Memory;
use super::meters::Places;
use super::plan::Plan;
use super::record::RuleId;
use super::shapes::Shapes;
use super::template::{Fit, Kill};
use super::upcall::{self, Copy, Waiting};
use super::{PipelineError, Refusal, Report};
use crate::{FlowEntryFacts, Origin, XdpEntryFacts};

/// Where a program hangs, which decides how it reaches the frame.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Hook {
    /// tcx ingress: `struct __sk_buff`.
    Tc,
    /// XDP: `struct xdp_md`.
    Xdp,
}

/// What a pipeline depends on besides the tables.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PipelineConfig {
    /// Name of the bridge, for errors.
    pub bridge: BridgeName,
    /// Slot of the bridge.
    pub bridge_slot: u32,
    /// Where its program hangs.
    pub hook: Hook,
    /// Version of the tables that it starts with: what its version cell holds before the program
    /// is put in place.
    pub version: u32,
    /// Random number, by which hashes of tables differ from switch to switch.
    pub seed: u64,
    /// How many rules can be counted: those with higher numbers aren't. At most what
    /// [`FLOW_STATS`](super::maps::FLOW_STATS) was made for.
    pub counted_rules: u32,
}

/// Memory that a table of the pipeline needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableMemory {
    /// The table.
    pub table: u8,
    /// How the program names it.
    pub map: MapId,
    /// Bytes.
    pub bytes: u32,
    /// It is the memory that the pipeline had which this one was [rebuilt](Pipeline::rebuild) from,
    /// and holds its rules already.
    pub kept: bool,
}

/// Gives a table's memory.
pub trait Memories {
    /// The memory of `table`; `None` if there is none.
    fn memory(&mut self, table: u8) -> Option<&mut dyn Memory>;
}

impl<M: Memory> Memories for std::collections::BTreeMap<u8, M> {
    fn memory(&mut self, table: u8) -> Option<&mut dyn Memory> {
        self.get_mut(&table).map(|memory| memory as &mut dyn Memory)
    }
}

/// Records that no packet finds once the version that replaced them holds. Their places may be
/// used again when no packet of an earlier version is on its way any more.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Retired {
    /// One for each rule.
    pub records: Vec<RetiredRule>,
}

/// A rule that no packet finds any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RetiredRule {
    /// Its table.
    pub table: u8,
    /// Version for which the memory was planned that it is in.
    pub since: u32,
    /// Its records.
    pub kill: Kill,
}

/// What a change of the tables asks of the kernel.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The memories hold it: it is valid as soon as the version cell says so.
    InPlace {
        /// For [`Pipeline::reclaim`], after a grace period that begins when the version holds.
        retired: Retired,
    },
    /// It needs another program. The memories may hold records of the version that was to be, which
    /// no packet finds as long as the old version holds: build anew.
    Rebuild {
        /// Why, for people.
        why: String,
    },
}

/// A bridge's tables as a program and memories.
#[derive(Clone, Debug)]
pub struct Pipeline {
    plan: Plan,
    /// Tables whose memories are those of an earlier pipeline.
    kept: BTreeSet<u8>,
    /// What the changes retired that led to it from an earlier one.
    retired: Retired,
}

impl Pipeline {
    /// Compiles tables. `rule_of` tells the number of the counters of each flow, and of what
    /// [`counted`](super::counted) says of groups.
    ///
    /// # Errors
    /// When flows ask for what programs can't do.
    pub fn build(
        tables: &Tables,
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
        config: &PipelineConfig,
    ) -> Result<Pipeline, PipelineError> {
        let plan = Plan::new(tables, rule_of, config, Shapes::default())?;
        Ok(Pipeline {
            plan,
            kept: BTreeSet::new(),
            retired: Retired::default(),
        })
    }

    /// As [`Pipeline::build`], made for no tables in particular: all fields of headers are parsed, and
    /// every table is searched by tuples. It means the same, and is there to be compared with.
    ///
    /// # Errors
    /// As [`Pipeline::build`].
    pub fn build_generic(
        tables: &Tables,
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
        config: &PipelineConfig,
    ) -> Result<Pipeline, PipelineError> {
        let plan = Plan::generic(tables, rule_of, config)?;
        Ok(Pipeline {
            plan,
            kept: BTreeSet::new(),
            retired: Retired::default(),
        })
    }

    /// Compiles tables that differ by `changes` from those that this pipeline holds. Tables in memory
    /// keep their memories, which both pipelines use until one of them goes: only the later of the
    /// two may be changed from then on. What changes in them is written into them for the version of
    /// `config`, where it fits.
    ///
    /// # Errors
    /// As [`Pipeline::build`]. The memories may then hold what must never become valid: this
    /// pipeline goes on for packets, but is not to be changed nor rebuilt any more.
    pub fn rebuild(
        &self,
        tables: &Tables,
        changes: &[Change],
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
        config: &PipelineConfig,
        memories: &mut dyn Memories,
    ) -> Result<Pipeline, PipelineError> {
        let mut follow = Follow::new(&self.plan, changes, rule_of, config)?;
        let there = self.plan.tables.iter();
        let keeps = there.filter(|(number, table)| {
            let filled = table.image.is_some() && table.rules.is_empty();
            filled && tables.table(**number).is_some()
        });
        for (number, table) in keeps {
            follow.table(*number, table, memories);
        }
        let (kept, shapes, retired) = follow.done();
        let numbers: BTreeSet<u8> = kept.keys().copied().collect();
        let there = self.plan.tables.iter().filter(|(_, t)| t.image.is_some());
        let outgrown = there.map(|(number, _)| *number);
        let outgrown = outgrown
            .filter(|number| !numbers.contains(number))
            .collect();
        let plan = Plan::renew((kept, outgrown), shapes, tables, rule_of, config)?;
        let reachable = &plan.limits.reachable;
        Ok(Pipeline {
            kept: numbers.intersection(reachable).copied().collect(),
            plan,
            retired,
        })
    }

    /// What [`Pipeline::rebuild`] retired: for [`Pipeline::reclaim`], after a grace period that
    /// begins when the program is in its place. Empty when it is asked again.
    pub fn take_retired(&mut self) -> Retired {
        std::mem::take(&mut self.retired)
    }

    /// What it was built with.
    pub fn config(&self) -> &PipelineConfig {
        &self.plan.config
    }

    /// Programs that are made from now on count so many rules, see [`PipelineConfig::counted_rules`].
    pub fn set_counted_rules(&mut self, rules: u32) {
        self.plan.config.counted_rules = rules;
    }

    /// The memories that its tables need.
    pub fn memories(&self) -> Vec<TableMemory> {
        let images = self.plan.tables.iter().filter_map(|(number, table)| {
            let image = table.image.as_ref()?;
            Some(TableMemory {
                table: *number,
                map: table_memory(*number),
                bytes: image.memory_bytes(),
                kept: self.kept.contains(number),
            })
        });
        images.collect()
    }

    /// Writes all rules of a table into its memory, which is new and zero. To be called once for
    /// each of [`Pipeline::memories`] that isn't kept.
    ///
    /// # Errors
    /// When the table has no memory, or its rules don't fit into what a table can have.
    pub fn fill(&mut self, table: u8, memory: &mut dyn Memory) -> Result<(), PipelineError> {
        let config = &self.plan.config;
        let kept = self.kept.contains(&table);
        let planned = self.plan.tables.get_mut(&table).filter(|_| !kept);
        let Some((image, rules)) =
            planned.and_then(|planned| Some((planned.image.as_mut()?, &mut planned.rules)))
        else {
            return Err(PipelineError::NoMemory {
                bridge: config.bridge.clone(),
                table,
            });
        };
        // The image knows from here on what it has.
        let rules = std::mem::take(rules);
        match image.fill(&rules, config.version, memory) {
            Fit::InPlace => Ok(()),
            Fit::Rebuild(why) => Err(PipelineError::Tables {
                bridge: config.bridge.clone(),
                refusal: Refusal::TooRich { table, why },
            }),
        }
    }

    /// The program: the bridge's root, at [`jump::bridge`](crate::abi::jump::bridge), and where frames
    /// come back to from other programs, at [`jump::resume`](crate::abi::jump::resume).
    ///
    /// # Errors
    /// When it can't be assembled.
    pub fn program(&self) -> Result<Program, PipelineError> {
        Ok(generate(&self.plan, Hook::Tc)?.program)
    }

    /// Whether any table in memory has so few rules that it can be code in programs for one version of
    /// the tables.
    pub fn has_few(&self) -> bool {
        self.plan.tables.values().any(|table| table.few.is_some())
    }

    /// As [`Pipeline::program`], for the tables as they are at `version`, with those of few rules as
    /// code: it can have the place of the root as long as that one stands at
    /// [`jump::plain`](crate::abi::jump::plain), to which it leaves packets of any other version.
    /// `None` if that spares nothing.
    ///
    /// # Errors
    /// When it can't be assembled.
    pub fn fixed_program(&self, version: u32) -> Result<Option<Program>, PipelineError> {
        match self.has_few() {
            true => Ok(Some(codegen::generate_fixed(&self.plan, version)?)),
            false => Ok(None),
        }
    }

    /// The same tables in front of the stack, at the bridge's slot in
    /// [`XDP_JUMPS`](crate::abi::XDP_JUMPS), with the same memories: it takes packets that are
    /// dropped or leave by one port with no more changed than it can, and leaves all others to [`Pipeline::program`],
    /// untouched and uncounted. `None` if no flow is such.
    ///
    /// # Errors
    /// When it can't be assembled.
    pub fn xdp_program(&self) -> Result<Option<Program>, PipelineError> {
        match codegen::xdp::takes_any(&self.plan) {
            true => Ok(Some(generate(&self.plan, Hook::Xdp)?.program)),
            false => Ok(None),
        }
    }

    /// The same tables and the entry of a port at tcx in one program, which hangs in the place of
    /// [`compile_flow_entry`](crate::compile_flow_entry)'s. It holds while the bridge's
    /// [`EPOCH`](super::maps::ports::EPOCH) is `epoch`, and, if `version` isn't `None`, that version of
    /// the tables holds, of which those of [few rules](Pipeline::has_few) are code then; else it leads
    /// to the bridge's root. `None` if flows do more than such programs do.
    ///
    /// # Errors
    /// When it can't be assembled.
    pub fn port_program(
        &self,
        facts: &FlowEntryFacts,
        epoch: u32,
        version: Option<u32>,
    ) -> Result<Option<Program>, PipelineError> {
        let device = facts.origin == Origin::Device;
        match device && codegen::straight::takes(&self.plan) {
            true => {
                let entry = PortEntry::Tc(facts);
                let form = PortForm { entry, epoch };
                Ok(Some(codegen::generate_port(&self.plan, form, version)?))
            }
            false => Ok(None),
        }
    }

    /// As [`Pipeline::port_program`], of [`Pipeline::xdp_program`] and the XDP entry of a port: it
    /// hangs in the place of [`compile_xdp_entry`](crate::compile_xdp_entry)'s. `None` if there is no
    /// XDP form, or flows do more than such programs do.
    ///
    /// # Errors
    /// When it can't be assembled.
    pub fn xdp_port_program(
        &self,
        facts: &XdpEntryFacts,
        epoch: u32,
        version: Option<u32>,
    ) -> Result<Option<Program>, PipelineError> {
        match codegen::xdp::takes_any(&self.plan) && codegen::straight::takes(&self.plan) {
            true => {
                let entry = PortEntry::Xdp(*facts);
                let form = PortForm { entry, epoch };
                Ok(Some(codegen::generate_port(&self.plan, form, version)?))
            }
            false => Ok(None),
        }
    }

    /// Takes over changes of the tables, for packets of `version` and later: all or nothing.
    ///
    /// # Errors
    /// When flows ask for what programs can't do. Then nothing has changed.
    pub fn change(
        &mut self,
        changes: &[Change],
        rule_of: &mut dyn FnMut(FlowId) -> RuleId,
        version: u32,
        memories: &mut dyn Memories,
    ) -> Result<Outcome, PipelineError> {
        change::change(&mut self.plan, changes, rule_of, version, memories)
    }

    /// Actions that send copies to the daemon: the one at the position that an upcall names.
    pub fn upcalls(&self) -> &[Action] {
        &self.plan.extras.upcalls
    }

    /// What a copy for the daemon asks for, and the packet; `None` if another program than this one
    /// sent it.
    pub fn asked(&self, copy: &Copy<'_>) -> Option<(&Action, Packet)> {
        let own = copy.version >= self.plan.config.version;
        let action = self.upcalls().get(copy.what as usize).filter(|_| own)?;
        Some((action, upcall::packet(copy, &self.plan.upcall_fields())))
    }

    /// What is known of what a packet that waits has left to be done; `None` if nothing is, or if there
    /// is too much of it.
    pub fn waiting(&self, copy: &Copy<'_>) -> Option<Waiting> {
        let (action, _) = self.asked(copy)?;
        let waits = matches!(action, Action::Controller(how) if how.pause);
        upcall::waiting(copy.words).filter(|_| waits)
    }

    /// Where the meters of the bridge have their records in
    /// [`METERS`](super::maps::METERS). Without any, the program doesn't name that memory.
    pub fn meters(&self) -> &Places {
        &self.plan.extras.places
    }

    /// Makes the places of records free that nobody reads any more, also of records that were retired
    /// by the pipeline that this one was [rebuilt](Pipeline::rebuild) from.
    pub fn reclaim(&mut self, retired: &Retired, memories: &mut dyn Memories) {
        for RetiredRule { table, since, kill } in &retired.records {
            let planned = self.plan.tables.get_mut(table);
            let image = planned.filter(|planned| planned.since == *since);
            let image = image.and_then(|planned| planned.image.as_mut());
            if let (Some(image), Some(memory)) = (image, memories.memory(*table)) {
                image.reclaim(*kill, memory);
            }
        }
    }

    /// What became of the tables. Takes as much time as [`Pipeline::program`].
    pub fn report(&self) -> Report {
        // A program that can't be assembled has no sizes to report.
        let generated = generate(&self.plan, Hook::Tc);
        generated.map_or_else(|_| Report::default(), |g| Report::of(&self.plan, &g))
    }
}
