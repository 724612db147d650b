//! Entry points for fuzzers: each takes any bytes and panics only on a defect.

use crate::{Insn, Program};

/// Reads the bytes as a program's text. What is understood must survive being printed and read
/// again, and consist of known instructions.
pub fn parse_text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let Ok(program) = Program::parse(text) else {
        return;
    };
    let printed = program.to_string();
    assert_eq!(Program::parse(&printed).as_ref(), Ok(&program), "{printed}");
    for insn in program.insns() {
        assert_eq!(Insn::decode(insn.encode()), *insn);
        assert!(insn.operation().is_some(), "{insn}");
    }
}
