//! What the kernel's verifier refuses comes back with the place in the program. Needs root.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use aorta_ebpf::Program;
use aorta_kernel::{LoadError, Loader};

const BEYOND_THE_FRAME: &str = "program bad
    r2 = *(u32 *)(r1 + 76)
    r3 = *(u32 *)(r1 + 80)
    r4 = r2
    r4 += 14
    if r4 > r3 goto out
    r0 = *(u8 *)(r2 + 14)
    exit
out:
    r0 = 2
    exit
";

#[test]
fn a_refused_program_is_shown_around_the_refused_instruction() {
    let program = Program::parse(BEYOND_THE_FRAME).unwrap();
    let error = Loader::new().load(&program, |_| None).unwrap_err();
    let LoadError::Refused {
        program,
        reason,
        excerpt,
    } = &error
    else {
        panic!("{error:?}")
    };
    assert_eq!(program, "bad");
    assert!(reason.contains("invalid access to packet"), "{reason}");
    let marked = excerpt
        .lines()
        .find(|line| line.contains('>') && line.contains("r0 ="));
    assert!(
        marked.is_some_and(|line| line.contains("r2 + 14")),
        "{excerpt}"
    );
    assert!(excerpt.contains("if r4 > r3 goto out"), "{excerpt}");
}

#[test]
fn a_loader_goes_on_after_a_refusal() {
    let mut loader = Loader::new();
    let bad = Program::parse(BEYOND_THE_FRAME).unwrap();
    assert!(loader.load(&bad, |_| None).is_err());
    let good = Program::parse("program good\n    r0 = 2\n    exit\n").unwrap();
    let run = loader
        .load(&good, |_| None)
        .unwrap()
        .test_run(&[0; 14], 1)
        .unwrap();
    assert_eq!(run.verdict, 2);
}

/// Each way through the program leaves four pointers elsewhere, which the verifier tells apart.
fn slow_program() -> Program {
    let mut text = "program slow\n".to_owned();
    for register in 6..10 {
        text += &format!("    r{register} = r10\n    r{register} += -8\n");
    }
    for step in 0..100 {
        let register = 6 + step % 4;
        text += &format!(
            "    r0 = *(u32 *)(r1 + 0)\n    if r0 > {step} goto on{step}\n    r{register} += -8\n\
             on{step}:\n"
        );
    }
    for register in 6..10 {
        text += &format!("    *(u64 *)(r{register} + 0) = r0\n");
    }
    Program::parse(&(text + "    r0 = 2\n    exit\n")).unwrap()
}

#[test]
fn a_program_that_takes_too_long_to_check_is_given_up() {
    let slow = slow_program();
    let mut loader = Loader::new().with_patience(Duration::from_millis(5));
    let error = loader.load(&slow, |_| None).map(|_| ()).unwrap_err();
    let LoadError::TooSlow { program, insns, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!((program.as_str(), *insns), ("slow", slow.len()));
    let good = Program::parse(&format!(
        "program good\n{}    exit\n",
        "    r0 = 2\n".repeat(400)
    ));
    loader.load(&good.unwrap(), |_| None).unwrap();
}

#[test]
fn a_map_that_is_not_there_is_named() {
    let program = Program::parse("program lost\n    r1 = map[9]\n    r0 = 0\n    exit\n").unwrap();
    let error = Loader::new().load(&program, |_| None).unwrap_err();
    assert!(matches!(error, LoadError::Encode { .. }), "{error}");
}
