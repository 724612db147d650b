//! Flow tables in the kernel: for each bridge an instance of its pipeline, changed in place where
//! that is possible, else exchanged for a new one.

mod asked;
mod group_counts;
mod group_numbers;
mod instance;
#[cfg(test)]
mod leave_tests;
mod normal;
mod outcome;
mod ports;
mod resting;
mod rule_counters;
mod rules;
mod shared;
mod stats;
mod tailored;
mod upcalls;
mod upkeep;
mod xdp;

pub use asked::Asked;
pub use group_counts::GroupCounters;
pub use instance::{Explained, XdpForm};
pub use normal::Taken;
pub use outcome::{FlowsApplied, FlowsError};
pub use ports::{Numbered, Place};
pub use rule_counters::RuleCounters;
pub use rules::Rules;
pub use stats::FlowCounters;
pub use tailored::Holds;
pub use upcalls::{Upcall, Upcalls};

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant};

use aorta_compiler::pipeline::counted::group_of;
use aorta_compiler::pipeline::maps::meters;
use aorta_compiler::pipeline::record::RuleId;
use aorta_compiler::pipeline::{Hook, Outcome, Pipeline, PipelineConfig};
use aorta_ebpf::MapId;
use aorta_flow::BridgeName;
use aorta_flow::table::{Change, FlowId, Tables};

use crate::error::DatapathError;
use crate::generation::Generation;
use crate::loader::Loader;
use crate::map::Map;
use crate::memory::MappedMemory;
use crate::pins::PinDir;
use crate::state::State;
use group_numbers::GroupNumbers;
use instance::{Instance, Surroundings};
use ports::BridgePorts;
use resting::{RestingPlace, numbers, records};
use rules::{Numbering, Pool};
use shared::Shared;
use stats::{FlowStats, Words};

/// Flow tables of all bridges.
#[derive(Debug)]
pub struct Flows {
    stats: FlowStats,
    pool: Pool,
    group_numbers: GroupNumbers,
    shared: Option<Shared>,
    bridges: BTreeMap<u32, BridgeFlows>,
    /// Flows of bridges that do NORMAL alone.
    normal: BTreeMap<u32, normal::NormalFlow>,
    resting: RestingPlace,
    instances: u64,
}

/// Flow tables of one bridge.
#[derive(Debug)]
struct BridgeFlows {
    rules: Rules,
    own: BridgeMemory,
    version: u32,
    instance: Instance,
    /// The memories hold what must never become valid.
    spoilt: bool,
    untailored: tailored::Untailored,
}

/// What stays of a bridge when its instance is exchanged: memory for the most part.
#[derive(Debug)]
pub struct BridgeMemory {
    ports: BridgePorts,
    /// Made with the first meter.
    meters: Option<MappedMemory>,
    /// Some port runs XDP programs.
    xdp: bool,
}

impl BridgeMemory {
    fn new() -> Result<BridgeMemory, DatapathError> {
        Ok(BridgeMemory {
            ports: BridgePorts::new()?,
            meters: None,
            xdp: false,
        })
    }

    /// Makes what `tables` need.
    fn make(&mut self, tables: &Tables) -> Result<(), FlowsError> {
        if self.meters.is_none() && tables.meters().next().is_some() {
            self.meters = Some(MappedMemory::create("meters", meters::BYTES)?);
        }
        Ok(())
    }
}

/// What flows need of the rest of the datapath.
pub struct Kernel<'d> {
    /// Loads programs.
    pub loader: &'d mut Loader,
    /// Maps of this daemon.
    pub generation: &'d Generation,
    /// Maps that outlive it.
    pub state: &'d State,
}

impl Flows {
    /// Without any flows; counters are adopted.
    pub fn open(pins: &PinDir) -> Result<Flows, DatapathError> {
        Ok(Flows {
            stats: FlowStats::open(pins)?,
            pool: Pool::default(),
            group_numbers: GroupNumbers::open(pins)?,
            shared: None,
            bridges: BTreeMap::new(),
            normal: BTreeMap::new(),
            resting: RestingPlace::new()?,
            instances: 0,
        })
    }

    /// Whether packets of the bridge go through a pipeline.
    pub fn has(&self, bridge_slot: u32) -> bool {
        self.bridges.contains_key(&bridge_slot)
    }

    /// Descriptor of a map of all pipelines as programs name it.
    pub fn map_fd(&self, id: MapId) -> Option<i32> {
        self.shared.as_ref()?.map_fd(id)
    }

    /// The map with packets for the daemon, once a bridge has flows.
    pub fn upcalls(&self) -> Option<&Map> {
        self.shared.as_ref().map(Shared::upcalls)
    }

