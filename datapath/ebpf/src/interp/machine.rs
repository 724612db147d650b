//! The machine around the registers: memory, maps, helpers, tail calls.

use std::collections::HashMap;

use super::cpu::{Cpu, Next};
use super::maps::{Errno, MapKind, Maps};
use super::memory::{Memory, MemoryError, Region};
use crate::helper::Helper;
use crate::program::{MapId, Program};
use crate::reg::{Reg, Size};

/// Tail calls in a row that the kernel allows.
const TAIL_CALLS: u32 = 33;
/// Steps that a run may take unless told otherwise.
const BUDGET: u64 = 1_000_000;

/// Loops that a program may do (BPF_MAX_LOOPS).
const LOOPS: u64 = 8 << 20;

/// Bytes of `struct __sk_buff` (linux/bpf.h).
const SKB_LEN: usize = 192;
const SKB_FIELD_LEN: u64 = 0;
const SKB_FIELD_DATA: u64 = 76;
const SKB_FIELD_DATA_END: u64 = 80;
const SKB_FIELD_DATA_META: u64 = 140;

/// Why an instruction could not be run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The register was never written, or lost its value in a call.
    #[error("{0} has no value")]
    NoValue(Reg),
    /// An access outside of memory.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// A map that was not created, or not one that the helper takes.
    #[error("{0} can't be used here")]
    Map(MapId),
    /// A register that should hold a map holds another thing.
    #[error("{0:#x} is not a map")]
    NotAMap(u64),
    /// The run took all its steps.
    #[error("budget of {0} instructions used up")]
    Budget(u64),
    /// The program counter left the program.
    #[error("no instruction here")]
    NoInstruction,
    /// The environment doesn't offer the helper, or refuses its arguments.
    #[error("{helper}: {reason}")]
    Helper {
        /// The helper.
        helper: Helper,
        /// Why not.
        reason: String,
    },
}

/// A run that stopped at an instruction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{program}: instruction {insn} ({text}): {fault}")]
pub struct RunError {
    /// Name of the program.
    pub program: String,
    /// Index of the instruction.
    pub insn: usize,
    /// Its text.
    pub text: String,
    /// What happened.
    pub fault: Fault,
}

/// A run that returned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// R0.
    pub verdict: u64,
    /// Instructions executed, in all programs.
    pub steps: u64,
    /// Tail calls taken.
    pub tail_calls: u32,
}

/// The helpers that a machine doesn't have itself.
pub trait Env {
    /// Runs a helper with R1 to R5 (registers without a value are given as `u64::MAX`); what it
    /// returns goes to R0.
    ///
    /// # Errors
    /// Ends the run; what the kernel would return as `-errno` is not an error here.
    fn call(&mut self, helper: Helper, args: [u64; 5], machine: &mut Machine)
    -> Result<u64, Fault>;
}

/// An environment without helpers.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoHelpers;

impl Env for NoHelpers {
    fn call(&mut self, helper: Helper, _: [u64; 5], _: &mut Machine) -> Result<u64, Fault> {
        Err(Fault::Helper {
            helper,
            reason: "not offered".to_owned(),
        })
    }
}

impl<F> Env for F
where
    F: FnMut(Helper, [u64; 5], &mut Machine) -> Result<u64, Fault>,
{
    fn call(
        &mut self,
        helper: Helper,
        args: [u64; 5],
        machine: &mut Machine,
    ) -> Result<u64, Fault> {
        self(helper, args, machine)
    }
}

/// What outlives a run: memory, maps, and the programs of prog arrays.
#[derive(Clone, Debug)]
pub struct Machine {
    /// All memory.
    pub memory: Memory,
    /// All maps.
    pub maps: Maps,
    /// Steps that a run may take, tail calls included.
    pub budget: u64,
    /// How often `may_goto` goes on before it jumps, in all runs together.
    pub loops_left: u64,
    programs: HashMap<(MapId, u32), Program>,
}

impl Default for Machine {
    fn default() -> Self {
        Machine {
            memory: Memory::default(),
            maps: Maps::default(),
            budget: BUDGET,
            loops_left: LOOPS,
            programs: HashMap::new(),
        }
    }
}

impl Machine {
    /// Puts a program into a slot of a prog array.
    pub fn set_program(&mut self, map: MapId, index: u32, program: Program) {
        self.programs.insert((map, index), program);
    }

    /// Sets the packet and makes a context like tc's (`struct __sk_buff`) for it, its other fields
    /// zero; the context's address.
    pub fn skb(&mut self, packet: &[u8]) -> u64 {
        let ctx = self.memory.allocate(Region::Context, vec![0; SKB_LEN]);
        // A context of this size takes all of these stores.
        let _ = self.replace_packet(ctx, packet);
        ctx
    }

    /// Sets another packet, and the fields of the context that tell its length and place.
    ///
    /// # Errors
    /// `ctx` is not a context made by [`Machine::skb`].
    pub fn replace_packet(&mut self, ctx: u64, packet: &[u8]) -> Result<(), MemoryError> {
        self.memory.set_packet(packet);
        let len = packet.len() as u64;
        for (field, value) in [
            (SKB_FIELD_LEN, len),
            (SKB_FIELD_DATA, Memory::PACKET),
            (SKB_FIELD_DATA_END, Memory::PACKET + len),
            (SKB_FIELD_DATA_META, Memory::PACKET),
        ] {
            self.memory.store(Size::W, ctx + field, value)?;
        }
        Ok(())
    }

