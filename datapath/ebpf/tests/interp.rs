//! Programs run in the interpreter.

#![allow(clippy::unwrap_used)]

use aorta_ebpf::interp::{Env, Fault, Machine, MapKind, MapSpec, NoHelpers, Run, RunError};
use aorta_ebpf::{Helper, MapId, Program, Reg, Size};

fn program(body: &str) -> Program {
    Program::parse(&format!("program p\n{body}")).unwrap()
}

fn run(machine: &mut Machine, body: &str, env: &mut impl Env) -> Result<Run, RunError> {
    let ctx = machine.skb(&[]);
    machine.run(&program(body), ctx, env)
}

fn verdict(body: &str) -> u64 {
    run(&mut Machine::default(), body, &mut NoHelpers)
        .unwrap()
        .verdict
}

fn fault(body: &str) -> String {
    run(&mut Machine::default(), body, &mut NoHelpers)
        .unwrap_err()
        .to_string()
}

fn counter() -> MapSpec {
    MapSpec {
        kind: MapKind::Array,
        key: 4,
        value: 16,
        max_entries: 1,
    }
}

#[test]
fn immediates_are_sign_extended() {
    assert_eq!(verdict("r0 = -1\nexit"), u64::MAX);
    assert_eq!(verdict("w0 = -1\nexit"), 0xffff_ffff);
    assert_eq!(verdict("r0 = -1\nw0 += 1\nexit"), 0);
    assert_eq!(
        verdict("*(u64 *)(r10 - 8) = -2\nr0 = *(u64 *)(r10 - 8)\nexit"),
        u64::MAX - 1
    );
    assert_eq!(
        verdict("r0 = 0x1122334455667788 ll\nr0 = be32 r0\nexit"),
        0x8877_6655
    );
}

#[test]
fn narrow_accesses_zero_extend() {
    let body = "*(u64 *)(r10 - 8) = -1\n*(u16 *)(r10 - 8) = 0x1234\nr0 = *(u8 *)(r10 - 7)\nexit";
    assert_eq!(verdict(body), 0x12);
}

#[test]
fn loops_end_by_condition_or_budget() {
    let body = "r0 = 0\nagain:\nr0 += 3\nif r0 s< 30 goto again\nexit";
    assert_eq!(verdict(body), 30);
    let mut machine = Machine::default();
    machine.budget = 10;
    let error = run(&mut machine, "a:\nr0 = 0\ngoto a", &mut NoHelpers).unwrap_err();
    assert_eq!(error.fault, Fault::Budget(10));
    assert_eq!(error.insn, 0);
}

#[test]
fn atomic_add_wraps_in_its_size() {
    let body = "*(u64 *)(r10 - 8) = -1\nr1 = 2\nlock *(u32 *)(r10 - 8) += r1\n\
                r0 = *(u64 *)(r10 - 8)\nexit";
    assert_eq!(verdict(body), 0xffff_ffff_0000_0001);
}

#[test]
fn atomics_give_back_what_was_there() {
    let body = |rest: &str| format!("*(u64 *)(r10 - 8) = 7\nr1 = 2\n{rest}\nexit");
    let fetched =
        "lock fetch_add *(u64 *)(r10 - 8) = r1\nr0 = *(u64 *)(r10 - 8)\nr0 <<= 8\nr0 |= r1";
    assert_eq!(verdict(&body(fetched)), 0x907);
    let exchanged =
        "lock exchange *(u32 *)(r10 - 8) = r1\nr0 = *(u64 *)(r10 - 8)\nr0 <<= 8\nr0 |= r1";
    assert_eq!(verdict(&body(exchanged)), 0x207);
    for (expected, stored) in [(7, 2), (8, 7)] {
        let compared = format!(
            "r0 = {expected}\nlock compare_exchange *(u64 *)(r10 - 8) = r1\n\
             r0 <<= 8\nr1 = *(u64 *)(r10 - 8)\nr0 |= r1"
        );
        assert_eq!(verdict(&body(&compared)), 0x700 + stored);
    }
}

#[test]
fn may_goto_jumps_when_no_loops_are_left() {
    let mut machine = Machine::default();
    machine.loops_left = 5;
    let body = "r0 = 0\nagain:\nmay_goto over\nr0 += 1\ngoto again\nover:\nexit";
    assert_eq!(run(&mut machine, body, &mut NoHelpers).unwrap().verdict, 5);
}

#[test]
fn errors_name_the_instruction() {
    assert_eq!(
        fault("r0 = r7\nexit"),
        "p: instruction 0 (r0 = r7): r7 has no value"
    );
    assert_eq!(
        fault("r0 = 0\n*(u32 *)(r10 - 2) = 1\nexit"),
        "p: instruction 1 (*(u32 *)(r10 - 2) = 1): 4 bytes at offset 510 of the \
         stack, which has 512"
    );
    assert_eq!(
        fault("r0 = *(u8 *)(r10 - 513)\nexit"),
        "p: instruction 0 (r0 = *(u8 *)(r10 - 513)): 1 bytes at offset -1 of the \
         stack, which has 512"
    );
    assert_eq!(
        fault("call jiffies64\nexit"),
        "p: instruction 0 (call jiffies64): jiffies64: not offered"
    );
    assert_eq!(
        fault("r1 = map[1]\nr2 = r10\nr2 += -4\ncall map_lookup_elem\nexit"),
        "p: instruction 4 (call map_lookup_elem): map[1] can't be used here"
    );
    assert_eq!(fault("exit"), "p: instruction 0 (exit): r0 has no value");
}

