//! A finished program: a value that no kernel object is part of.

use std::collections::BTreeSet;
use std::fmt;

use crate::insn::Insn;

/// A map of the module, by the number that the module gives it. The file descriptor behind it is
/// known only when the program is loaded.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct MapId(pub u32);

impl fmt::Display for MapId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "map[{}]", self.0)
    }
}

/// A 64-bit load whose number is the file descriptor of a map.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Relocation {
    /// Index of the first of the two slots.
    pub insn: usize,
    /// The map.
    pub map: MapId,
}

/// A name for a place in a program.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct LabelAt {
    /// Index of the instruction that follows the label.
    pub insn: usize,
    /// The name, unique in its program.
    pub name: String,
}

/// A line of comment in a program.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Comment {
    /// Index of the instruction that follows the comment.
    pub insn: usize,
    /// The line, without the leading `;`.
    pub text: String,
}

/// A program whose jumps are resolved and whose maps are still symbolic.
///
/// Made by [`crate::Assembler::finish`] or [`Program::parse`], so its jumps land inside it, all of
/// it can be reached, and it doesn't run off its end. `Display` prints its text form.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    pub(crate) name: String,
    pub(crate) insns: Vec<Insn>,
    pub(crate) relocations: Vec<Relocation>,
    pub(crate) labels: Vec<LabelAt>,
    pub(crate) comments: Vec<Comment>,
}

/// A map of the program has no file descriptor.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{program}: instruction {insn} loads {map}, which has no file descriptor")]
pub struct EncodeError {
    /// Name of the program.
    pub program: String,
    /// Index of the instruction.
    pub insn: usize,
    /// The map.
    pub map: MapId,
}

impl Program {
    /// The name given to the assembler.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// All slots in order. The constants of map loads are zero.
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }

    /// Number of slots; a 64-bit load counts as two, as the kernel counts.
    pub fn len(&self) -> usize {
        self.insns.len()
    }

    /// Never true of a finished program.
    pub fn is_empty(&self) -> bool {
        self.insns.is_empty()
    }

    /// The maps that the program loads, each once.
    pub fn maps(&self) -> BTreeSet<MapId> {
        self.relocations
            .iter()
            .map(|relocation| relocation.map)
            .collect()
    }

    /// Every map load, in order of instructions.
    pub fn relocations(&self) -> &[Relocation] {
        &self.relocations
    }

    /// Every label, in order of instructions.
    pub fn labels(&self) -> &[LabelAt] {
        &self.labels
    }

    /// Every line of comment, in order of instructions.
    pub fn comments(&self) -> &[Comment] {
        &self.comments
    }

    /// The map that the 64-bit load at this slot loads.
    pub fn map_at(&self, insn: usize) -> Option<MapId> {
        let at = self
            .relocations
            .binary_search_by_key(&insn, |relocation| relocation.insn)
            .ok()?;
        self.relocations.get(at).map(|relocation| relocation.map)
    }

    /// The bytes that the kernel takes, with `map_fd`'s file descriptors put into the map loads.
    ///
    /// # Errors
    /// A map for which `map_fd` has none.
    pub fn encode(&self, map_fd: impl Fn(MapId) -> Option<i32>) -> Result<Vec<u8>, EncodeError> {
        let mut bytes: Vec<u8> = self.insns.iter().flat_map(|insn| insn.encode()).collect();
        for &Relocation { insn, map } in &self.relocations {
            let fd = map_fd(map).ok_or_else(|| EncodeError {
                program: self.name.clone(),
                insn,
                map,
            })?;
            let at = insn * Insn::LEN + 4;
            if let Some(imm) = bytes.get_mut(at..at + 4) {
                imm.copy_from_slice(&fd.to_le_bytes());
            }
        }
        Ok(bytes)
    }

    /// The first label at this instruction.
    pub(crate) fn label_at(&self, insn: usize) -> Option<&str> {
        let at = self.labels.partition_point(|label| label.insn < insn);
        self.labels
            .get(at)
            .filter(|label| label.insn == insn)
            .map(|label| label.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Assembler, Reg};

    fn uses_two_maps() -> Program {
        let mut asm = Assembler::new("two");
        asm.load_map(Reg::R1, MapId(7));
        asm.load_map_value(Reg::R2, MapId(3), 16);
        asm.load_map(Reg::R3, MapId(7));
        asm.mov(Reg::R0, 0);
        asm.exit();
        asm.finish().unwrap()
    }

    #[test]
    fn descriptors_are_put_in() {
        let program = uses_two_maps();
        assert_eq!(
            program.maps().into_iter().collect::<Vec<_>>(),
            [MapId(3), MapId(7)]
        );
        let bytes = program.encode(|map| Some(map.0 as i32 * 10)).unwrap();
        assert_eq!(bytes[..8], [0x18, 0x11, 0, 0, 70, 0, 0, 0]);
        assert_eq!(bytes[8..16], [0; 8]);
        assert_eq!(bytes[16..24], [0x18, 0x22, 0, 0, 30, 0, 0, 0]);
        assert_eq!(bytes[24..32], [0, 0, 0, 0, 16, 0, 0, 0]);
        assert_eq!(bytes[32..40], [0x18, 0x13, 0, 0, 70, 0, 0, 0]);
        assert_eq!(bytes.len(), program.len() * Insn::LEN);
    }

    #[test]
    fn missing_descriptor_names_the_map() {
        let error = uses_two_maps()
            .encode(|map| (map.0 == 7).then_some(5))
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "two: instruction 2 loads map[3], which has no file descriptor"
        );
    }
}
