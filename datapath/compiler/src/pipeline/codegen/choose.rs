//! `multipath` and `bundle`: a link or a port, chosen by a hash or by what is up.

use aorta_ebpf::{AluOp, Assembler, Cond, Reg, Size, Width};
use aorta_flow::action::{Bundle, BundleAlgorithm, Multipath, MultipathAlgorithm};
use aorta_flow::hash::words;
use aorta_flow::{OfPort, Subfield};

use super::site::Site;
use super::{Gen, INDEX, bits, prereq};
use crate::pipeline::choice::{emit_hash, emit_mixed, emit_unless_live};
use crate::pipeline::layout::state;

use Reg::{R0, R1, R2, R3, R7};

/// Candidates of which each is weighed.
pub const MAX_CANDIDATES: usize = 64;
/// What was chosen: in the state, so that the verifier doesn't follow each choice.
const CHOSEN: i16 = state::CHOSEN;

impl Gen<'_> {
    /// Writes the number of a link into a field.
    pub fn multipath(&mut self, multipath: &Multipath) {
        let n = multipath.n_links.max(1);
        let a = &mut self.a;
        emit_hash(a, words(multipath.fields), multipath.basis.into());
        match multipath.algorithm {
            MultipathAlgorithm::ModuloN => {
                a.alu(AluOp::Mod, Width::W32, R0, n as i32);
                a.store(Size::W, R7, CHOSEN, R0);
            }
            MultipathAlgorithm::HashThreshold => {
                a.mov32(R1, n as i32);
                a.alu(AluOp::Mul, Width::W64, R0, R1);
                a.rsh(R0, 32);
                a.store(Size::W, R7, CHOSEN, R0);
            }
            MultipathAlgorithm::Hrw | MultipathAlgorithm::IterHash => {
                a.mov(R3, 0);
                a.store(Size::W, R7, CHOSEN, 0);
                for link in 0..n {
                    weigh(a, link);
                }
            }
        }
        self.write_chosen(multipath.to);
    }

    /// Sends to the chosen port, or writes its number into a field.
    pub fn bundle(&mut self, bundle: &Bundle, site: &Site) {
        self.a.store(Size::W, R7, CHOSEN, i32::from(OfPort::ANY.0));
        match bundle.algorithm {
            BundleAlgorithm::ActiveBackup => self.first_live(&bundle.members),
            BundleAlgorithm::Hrw => self.weightiest(bundle),
        }
        match bundle.to {
            Some(to) => self.write_chosen(to),
            None => {
                let skip = self.a.label("none_live");
                let a = &mut self.a;
                a.load(Size::W, R1, R7, CHOSEN);
                a.jump_if(Cond::Eq, R1, i32::from(OfPort::ANY.0), skip);
                self.output_number(site);
                self.a.bind(skip);
            }
        }
    }

    fn first_live(&mut self, members: &[OfPort]) {
        let chosen = self.a.label("chosen");
        for port in members {
            let next = self.a.label("next_member");
            emit_unless_live(&mut self.a, *port, INDEX, next);
            self.a.store(Size::W, R7, CHOSEN, i32::from(port.0));
            self.a.jump(chosen);
            self.a.bind(next);
        }
        self.a.bind(chosen);
    }

    /// The live member with the highest number of its own. The best so far is in the state, so
    /// that the verifier doesn't follow each combination.
    fn weightiest(&mut self, bundle: &Bundle) {
        emit_hash(&mut self.a, words(bundle.fields), bundle.basis.into());
        self.a.store(Size::W, R7, state::HASH, R0);
        self.a.store(Size::W, R7, state::WEIGHT, 0);
        for port in &bundle.members {
            let next = self.a.label("next_member");
            emit_unless_live(&mut self.a, *port, INDEX, next);
            let a = &mut self.a;
            a.load(Size::W, R0, R7, state::HASH);
            a.load(Size::W, R3, R7, state::WEIGHT);
            weigh(a, port.0.into());
            a.store(Size::W, R7, state::WEIGHT, R3);
            a.bind(next);
        }
    }

    /// Writes what was chosen into a field, if the packet has it.
    fn write_chosen(&mut self, to: Subfield) {
        let skip = self.a.label("skip");
        prereq::emit(&mut self.a, to.field.field().prereq, skip);
        let chosen = bits::Bits {
            base: R7,
            at: CHOSEN,
            start: 0,
            count: to.bits.into(),
        };
        // A field can be wider than the number.
        self.a.store(Size::W, R7, CHOSEN + 4, 0);
        self.a.store(Size::Dw, R7, CHOSEN + 8, 0);
        bits::copy_to_field(&mut self.a, chosen, to);
        self.written(to.field);
        self.a.bind(skip);
    }
}

/// CHOSEN = the candidate and R3 = its number, if that with the hash in R0 isn't less than R3: of
/// equal ones the last counts. Uses R1, R2.
fn weigh(a: &mut Assembler, candidate: u32) {
    let less = a.label("less");
    emit_mixed(a, candidate);
    a.jump_if(Cond::Lt, R1, R3, less);
    a.mov(R3, R1);
    a.mov32(R2, candidate as i32);
    a.store(Size::W, R7, CHOSEN, R2);
    a.bind(less);
}
