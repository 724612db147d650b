//! The text form: the golden sample, round trips and located errors.

#![allow(clippy::unwrap_used)]

use aorta_ebpf::{
    AluOp, Assembler, AtomicOp, ByteOrder, Cond, Helper, Label, MapId, Operand, ParseErrorKind,
    Program, Reg, Size, Width,
};
use proptest::prelude::*;
use proptest::sample::select;

/// Re-bless with `INSTA_UPDATE=always`.
#[test]
fn sample_is_printed_in_canonical_form() {
    let text = include_str!("../corpus/text/every_form");
    let program = Program::parse(text).unwrap();
    insta::assert_snapshot!(program);
    assert_eq!(Program::parse(&program.to_string()), Ok(program));
}

/// One step of a random program.
#[derive(Clone, Debug)]
enum Step {
    Alu(AluOp, Width, Reg, Operand),
    Swap(ByteOrder, Size, Reg),
    Load(Size, Reg, Reg, i16),
    Store(Size, Reg, i16, Operand),
    Atomic(AtomicOp, Size, Reg, i16, Reg),
    MayGoto(usize),
    Branch(Cond, Width, Reg, Operand, usize),
    Goto(usize),
    Call(Helper),
    Number(Reg, u64),
    Map(Reg, u32),
    MapValue(Reg, u32, u32),
    Comment(String),
    Label(String),
}

fn reg() -> impl Strategy<Value = Reg> {
    select(&Reg::ALL[..])
}

fn written() -> impl Strategy<Value = Reg> {
    select(&Reg::ALL[..10])
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![
        reg().prop_map(Operand::Reg),
        any::<i32>().prop_map(Operand::Imm)
    ]
}

fn size() -> impl Strategy<Value = Size> {
    select(&Size::ALL[..])
}

fn width() -> impl Strategy<Value = Width> {
    prop_oneof![Just(Width::W32), Just(Width::W64)]
}

/// Constants that would be refused become valid ones.
fn alu(op: AluOp, width: Width, dst: Reg, src: Operand) -> Step {
    let src = match (op, src) {
        (AluOp::Neg, _) => Operand::Imm(0),
        (AluOp::Lsh | AluOp::Rsh | AluOp::Arsh, Operand::Imm(imm)) => {
            Operand::Imm(imm.rem_euclid(width.bits()))
        }
        (AluOp::Div | AluOp::Mod, Operand::Imm(0)) => Operand::Imm(1),
        _ => src,
    };
    Step::Alu(op, width, dst, src)
}

fn step() -> impl Strategy<Value = Step> {
    let orders = prop_oneof![
        Just(ByteOrder::Le),
        Just(ByteOrder::Be),
        Just(ByteOrder::Swap)
    ];
    prop_oneof![
        4 => (select(AluOp::ALL), width(), written(), operand())
            .prop_map(|(op, width, dst, src)| alu(op, width, dst, src)),
        1 => (orders, select(&Size::ALL[1..]), written()).prop_map(|(o, s, r)| Step::Swap(o, s, r)),
        1 => (size(), written(), reg(), any::<i16>()).prop_map(|(s, d, b, o)| Step::Load(s, d, b, o)),
        1 => (size(), reg(), any::<i16>(), operand()).prop_map(|(s, b, o, v)| Step::Store(s, b, o, v)),
        1 => (select(AtomicOp::ALL), select(&Size::ALL[2..]), reg(), any::<i16>(), written())
            .prop_map(|(a, s, b, o, v)| Step::Atomic(a, s, b, o, v)),
        1 => any::<usize>().prop_map(Step::MayGoto),
        3 => (select(Cond::ALL), width(), reg(), operand(), any::<usize>())
            .prop_map(|(c, w, d, v, to)| Step::Branch(c, w, d, v, to)),
        1 => any::<usize>().prop_map(Step::Goto),
        1 => select(Helper::ALL).prop_map(Step::Call),
        1 => (written(), any::<u64>()).prop_map(|(r, v)| Step::Number(r, v)),
        1 => (written(), any::<u32>()).prop_map(|(r, m)| Step::Map(r, m)),
        1 => (written(), any::<u32>(), any::<u32>()).prop_map(|(r, m, o)| Step::MapValue(r, m, o)),
        1 => any::<String>().prop_map(Step::Comment),
        2 => any::<String>().prop_map(Step::Label),
        1 => "[a-z]{1,3}".prop_map(Step::Label),
    ]
}

fn build(name: &str, steps: &[Step]) -> Program {
    let mut asm = Assembler::new(name);
    let mut labels: Vec<Label> = vec![asm.label("end")];
    for step in steps {
        if let Step::Label(name) = step {
            labels.push(asm.label(name));
        }
    }
    let mut next = 1;
    for step in steps {
        match step {
            Step::Label(_) => {
                asm.bind(labels[next]);
                next += 1;
            }
            Step::Branch(cond, Width::W64, dst, src, to) => {
                asm.jump_if(*cond, *dst, *src, labels[to % labels.len()]);
            }
            Step::Branch(cond, Width::W32, dst, src, to) => {
                asm.jump_if32(*cond, *dst, *src, labels[to % labels.len()]);
            }
            Step::MayGoto(to) => asm.may_goto(labels[to % labels.len()]),
            Step::Goto(to) => {
                // What follows must stay reachable.
                let over = asm.label("over");
                asm.jump_if(Cond::Eq, Reg::R0, 0, over);
                asm.jump(labels[to % labels.len()]);
                asm.bind(over);
            }
            step => straight(&mut asm, step),
        }
    }
    asm.bind(labels[0]);
    asm.exit();
    asm.finish().unwrap()
}

