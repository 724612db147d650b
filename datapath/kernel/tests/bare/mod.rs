//! One bridge's tables in the kernel with nothing around them: for comparisons and measurements
//! that want the compiler's programs and no more.
// Each test program and bench uses a part of this.
#![allow(dead_code)]

use std::collections::{BTreeMap, HashMap};

use aorta_compiler::abi::{
    self, COUNTERS, GENERATION_MAPS, JUMPS, PORTS, XDP_JUMPS, counter, jump,
};
use aorta_compiler::pipeline::maps::{self, STATE, ports, stats};
use aorta_compiler::pipeline::memory::Memory;
use aorta_compiler::pipeline::record::RuleId;
use aorta_compiler::pipeline::{Hook, Outcome, Pipeline, PipelineConfig, PipelineError};
use aorta_compiler::{
    FlowEntryFacts, Origin, Refuses, XdpEntryFacts, XdpMode, compile_finish, compile_flow_entry,
    compile_xdp_entry,
};
use aorta_ebpf::{MapId, Program};
use aorta_flow::OfPort;
use aorta_flow::table::{Change, FlowId, Tables};
use aorta_kernel::{Loaded, Loader, Map, MappedMemory, RuleCounters, Upcalls, chain};

/// MTU of every port.
pub const MTU_BYTES: u32 = 1500;

/// How tables are compiled.
type Build = fn(
    &Tables,
    &mut dyn FnMut(FlowId) -> RuleId,
    &PipelineConfig,
) -> Result<Pipeline, PipelineError>;

/// One bridge in slot 0. Port number n has slot n.
pub struct Bare {
    loader: Loader,
    shared: HashMap<MapId, Map>,
    /// The caller's maps.
    others: HashMap<MapId, i32>,
    kept: Vec<Box<dyn std::any::Any>>,
    bridge_ports: MappedMemory,
    version: MappedMemory,
    memories: BTreeMap<u8, MappedMemory>,
    rules: HashMap<FlowId, RuleId>,
    counters: RuleCounters,
    /// What runs.
    pub pipeline: Option<Pipeline>,
    /// Instructions of the root.
    pub insns: usize,
    /// How long the kernel took to take the root.
    pub load_time: std::time::Duration,
}

impl Bare {
    /// A bridge with these ports: number and device.
    pub fn new(devices: &[(u16, u32)], max_rules: u32) -> Bare {
        let specs = GENERATION_MAPS.iter().copied();
        let specs = specs.chain([
            COUNTERS,
            STATE,
            maps::ASIDE,
            maps::UPCALLS,
            maps::UPCALL_SPACE,
        ]);
        let shared: HashMap<MapId, Map> = specs
            .map(|spec| (spec.id, Map::create(&spec, spec.name).unwrap()))
            .collect();
        let mut bridge_ports = MappedMemory::create("bridge_ports", ports::BYTES).unwrap();
        for count in [ports::COUNT, ports::FLOODED] {
            bridge_ports.set_u32(ports::LISTS + count as u32, devices.len() as u32);
        }
        for (at, (ofport, ifindex)) in devices.iter().enumerate() {
            let slot = u32::from(*ofport);
            bridge_ports.set_u32(ports::slot_of(*ofport), slot + 1);
            let first = ports::LISTS + ports::FIRST as u32;
            bridge_ports.set_u32(first + 4 * at as u32, slot);
            let record = abi::port::Record {
                ifindex: *ifindex,
                max_len: MTU_BYTES + aorta_flow::LINK_HEADER_BYTES,
                tagged: abi::port::TAGGED_ALL,
                xdp: abi::port::XDP_NATIVE,
                ..abi::port::Record::FREE
            };
            shared[&PORTS.id]
                .set(&slot.to_ne_bytes(), &record.encode())
                .unwrap();
        }
        let mut bare = Bare {
            loader: Loader::new(),
            shared,
            others: HashMap::new(),
            kept: Vec::new(),
            bridge_ports,
            version: MappedMemory::create("version", 8).unwrap(),
            memories: BTreeMap::new(),
            rules: HashMap::new(),
            counters: RuleCounters::create(max_rules, "rule_counters").unwrap(),
            pipeline: None,
            insns: 0,
            load_time: std::time::Duration::ZERO,
        };
        let meters = MappedMemory::create("meters", maps::meters::BYTES).unwrap();
        bare.share_memory(maps::METERS, meters);
        let finish = bare.load(&compile_finish(false).unwrap());
        bare.put(jump::FINISH, &finish);
        bare
    }