    /// Gives the flows of a bridge the numbers that they had, and its groups theirs, before its tables
    /// are applied the first time. Those whose number is taken get another.
    pub fn adopt(&mut self, slot: Option<u32>, rules: &HashMap<FlowId, RuleId>) -> Rules {
        let mut adopted = Rules::default();
        let mut rules: Vec<(FlowId, u32)> = rules.iter().map(|(id, rule)| (*id, rule.0)).collect();
        rules.sort_unstable();
        let groups = slot.into_iter();
        rules.extend(groups.flat_map(|slot| self.group_numbers.of_bridge(slot)));
        for (flow, rule) in rules {
            if rule < self.stats.capacity() && self.pool.take_this(rule) {
                adopted.insert(flow, rule);
            }
        }
        adopted
    }

    /// Brings the tables of a bridge into the kernel. `changes` lead from those that it has;
    /// `adopted` are numbers of rules for a bridge that has none.
    pub fn apply(
        &mut self,
        kernel: &mut Kernel<'_>,
        bridge: (&BridgeName, u32),
        tables: &Tables,
        changes: Option<&[Change]>,
        adopted: Rules,
    ) -> Result<FlowsApplied, FlowsError> {
        let applied = self.apply_tables(kernel, bridge, tables, changes, adopted);
        if let Some(flows) = self.bridges.get(&bridge.1) {
            self.group_numbers.keep(bridge.1, &flows.rules)?;
        }
        applied
    }

    fn apply_tables(
        &mut self,
        kernel: &mut Kernel<'_>,
        bridge: (&BridgeName, u32),
        tables: &Tables,
        changes: Option<&[Change]>,
        adopted: Rules,
    ) -> Result<FlowsApplied, FlowsError> {
        self.reclaim(kernel.generation)?;
        let more = match changes {
            Some(changes) if self.has(bridge.1) => changes.iter().filter(counts_anew).count(),
            _ => tables.len().saturating_sub(adopted.iter().count()),
        };
        let more = more + group_counts::most(tables);
        self.make_room(kernel, self.pool.end_with(more))?;
        let mut keeps = false;
        let why = match (self.bridges.get(&bridge.1), changes) {
            (None, _) => "the bridge had no flows of its own".to_owned(),
            (Some(flows), _) if flows.spoilt => "the last change failed half-way".to_owned(),
            (Some(_), None) => "the tables are others".to_owned(),
            (Some(_), Some(changes)) => match self.change(bridge.1, changes)? {
                Some(why) => {
                    keeps = true;
                    why
                }
                None => {
                    return Ok(FlowsApplied {
                        in_place: true,
                        untailored: self.unfix(kernel, bridge.1)?,
                        ..FlowsApplied::default()
                    });
                }
            },
        };
        let changes = (changes.unwrap_or(&[]), keeps);
        let load_time = self.rebuild(kernel, bridge, tables, changes, adopted)?;
        Ok(FlowsApplied {
            in_place: false,
            untailored: true,
            why_rebuilt: Some(why),
            load_time,
        })
    }

    /// Changes the running instance; `Some` with the reason if that can't be.
    fn change(&mut self, slot: u32, changes: &[Change]) -> Result<Option<String>, FlowsError> {
        let Some(flows) = self.bridges.get_mut(&slot) else {
            return Ok(Some(String::new()));
        };
        let mut numbering = Numbering::new(&mut self.pool, &mut flows.rules, changes);
        let version = flows.version + 1;
        let instance = &mut flows.instance;
        let outcome = instance.pipeline.change(
            changes,
            &mut |flow| numbering.rule_of(flow),
            version,
            &mut instance.memories,
        );
        let retired = match outcome {
            Ok(Outcome::InPlace { retired }) => {
                if let Err(error) = self.stats.begin(&numbering.fresh()) {
                    numbering.abort();
                    flows.spoilt = true;
                    return Err(error.into());
                }
                retired
            }
            Ok(Outcome::Rebuild { why }) => {
                numbering.abort();
                flows.spoilt = true;
                return Ok(Some(why));
            }
            Err(error) => {
                numbering.abort();
                return Err(error.into());
            }
        };
        instance.set_version(version);
        flows.version = version;
        let (released, instance) = (numbering.commit(), instance.number);
        let records = records(slot, instance, retired);
        self.resting
            .put(records.into_iter().chain(numbers(released)));
        Ok(None)
    }

