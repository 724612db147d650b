//! Registers and what each instruction does to them.

use super::alu;
use super::machine::{Fault, Machine};
use super::maps::Maps;
use super::memory::Memory;
use crate::helper::Helper;
use crate::op::{AluOp, AtomicOp, Op, Wide};
use crate::program::Program;
use crate::reg::{Operand, Reg, Size};

/// What follows an instruction.
pub(super) enum Next {
    /// Another one of this program.
    Insn,
    /// A helper, then the one after.
    Call(Helper),
    /// Nothing: the verdict.
    Exit(u64),
}

/// The registers of a running program.
pub(super) struct Cpu {
    regs: [Option<u64>; 11],
    /// Index of the next instruction.
    pub(super) pc: usize,
}

impl Cpu {
    pub(super) fn new(ctx: u64) -> Cpu {
        let mut cpu = Cpu {
            regs: [None; 11],
            pc: 0,
        };
        cpu.set(Reg::R1, ctx);
        cpu.set(Reg::R10, Memory::STACK_END);
        cpu
    }

    pub(super) fn get(&self, reg: Reg) -> Result<u64, Fault> {
        self.regs
            .get(usize::from(reg.number()))
            .copied()
            .flatten()
            .ok_or(Fault::NoValue(reg))
    }

    fn set(&mut self, reg: Reg, value: u64) {
        if let Some(slot) = self.regs.get_mut(usize::from(reg.number())) {
            *slot = Some(value);
        }
    }

    fn operand(&self, operand: Operand) -> Result<u64, Fault> {
        match operand {
            Operand::Reg(reg) => self.get(reg),
            Operand::Imm(imm) => Ok(i64::from(imm) as u64),
        }
    }

    fn address(&self, base: Reg, off: i16) -> Result<u64, Fault> {
        Ok(self.get(base)?.wrapping_add(i64::from(off) as u64))
    }

    /// R1 to R5 for a helper.
    pub(super) fn args(&self) -> [u64; 5] {
        let [_, args @ .., _, _, _, _, _] = self.regs;
        args.map(|arg| arg.unwrap_or(u64::MAX))
    }

    /// After a helper: its result, and the arguments lost.
    pub(super) fn returned(&mut self, result: u64) {
        for slot in self.regs.iter_mut().take(6) {
            *slot = None;
        }
        self.set(Reg::R0, result);
    }

    /// Runs the next instruction, all but what a helper does.
    pub(super) fn step(&mut self, program: &Program, machine: &mut Machine) -> Result<Next, Fault> {
        let at = self.pc;
        let op = program.insns().get(at).and_then(|insn| insn.operation());
        self.pc += 1;
        match op.ok_or(Fault::NoInstruction)? {
            Op::Alu {
                op,
                width,
                dst,
                src,
            } => {
                let old = if op == AluOp::Mov { 0 } else { self.get(dst)? };
                self.set(dst, alu::alu(op, width, old, self.operand(src)?));
            }
            Op::Swap { order, size, dst } => {
                self.set(dst, alu::swap(order, size, self.get(dst)?));
            }
            Op::Load {
                size,
                dst,
                base,
                off,
            } => {
                self.set(dst, machine.memory.load(size, self.address(base, off)?)?);
            }
            Op::Store {
                size,
                base,
                off,
                src,
            } => {
                let address = self.address(base, off)?;
                machine.memory.store(size, address, self.operand(src)?)?;
            }
            Op::Atomic {
                op,
                size,
                base,
                off,
                src,
            } => {
                let address = self.address(base, off)?;
                self.atomic(machine, op, size, address, src)?;
            }
            Op::MayGoto { off } => {
                if machine.loops_left == 0 {
                    self.jump(off.into())?;
                } else {
                    machine.loops_left -= 1;
                }
            }
            Op::Jump { off } => self.jump(off.into())?,
            Op::JumpLong { off } => self.jump(off.into())?,
            Op::JumpIf {
                cond,
                width,
                dst,
                src,
                off,
            } => {
                if alu::holds(cond, width, self.get(dst)?, self.operand(src)?) {
                    self.jump(off.into())?;
                }
            }
            Op::Call(helper) => return Ok(Next::Call(helper)),
            Op::Exit => return self.get(Reg::R0).map(Next::Exit),
            Op::LoadWide { dst, wide, low } => {
                let value = wide_value(program, machine, at, wide, low)?;
                self.set(dst, value);
                self.pc += 1;
            }
            Op::WideHigh { .. } => return Err(Fault::NoInstruction),
        }
        Ok(Next::Insn)
    }

    fn atomic(
        &mut self,
        machine: &mut Machine,
        op: AtomicOp,
        size: Size,
        address: u64,
        src: Reg,
    ) -> Result<(), Fault> {
        let old = machine.memory.load(size, address)?;
        let with = self.get(src)?;
        let new = match op {
            AtomicOp::Add | AtomicOp::FetchAdd => old.wrapping_add(with),
            AtomicOp::Exchange => with,
            AtomicOp::CompareExchange => {
                let low = u64::MAX >> (64 - size.bits());
                let equal = self.get(Reg::R0)? & low == old;
                if equal { with } else { old }
            }
        };
        machine.memory.store(size, address, new)?;
        let read = Op::Atomic {
            op,
            size,
            base: src,
            off: 0,
            src,
        };
        if let Some(dst) = read.written() {
            self.set(dst, old);
        }
        Ok(())
    }

    fn jump(&mut self, distance: i64) -> Result<(), Fault> {
        let target = self.pc as i64 + distance;
        self.pc = usize::try_from(target).map_err(|_| Fault::NoInstruction)?;
        Ok(())
    }
}

fn wide_value(
    program: &Program,
    machine: &mut Machine,
    at: usize,
    wide: Wide,
    low: i32,
) -> Result<u64, Fault> {
    let high = program
        .insns()
        .get(at + 1)
        .map_or(0, |insn| insn.imm as u32);
    let map = || program.map_at(at).ok_or(Fault::NoInstruction);
    match wide {
        Wide::Value => Ok(u64::from(high) << 32 | u64::from(low as u32)),
        Wide::Map => Ok(Maps::handle(map()?)),
        Wide::MapValue => {
            let map = map()?;
            let Machine { memory, maps, .. } = machine;
            let value = maps.lookup(memory, map, &[0; 4]).ok_or(Fault::Map(map))?;
            Ok(value + u64::from(high))
        }
    }
}