    /// Compiles tables, and makes their program the bridge's root.
    ///
    /// # Errors
    /// The sentence of the compiler or the kernel.
    pub fn install(&mut self, tables: &Tables) -> Result<(), String> {
        self.install_as(tables, Pipeline::build)
    }

    /// As [`Bare::install`], made for no tables in particular.
    ///
    /// # Errors
    /// The sentence of the compiler or the kernel.
    pub fn install_generic(&mut self, tables: &Tables) -> Result<(), String> {
        self.install_as(tables, Pipeline::build_generic)
    }

    /// Puts a program for the tables as they are into the root's place; its instructions, 0 if there is
    /// none.
    ///
    /// # Errors
    /// The sentence of the compiler or the kernel.
    pub fn fix(&mut self) -> Result<usize, String> {
        let version = self.version.u32_at(0);
        let fixed = self.pipeline.as_ref().unwrap().fixed_program(version);
        let Some(program) = fixed.map_err(|e| chain(&e))? else {
            return Ok(0);
        };
        let start = std::time::Instant::now();
        let root = self.try_load(&program)?;
        self.load_time = start.elapsed();
        self.put(jump::bridge(0), &root);
        Ok(program.len())
    }

    fn install_as(&mut self, tables: &Tables, build: Build) -> Result<(), String> {
        self.rules.clear();
        let config = PipelineConfig {
            bridge: "br0".into(),
            bridge_slot: 0,
            hook: Hook::Tc,
            version: 1,
            seed: 7,
            counted_rules: self.counters.rules(),
        };
        let rules = &mut self.rules;
        let built = build(tables, &mut |flow| rule_of(rules, flow), &config);
        let mut pipeline = built.map_err(|e| chain(&e))?;
        self.version.set_u32(0, 1);
        self.memories.clear();
        for wanted in pipeline.memories() {
            let name = format!("table_{}", wanted.table);
            let memory = MappedMemory::create(&name, wanted.bytes);
            let mut memory = memory.map_err(|e| chain(&e))?;
            let filled = pipeline.fill(wanted.table, &mut memory);
            filled.map_err(|e| chain(&e))?;
            self.memories.insert(wanted.table, memory);
        }
        let program = pipeline.program().map_err(|e| chain(&e))?;
        self.insns = program.len();
        let start = std::time::Instant::now();
        let root = self.try_load(&program)?;
        self.load_time = start.elapsed();
        self.put(jump::bridge(0), &root);
        self.put(jump::plain(0), &root);
        self.pipeline = Some(pipeline);
        Ok(())
    }

    /// Puts the XDP form of what runs where XDP entries find it; its instructions.
    ///
    /// # Errors
    /// The sentence of the compiler or the kernel.
    pub fn install_xdp(&mut self) -> Result<usize, String> {
        let pipeline = self.pipeline.as_ref().unwrap();
        let program = pipeline.xdp_program().map_err(|e| chain(&e))?;
        let Some(program) = program else {
            self.shared[&XDP_JUMPS.id]
                .remove(&0u32.to_ne_bytes())
                .unwrap();
            return Ok(0);
        };
        let root = self.try_load_xdp(&program)?;
        let jumps = &self.shared[&XDP_JUMPS.id];
        jumps.set_program(0, root.fd()).unwrap();
        Ok(program.len())
    }

    /// The XDP entry of a port.
    pub fn xdp_entry(&mut self, ofport: u16, mode: XdpMode) -> Loaded {
        let program = compile_xdp_entry(&xdp_facts(ofport, mode)).unwrap();
        self.load_xdp(&program)
    }