/// The bounds check of every packet program, on frames around the limit.
#[test]
fn packets_are_bounded() {
    let parse = program(
        "r2 = *(u32 *)(r1 + 76)
         r3 = *(u32 *)(r1 + 80)
         r4 = r2
         r4 += 14
         r0 = 2
         if r4 > r3 goto out
         r0 = *(u16 *)(r2 + 12)
         r0 = be16 r0
         *(u8 *)(r2 + 0) = 9
     out:
         exit",
    );
    let mut frame = vec![0; 14];
    frame[12] = 0x86;
    frame[13] = 0xdd;
    let mut machine = Machine::default();
    let ctx = machine.skb(&frame);
    assert_eq!(
        machine.run(&parse, ctx, &mut NoHelpers).unwrap().verdict,
        0x86dd
    );
    assert_eq!(machine.memory.packet()[0], 9);
    machine.replace_packet(ctx, &frame[..13]).unwrap();
    assert_eq!(machine.run(&parse, ctx, &mut NoHelpers).unwrap().verdict, 2);
}

#[test]
fn map_values_are_shared_between_runs() {
    let body = "r1 = &map[5] + 8\nr2 = 3\nlock *(u64 *)(r1 + 0) += r2\nr0 = 0\nexit";
    let mut machine = Machine::default();
    machine.maps.create(MapId(5), counter());
    for _ in 0..2 {
        run(&mut machine, body, &mut NoHelpers).unwrap();
    }
    let Machine { memory, maps, .. } = &mut machine;
    let value = maps.lookup(memory, MapId(5), &[0; 4]).unwrap();
    assert_eq!(memory.load(Size::Dw, value + 8), Ok(6));
    assert_eq!(memory.load(Size::Dw, value), Ok(0));
}

#[test]
fn map_helpers_update_look_up_and_delete() {
    let body = "
        *(u32 *)(r10 - 4) = 7
        *(u64 *)(r10 - 16) = 42
        r1 = map[1]
        r2 = r10
        r2 += -4
        r3 = r10
        r3 += -16
        r4 = 1
        call map_update_elem
        if r0 != 0 goto out
        r1 = map[1]
        r2 = r10
        r2 += -4
        call map_lookup_elem
        if r0 == 0 goto out
        r6 = *(u64 *)(r0 + 0)
        r1 = map[1]
        r2 = r10
        r2 += -4
        call map_delete_elem
        r0 += r6
    out:
        exit";
    let mut machine = Machine::default();
    let spec = MapSpec {
        kind: MapKind::Hash,
        key: 4,
        value: 8,
        max_entries: 1,
    };
    machine.maps.create(MapId(1), spec);
    assert_eq!(run(&mut machine, body, &mut NoHelpers).unwrap().verdict, 42);
    assert_eq!(machine.maps.entries(MapId(1)).count(), 0);
    machine
        .maps
        .update(&mut machine.memory, MapId(1), &[7, 0, 0, 0], &[0; 8], 0)
        .unwrap();
    assert_eq!(
        run(&mut machine, body, &mut NoHelpers).unwrap().verdict as i64,
        -17
    );
}

#[test]
fn helpers_see_arguments_and_clobber_them() {
    let mut seen = Vec::new();
    let mut env = |helper: Helper, args: [u64; 5], _: &mut Machine| {
        seen.push((helper, args));
        Ok(7)
    };
    let mut machine = Machine::default();
    let body = "r1 = 4\nr2 = 0\ncall redirect\nexit";
    assert_eq!(run(&mut machine, body, &mut env).unwrap().verdict, 7);
    let error = run(&mut machine, "call jiffies64\nr0 = r1\nexit", &mut env).unwrap_err();
    assert_eq!(error.fault, Fault::NoValue(Reg::R1));
    assert_eq!(
        seen[0],
        (Helper::Redirect, [4, 0, u64::MAX, u64::MAX, u64::MAX])
    );
}

#[test]
fn helpers_can_replace_the_packet() {
    let mut env = |_: Helper, args: [u64; 5], machine: &mut Machine| {
        machine.replace_packet(args[0], &[1, 2, 3])?;
        Ok(0)
    };
    let mut machine = Machine::default();
    let body = "r6 = r1\ncall skb_vlan_pop\nr0 = *(u32 *)(r6 + 0)\nexit";
    assert_eq!(run(&mut machine, body, &mut env).unwrap().verdict, 3);
}

#[test]
fn tail_calls_continue_or_fall_through() {
    const ARRAY: MapId = MapId(9);
    let call = "r2 = map[9]\nw3 = 0\ncall tail_call\nr0 = 1\nexit";
    let mut machine = Machine::default();
    let empty = run(&mut machine, call, &mut NoHelpers).unwrap();
    assert_eq!((empty.verdict, empty.tail_calls), (1, 0));

    machine.set_program(ARRAY, 0, program("r0 = *(u32 *)(r1 + 0)\nr0 += 5\nexit"));
    let taken = run(&mut machine, call, &mut NoHelpers).unwrap();
    assert_eq!(
        taken,
        Run {
            verdict: 5,
            steps: 6,
            tail_calls: 1
        }
    );

    machine.set_program(ARRAY, 0, program(call));
    let endless = run(&mut machine, call, &mut NoHelpers).unwrap();
    assert_eq!((endless.verdict, endless.tail_calls), (1, 33));

    machine.maps.create(ARRAY, counter());
    assert_eq!(
        run(&mut machine, call, &mut NoHelpers).unwrap_err().fault,
        Fault::Map(ARRAY)
    );
}