fn straight(asm: &mut Assembler, step: &Step) {
    match step.clone() {
        Step::Alu(op, width, dst, src) => asm.alu(op, width, dst, src),
        Step::Swap(order, size, dst) => asm.swap(order, size, dst),
        Step::Load(size, dst, base, off) => asm.load(size, dst, base, off),
        Step::Store(size, base, off, src) => asm.store(size, base, off, src),
        Step::Atomic(op, size, base, off, src) => asm.atomic(op, size, base, off, src),
        Step::Call(helper) => asm.call(helper),
        Step::Number(dst, value) => asm.load_imm64(dst, value),
        Step::Map(dst, map) => asm.load_map(dst, MapId(map)),
        Step::MapValue(dst, map, off) => asm.load_map_value(dst, MapId(map), off),
        Step::Comment(text) => asm.comment(text),
        Step::Branch(..) | Step::MayGoto(_) | Step::Goto(_) | Step::Label(_) => {
            unreachable!("not straight")
        }
    }
}

proptest! {
    #[test]
    fn printed_programs_read_back(name: String, steps in prop::collection::vec(step(), 0..40)) {
        let program = build(&name, &steps);
        let text = program.to_string();
        let read = Program::parse(&text);
        prop_assert_eq!(read, Ok(program), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused(text in "program p\n([ -~]{0,20}\n){0,6}") {
        aorta_ebpf::fuzzing::parse_text(text.as_bytes());
    }

    /// Texts that are nearly right reach further into the parser.
    #[test]
    fn damaged_programs_are_read_or_refused(
        steps in prop::collection::vec(step(), 1..10), at: prop::sample::Index, with: u8,
    ) {
        let mut bytes = build("p", &steps).to_string().into_bytes();
        let at = at.index(bytes.len());
        bytes[at] = with;
        aorta_ebpf::fuzzing::parse_text(&bytes);
    }
}

#[test]
fn far_jump_keeps_its_form() {
    let mut asm = Assembler::new("far");
    let end = asm.label("end");
    let near = asm.label("near");
    asm.jump_if(Cond::Eq, Reg::R0, 0, near);
    asm.jump(end);
    asm.bind(near);
    for _ in 0..40_000 {
        asm.mov(Reg::R0, 0);
    }
    asm.bind(end);
    asm.exit();
    let program = asm.finish().unwrap();
    let text = program.to_string();
    assert!(text.contains("\n    gotol end\n"));
    assert_eq!(Program::parse(&text), Ok(program));
}

#[test]
fn errors_are_located() {
    let cases = [
        ("", "line 1, column 1: expected a program"),
        (
            "\n prog x",
            "line 2, column 1: expected \"program\" and a name",
        ),
        (
            "program p\n\n  r1 = *(u31 *)(r1 + 0)",
            "line 3, column 10: expected u8, u16, u32 or u64",
        ),
        (
            "program p\n r1 = *(u8 *)(r1 + 40000)",
            "line 2, column 20: expected an offset of 16 bits",
        ),
        (
            "program p\n r1 += w2",
            "line 2, column 8: expected a register of the same width",
        ),
        (
            "program p\n r1 = 2147483648",
            "line 2, column 7: expected a register or a number of 32 bits",
        ),
        (
            "program p\n r11 = 1",
            "line 2, column 2: expected a register",
        ),
        (
            "program p\n r1 = -r2",
            "line 2, column 8: expected the register that is assigned",
        ),
        (
            "program p\n call nothing",
            "line 2, column 7: nothing is not a known helper",
        ),
        (
            "program p\n if r1 = 4 goto x",
            "line 2, column 8: expected a comparison",
        ),
        ("program p\n goto", "line 2, column 6: expected a label"),
        (
            "program p\n exit 0",
            "line 2, column 7: expected the end of the line",
        ),
        (
            "program p\n é",
            "line 2, column 2: neither a word, a number nor an operator",
        ),
        (
            "program p\n r0 = 0",
            "line 2, column 1: p: instruction 0 (r0 = 0) leads past the end",
        ),
        (
            "program p\n r0 = 0\n ; so\n if r0 == 1 goto gone\n exit",
            "line 4, column 1: p: instruction 1 (if r0 == 1 goto +0) jumps to label gone, which is not bound",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(
            Program::parse(text).unwrap_err().to_string(),
            expected,
            "{text}"
        );
    }
}

#[test]
fn refused_program_keeps_its_cause() {
    let error = Program::parse("program p\n exit\n exit").unwrap_err();
    assert_eq!(error.line, 3);
    assert!(matches!(error.kind, ParseErrorKind::Assemble(_)));
}