    /// Says which XDP programs can send to a port.
    pub fn set_xdp(&self, ofport: u16, xdp: u8) {
        let ports = &self.shared[&PORTS.id];
        let slot = u32::from(ofport).to_ne_bytes();
        let mut record = ports.get(&slot).unwrap().unwrap();
        record[abi::port::XDP as usize] = xdp;
        ports.set(&slot, &record).unwrap();
    }

    /// Takes over changes of the tables; false if it takes another program.
    pub fn change(&mut self, changes: &[Change]) -> bool {
        let pipeline = self.pipeline.as_mut().unwrap();
        let version = self.version.u32_at(0) + 1;
        let rules = &mut self.rules;
        let mut rule = |flow| rule_of(rules, flow);
        let outcome = pipeline.change(changes, &mut rule, version, &mut self.memories);
        match outcome.unwrap() {
            Outcome::InPlace { retired } => {
                self.version.set_u32(0, version);
                pipeline.reclaim(&retired, &mut self.memories);
                true
            }
            Outcome::Rebuild { .. } => false,
        }
    }

    /// The entry of a port.
    pub fn entry(&mut self, ofport: u16) -> Loaded {
        self.load(&compile_flow_entry(&entry_facts(ofport)).unwrap())
    }

    /// The entry of a port with what was installed last in it; `None` if those tables have no such
    /// form.
    ///
    /// # Errors
    /// The sentence of the compiler or the kernel.
    pub fn port_program(&mut self, ofport: u16) -> Result<Option<Loaded>, String> {
        let pipeline = self.pipeline.as_ref().unwrap();
        let epoch = self.bridge_ports.u32_at(ports::EPOCH);
        let version = pipeline.has_few().then(|| self.version.u32_at(0));
        let program = pipeline.port_program(&entry_facts(ofport), epoch, version);
        let program = program.map_err(|e| chain(&e))?;
        program.map(|program| self.try_load(&program)).transpose()
    }

    /// The XDP program of a port with what was installed last in it; `None` if those tables have no
    /// such form.
    ///
    /// # Errors
    /// The sentence of the compiler or the kernel.
    pub fn xdp_port_program(
        &mut self,
        ofport: u16,
        mode: XdpMode,
    ) -> Result<Option<Loaded>, String> {
        let pipeline = self.pipeline.as_ref().unwrap();
        let epoch = self.bridge_ports.u32_at(ports::EPOCH);
        let version = pipeline.has_few().then(|| self.version.u32_at(0));
        let facts = xdp_facts(ofport, mode);
        let program = pipeline.xdp_port_program(&facts, epoch, version);
        let program = program.map_err(|e| chain(&e))?;
        program
            .map(|program| self.try_load_xdp(&program))
            .transpose()
    }

    /// From now on the root alone holds the tables.
    pub fn next_epoch(&mut self) {
        let epoch = self.bridge_ports.u32_at(ports::EPOCH);
        self.bridge_ports.set_u32(ports::EPOCH, epoch + 1);
    }

    pub fn load(&mut self, program: &Program) -> Loaded {
        self.try_load(program).unwrap_or_else(|e| panic!("{e}"))
    }

