//! Where code stands: in which table, and where its constants are.

use aorta_ebpf::{AluOp, Label, Operand, Reg, Size, Width};

use super::{Block, Gen};
use crate::pipeline::record;
use crate::pipeline::shape::Param;

/// Where constants are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Params {
    /// In the record that R8 points to, in the memory of the table.
    Record,
    /// In the code.
    Inline(Vec<u32>),
}

/// Where code stands.
#[derive(Clone, Debug)]
pub struct Site {
    /// Table whose flow it is of.
    pub table: u8,
    /// Where its constants are.
    pub params: Params,
    /// Number of the rule, if the code is of one.
    pub rule: Option<u32>,
    /// Where to go if the list of actions that is being done ends early.
    pub list_end: ListEnd,
    /// Nothing is left to be done behind what the flow does.
    pub bare: bool,
}

/// Where a list ends.
#[derive(Clone, Copy, Debug)]
pub enum ListEnd {
    /// In a block.
    Block(Block),
    /// Here.
    Here(Label),
}

impl Gen<'_> {
    /// `dst` = a constant, or the constant itself if it is in the code. A constant in the code is
    /// sign-extended.
    pub fn param(&mut self, site: &Site, param: Param, dst: Reg) -> Operand {
        match &site.params {
            Params::Inline(values) => {
                let value = values.get(usize::from(param)).copied().unwrap_or(0);
                Operand::Imm(value as i32)
            }
            Params::Record => {
                let at = record::PARAMS + 4 * param as i16;
                self.a.load(Size::W, dst, Reg::R8, at);
                Operand::Reg(dst)
            }
        }
    }

    /// Where all that a flow does ends.
    pub fn flow_end(&mut self, bare: bool) -> Label {
        match bare {
            true => self.block(Block::End),
            false => self.block(Block::Return),
        }
    }

    /// Where to go if the list that is being done ends early.
    pub fn list_end(&mut self, site: &Site) -> Label {
        match site.list_end {
            ListEnd::Block(block) => self.block(block),
            ListEnd::Here(label) => {
                self.ends.insert(label);
                label
            }
        }
    }

    /// `dst` = a constant, zero-extended.
    pub fn load_param(&mut self, site: &Site, param: Param, dst: Reg) {
        if let Operand::Imm(value) = self.param(site, param, dst) {
            self.a.alu(AluOp::Mov, Width::W32, dst, value);
        }
    }
}