    /// Puts a new instance in the place of the one that runs, if one does. Where the tables differ by
    /// the changes only, it keeps memories of that.
    fn rebuild(
        &mut self,
        kernel: &mut Kernel<'_>,
        (bridge, slot): (&BridgeName, u32),
        tables: &Tables,
        (changes, keeps): (&[Change], bool),
        adopted: Rules,
    ) -> Result<Duration, FlowsError> {
        let before = self.bridges.remove(&slot);
        let (mut rules, mut own, version, mut instance) = match before {
            Some(flows) => (flows.rules, flows.own, flows.version, Some(flows.instance)),
            None => (adopted, BridgeMemory::new()?, 0, None),
        };
        let made = own.make(tables);
        let config = PipelineConfig {
            bridge: bridge.clone(),
            bridge_slot: slot,
            hook: Hook::Tc,
            version: version + 1,
            seed: RandomState::new().hash_one(slot),
            counted_rules: self.stats.capacity(),
        };
        let mut numbering = Numbering::new(&mut self.pool, &mut rules, changes);
        // Memories that are kept are the same one's: what was retired in them is to be reclaimed.
        let number = match &instance {
            Some(old) if keeps => old.number,
            _ => {
                self.instances += 1;
                self.instances
            }
        };
        let built = made.and_then(|()| {
            build(
                kernel,
                (&mut self.shared, &self.stats, &own),
                (tables, &config, number),
                &mut numbering,
                instance
                    .as_mut()
                    .filter(|_| keeps)
                    .map(|old| (old, changes)),
            )
        });
        if built.is_ok() {
            own.ports.next_epoch();
        }
        let (result, version, instance) = match (built, instance) {
            (Ok(mut new), old) => {
                let released = match keeps {
                    true => numbering.commit(),
                    false => numbering.commit_only(tables),
                };
                // What the old instance has in the kernel stays while programs use it.
                drop(old);
                let retired = new.pipeline.take_retired();
                let records = records(slot, number, retired);
                self.resting
                    .put(records.into_iter().chain(numbers(released)));
                (Ok(new.explained.load_time), config.version, new)
            }
            (Err(error), Some(old)) => {
                numbering.abort();
                (Err(error), version, old)
            }
            (Err(error), None) => {
                numbering.abort();
                self.pool.give_back(rules.numbers());
                return Err(error);
            }
        };
        let mut flows = BridgeFlows {
            rules,
            own,
            version,
            spoilt: result.is_err(),
            instance,
            untailored: None,
        };
        if result.is_ok() {
            asked::begin_meters(&mut flows, changes);
        }
        self.bridges.insert(slot, flows);
        result
    }

    /// Numbers of the rules of a bridge.
    pub fn rules(&self, slot: u32) -> Option<&Rules> {
        self.bridges.get(&slot).map(|flows| &flows.rules)
    }

    /// What became of the tables of a bridge.
    pub fn explained(&self, slot: u32) -> Option<Explained> {
        let flows = self.bridges.get(&slot)?;
        let instance = &flows.instance;
        let report = instance.pipeline.report();
        let fixed = instance.fixed.loaded.as_ref();
        Some(Explained {
            report,
            fixed: fixed.is_some_and(|(version, _)| *version == flows.version),
            ..instance.explained.clone()
        })
    }

    /// Adds to what a rule has counted.
    pub fn add(&self, rule: u32, words: Words) {
        self.stats.add(rule, words);
    }

    /// Counters of all rules of a bridge. `now` is the tick counter, of which there are `hz` in a
    /// second.
    pub fn counters(
        &self,
        slot: u32,
        now: u64,
        hz: u32,
    ) -> Result<HashMap<FlowId, FlowCounters>, DatapathError> {
        let Some(flows) = self.bridges.get(&slot) else {
            return Ok(HashMap::new());
        };
        let end = flows.rules.end();
        let words = self.stats.read(end)?;
        let counters = |id: u32| FlowCounters::new(words.get(id as usize), now, hz);
        let rules = flows.rules.iter();
        Ok(rules
            .filter(|(id, _)| group_of(*id).is_none())
            .map(|(flow, id)| (flow, counters(id)))
            .collect())
    }
}

/// Compiles tables and puts their program in its place.
fn build(
    kernel: &mut Kernel<'_>,
    (shared, stats, own): (&mut Option<Shared>, &FlowStats, &BridgeMemory),
    (tables, config, number): (&Tables, &PipelineConfig, u64),
    numbering: &mut Numbering<'_>,
    mut before: Option<(&mut Instance, &[Change])>,
) -> Result<Instance, FlowsError> {
    let started = Instant::now();
    if before.is_none() {
        numbering.give_all(tables);
    }
    let rule_of = &mut |flow| numbering.rule_of(flow);
    let pipeline = match &mut before {
        Some((old, changes)) => {
            let memories = &mut old.memories;
            let pipeline = &old.pipeline;
            pipeline.rebuild(tables, changes, rule_of, config, memories)?
        }
        None => Pipeline::build(tables, rule_of, config)?,
    };
    stats.begin(&numbering.fresh())?;
    let shared = match shared.take() {
        Some(there) => shared.insert(there),
        None => shared.insert(Shared::create(
            kernel.loader,
            kernel.generation,
            kernel.state,
        )?),
    };
    let around = Surroundings {
        generation: kernel.generation,
        state: kernel.state,
        shared,
        stats,
        own,
    };
    let old = before.as_mut().map(|(old, _)| &mut **old);
    let loaded = Instance::load(number, (pipeline, old), started, kernel.loader, &around);
    let mut instance = loaded?;
    if let Err(error) = instance.put(kernel.generation, config.bridge_slot) {
        instance.give_back(before.map(|(old, _)| old));
        return Err(error.into());
    }
    Ok(instance)
}

/// Whether the change gives a rule a new number.
fn counts_anew(change: &&Change) -> bool {
    match change {
        Change::FlowAdded(_) => true,
        Change::FlowReplaced { reset_counts, .. } => *reset_counts,
        _ => false,
    }
}