    pub fn load_xdp(&mut self, program: &Program) -> Loaded {
        self.try_load_xdp(program).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Puts an XDP program where others jump to.
    pub fn put_xdp(&self, index: u32, program: &Loaded) {
        let jumps = &self.shared[&XDP_JUMPS.id];
        jumps.set_program(index, program.fd()).unwrap();
    }

    fn try_load(&mut self, program: &Program) -> Result<Loaded, String> {
        let fds = self.fds(program);
        let loaded = self.loader.load(program, |id| fds.get(&id).copied());
        loaded.map_err(|e| chain(&e))
    }

    fn try_load_xdp(&mut self, program: &Program) -> Result<Loaded, String> {
        let fds = self.fds(program);
        let loaded = self.loader.load_xdp(program, |id| fds.get(&id).copied());
        loaded.map_err(|e| chain(&e))
    }

    /// Descriptors of the maps of a program.
    fn fds(&self, program: &Program) -> HashMap<MapId, i32> {
        let maps = (0..program.len()).filter_map(|at| program.map_at(at));
        maps.filter_map(|id| Some((id, self.fd(id)?))).collect()
    }

    fn fd(&self, id: MapId) -> Option<i32> {
        if id == maps::BRIDGE_PORTS {
            return Some(self.bridge_ports.map().raw_fd());
        }
        if id == maps::FLOW_STATS {
            return Some(self.counters.map().raw_fd());
        }
        if id == maps::VERSION {
            return Some(self.version.map().raw_fd());
        }
        let table = maps::table_of_memory(id).and_then(|table| self.memories.get(&table));
        let shared = || self.shared.get(&id).map(Map::raw_fd);
        let other = || self.others.get(&id).copied();
        let table = table.map(|memory| memory.map().raw_fd());
        table.or_else(shared).or_else(other)
    }

    /// Makes a map of the caller's known to programs, and keeps it.
    pub fn share(&mut self, id: MapId, fd: i32, map: impl std::any::Any) {
        self.others.insert(id, fd);
        self.kept.push(Box::new(map));
    }

    /// As [`Bare::share`] of memory.
    pub fn share_memory(&mut self, id: MapId, memory: MappedMemory) {
        self.share(id, memory.map().raw_fd(), memory);
    }

    /// The copies that programs send to the daemon.
    pub fn upcalls(&self) -> Upcalls {
        Upcalls::new(&self.shared[&maps::UPCALLS.id]).unwrap()
    }

    /// Puts a program where others jump to.
    pub fn put(&self, index: u32, program: &Loaded) {
        let jumps = &self.shared[&JUMPS.id];
        jumps.set_program(index, program.fd()).unwrap();
    }

    /// The number of a flow's counters.
    pub fn rule(&self, flow: FlowId) -> Option<RuleId> {
        self.rules.get(&flow).copied()
    }

    /// Packets and bytes of a rule.
    pub fn stats(&self, rule: RuleId) -> (u64, u64) {
        let words = self.counters.words(rule.0);
        let word = |at: i16| words[at as usize / 8];
        (word(stats::PACKETS), word(stats::BYTES_SEEN))
    }

    /// Sets the counters of all rules that were given a number to zero.
    pub fn clear_stats(&self) {
        self.rules
            .values()
            .for_each(|rule| self.counters.clear(rule.0));
    }

    /// Words of a port's counters.
    pub fn counters(&self, ofport: u16) -> Vec<u64> {
        let mut words = self.summed(COUNTERS.id, ofport.into());
        words.truncate(counter::WORDS);
        words
    }

    /// The words of a per-CPU record, added up.
    fn summed(&self, map: MapId, index: u32) -> Vec<u64> {
        let map = &self.shared[&map];
        let all = map.get(&index.to_ne_bytes()).unwrap().unwrap();
        let mut sums = vec![0u64; map.value_bytes() / 8];
        for (at, word) in all.chunks_exact(8).enumerate() {
            let n = sums.len();
            sums[at % n] += u64::from_ne_bytes(word.try_into().unwrap());
        }
        sums
    }
}

fn entry_facts(ofport: u16) -> FlowEntryFacts {
    FlowEntryFacts {
        refuses: Refuses::None,
        port_slot: ofport.into(),
        ofport: OfPort(ofport),
        bridge_slot: 0,
        origin: Origin::Device,
        guard: None,
    }
}

fn xdp_facts(ofport: u16, mode: XdpMode) -> XdpEntryFacts {
    XdpEntryFacts {
        port_slot: ofport.into(),
        ofport: OfPort(ofport),
        bridge_slot: 0,
        mode,
    }
}

fn rule_of(rules: &mut HashMap<FlowId, RuleId>, flow: FlowId) -> RuleId {
    let next = RuleId(rules.len() as u32);
    *rules.entry(flow).or_insert(next)
}
