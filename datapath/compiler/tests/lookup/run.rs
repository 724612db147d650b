//! A table's memory and code in the interpreter.

use super::model::{CONJ_ID, conj_id};
use aorta_compiler::pipeline::layout::state;
use aorta_compiler::pipeline::maps::stats;
use aorta_compiler::pipeline::memory::Memory;
use aorta_compiler::pipeline::record;
use aorta_compiler::pipeline::template::{Counters, LookupContext, TableImage};
use aorta_ebpf::interp::{Machine, MapKind, MapSpec, NoHelpers};
use aorta_ebpf::{Assembler, Helper, MapId, Program, Reg, Size};

const MEMORY: MapId = MapId(1);
const STATE: MapId = MapId(2);
/// A row of counters.
const ROW: MapId = MapId(3);
const ROW_AT: i16 = -136;
/// Rules that it has; others have higher numbers.
const COUNTED: u32 = 10_020;
/// Moments at which packets come while a change is written.
const STEPS: usize = 8;

/// What the daemon writes, one write after the other.
pub struct Writes {
    len: u32,
    log: Vec<(u32, Vec<u8>)>,
}

impl Memory for Writes {
    fn len(&self) -> u32 {
        self.len
    }

    fn fill(&mut self, at: u32, bytes: &[u8]) {
        assert!(at as usize + bytes.len() <= self.len as usize);
        self.log.push((at, bytes.to_vec()));
    }

    fn set_u32(&mut self, at: u32, value: u32) {
        assert_eq!(at % 4, 0);
        self.fill(at, &value.to_le_bytes());
    }

    fn set_u64(&mut self, at: u32, value: u64) {
        assert_eq!(at % 8, 0);
        self.fill(at, &value.to_le_bytes());
    }
}

/// A table that can be searched.
pub struct Table {
    /// What the daemon writes; programs see it when it is [placed](Table::place).
    pub memory: Writes,
    program: Program,
    machine: Machine,
    state: u64,
    table: u64,
}

/// A program that looks up and returns the number of the rule plus 1 in the low half of R0, its
/// shape in the high half; 0 is a miss.
pub fn program(image: &TableImage) -> Program {
    let mut a = Assembler::new("lookup");
    let (hit, miss, give_up) = (a.label("hit"), a.label("miss"), a.label("give_up"));
    a.load_map_value(Reg::R7, STATE, 0);
    a.mov(Reg::R6, Reg::R1);
    a.load_map_value(Reg::R1, ROW, 0);
    a.store(Size::Dw, Reg::R10, ROW_AT, Reg::R1);
    image.emit(
        &mut a,
        &LookupContext {
            memory: MEMORY,
            hit,
            miss,
            give_up,
            counters: Some(Counters {
                row: ROW_AT,
                rules: COUNTED,
            }),
        },
    );
    a.bind(hit);
    // The whole record can be read.
    a.load(Size::W, Reg::R1, Reg::R8, image.record_bytes() as i16 - 4);
    a.load(Size::W, Reg::R0, Reg::R8, record::RULE);
    a.add(Reg::R0, 1);
    a.load(Size::W, Reg::R1, Reg::R8, record::SHAPE);
    a.lsh(Reg::R1, 32);
    a.or(Reg::R0, Reg::R1);
    a.exit();
    a.bind(miss);
    a.mov(Reg::R0, 0);
    a.exit();
    a.bind(give_up);
    // Faults: nobody gets here.
    a.call(Helper::Jiffies64);
    a.exit();
    a.finish().unwrap()
}

impl Table {
    pub fn new(image: &TableImage) -> Table {
        let mut machine = Machine::default();
        let bytes = image.memory_bytes() as usize;
        let mut map = |id, value| {
            let spec = MapSpec {
                kind: MapKind::Array,
                key: 4,
                value,
                max_entries: 1,
            };
            machine.maps.create(id, spec);
            machine
                .maps
                .lookup(&mut machine.memory, id, &[0; 4])
                .unwrap()
        };
        let (table, state) = (map(MEMORY, bytes), map(STATE, state::BYTES));
        map(ROW, COUNTED as usize * stats::BYTES);
        let program = program(image);
        Table {
            memory: Writes {
                len: bytes as u32,
                log: Vec::new(),
            },
            program,
            machine,
            state,
            table,
        }
    }

    /// Gives the programs what was written.
    pub fn place(&mut self) {
        for (at, bytes) in std::mem::take(&mut self.memory.log) {
            let at = self.table + u64::from(at);
            self.machine.memory.write(at, &bytes).unwrap();
        }
    }

    /// As [`Table::place`], but with packets between some of the writes, `between` for each.
    pub fn place_slowly<E>(
        &mut self,
        mut between: impl FnMut(&mut Table) -> Result<(), E>,
    ) -> Result<(), E> {
        let log = std::mem::take(&mut self.memory.log);
        let apart = log.len().div_ceil(STEPS).max(1);
        for (number, write) in log.into_iter().enumerate() {
            self.memory.log.push(write);
            if number < STEPS || number % apart == apart - 1 {
                self.place();
                between(self)?;
            }
        }
        self.place();
        Ok(())
    }

    /// Number and shape of the rule that the code finds for a packet.
    pub fn lookup(&mut self, key: &[(i16, u32)], version: u32) -> Option<(u32, u32)> {
        // As many loops as one run of a program may do, not all of them together.
        self.machine.loops_left = 1 << 16;
        self.set(state::VERSION, version);
        self.set(state::KEY + conj_id(), CONJ_ID);
        for (at, value) in key {
            self.set(state::KEY + at, *value);
        }
        let run = self.machine.run(&self.program, 0, &mut NoHelpers);
        let found = run.unwrap().verdict;
        let conj_id = self.state + (state::KEY + conj_id()) as u64;
        let left = self.machine.memory.load(Size::W, conj_id);
        assert_eq!(left, Ok(CONJ_ID.into()), "the packet's own conj_id");
        (found != 0).then(|| (found as u32 - 1, (found >> 32) as u32))
    }

    fn set(&mut self, at: i16, value: u32) {
        let at = self.state + at as u64;
        let memory = &mut self.machine.memory;
        memory.store(Size::W, at, value.into()).unwrap();
    }
}