    /// Runs a program with R1 = `ctx` until it returns, through its tail calls.
    ///
    /// # Errors
    /// The first instruction that can't be run.
    pub fn run(
        &mut self,
        program: &Program,
        ctx: u64,
        env: &mut impl Env,
    ) -> Result<Run, RunError> {
        let mut run = Run {
            verdict: 0,
            steps: 0,
            tail_calls: 0,
        };
        let mut called: Option<Program> = None;
        loop {
            let current = called.as_ref().unwrap_or(program);
            match self.run_one(current, ctx, env, &mut run)? {
                None => return Ok(run),
                next => called = next,
            }
        }
    }

    /// Runs to the program's return (`None`) or a tail call that is taken.
    fn run_one(
        &mut self,
        program: &Program,
        ctx: u64,
        env: &mut impl Env,
        run: &mut Run,
    ) -> Result<Option<Program>, RunError> {
        self.memory.reset_stack();
        let mut cpu = Cpu::new(ctx);
        loop {
            let insn = cpu.pc;
            match self.advance(program, &mut cpu, env, run) {
                Ok(Then::Here) => {}
                Ok(Then::Program(called)) => return Ok(Some(*called)),
                Ok(Then::Return(verdict)) => {
                    run.verdict = verdict;
                    return Ok(None);
                }
                Err(fault) => return Err(located(program, insn, fault)),
            }
        }
    }

    /// Runs one instruction, with the helper if it calls one.
    fn advance(
        &mut self,
        program: &Program,
        cpu: &mut Cpu,
        env: &mut impl Env,
        run: &mut Run,
    ) -> Result<Then, Fault> {
        if run.steps >= self.budget {
            return Err(Fault::Budget(self.budget));
        }
        run.steps += 1;
        match cpu.step(program, self)? {
            Next::Insn => Ok(Then::Here),
            Next::Call(helper) => self.call(cpu, helper, env, run),
            Next::Exit(verdict) => Ok(Then::Return(verdict)),
        }
    }

    fn call(
        &mut self,
        cpu: &mut Cpu,
        helper: Helper,
        env: &mut impl Env,
        run: &mut Run,
    ) -> Result<Then, Fault> {
        let result = match helper {
            Helper::TailCall => match self.tail_call(cpu, run)? {
                Some(program) => return Ok(Then::Program(Box::new(program))),
                None => Errno::ENOENT.value(),
            },
            Helper::MapLookupElem | Helper::MapLookupPercpuElem => {
                let (map, key) = self.map_and_key(cpu)?;
                self.maps.lookup(&mut self.memory, map, &key).unwrap_or(0)
            }
            Helper::MapUpdateElem => self.map_update(cpu)?,
            Helper::MapDeleteElem => {
                let (map, key) = self.map_and_key(cpu)?;
                self.maps
                    .delete(map, &key)
                    .map_or_else(Errno::value, |()| 0)
            }
            _ => env.call(helper, cpu.args(), self)?,
        };
        cpu.returned(result);
        Ok(Then::Here)
    }

    fn tail_call(&self, cpu: &Cpu, run: &mut Run) -> Result<Option<Program>, Fault> {
        cpu.get(Reg::R1)?;
        let map = map_in(cpu, Reg::R2)?;
        if self
            .maps
            .spec(map)
            .is_some_and(|spec| spec.kind != MapKind::ProgArray)
        {
            return Err(Fault::Map(map));
        }
        let index = cpu.get(Reg::R3)? as u32;
        let program = self
            .programs
            .get(&(map, index))
            .filter(|_| run.tail_calls < TAIL_CALLS);
        run.tail_calls += u32::from(program.is_some());
        Ok(program.cloned())
    }

    fn map_and_key(&self, cpu: &Cpu) -> Result<(MapId, Vec<u8>), Fault> {
        let map = map_in(cpu, Reg::R1)?;
        let spec = self.maps.spec(map).ok_or(Fault::Map(map))?;
        let key = self.memory.read(cpu.get(Reg::R2)?, spec.key)?;
        Ok((map, key.to_vec()))
    }

    fn map_update(&mut self, cpu: &Cpu) -> Result<u64, Fault> {
        let (map, key) = self.map_and_key(cpu)?;
        let spec = self.maps.spec(map).ok_or(Fault::Map(map))?;
        let value = self.memory.read(cpu.get(Reg::R3)?, spec.value)?.to_vec();
        let flags = cpu.get(Reg::R4)?;
        let updated = self.maps.update(&mut self.memory, map, &key, &value, flags);
        Ok(updated.map_or_else(Errno::value, |()| 0))
    }
}

/// Where a run goes on after an instruction.
enum Then {
    Here,
    Program(Box<Program>),
    Return(u64),
}

fn map_in(cpu: &Cpu, reg: Reg) -> Result<MapId, Fault> {
    let value = cpu.get(reg)?;
    Maps::from_handle(value).ok_or(Fault::NotAMap(value))
}

fn located(program: &Program, insn: usize, fault: Fault) -> RunError {
    let text = program.text_of(insn).unwrap_or_default();
    RunError {
        program: program.name().to_owned(),
        insn,
        text,
        fault,
    }
}
