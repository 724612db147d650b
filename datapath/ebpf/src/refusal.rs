//! What the kernel's verifier says about a program, shown on the program's own text.

use std::fmt;

use crate::program::Program;

/// Instructions shown before and after the refused one.
const AROUND: usize = 3;

/// What the verifier of an older kernel says of instructions that it doesn't have, and what they are.
const NEWER: [(&str, &str); 2] = [
    (
        "unknown opcode 06",
        "this kernel has no gotol: Linux 6.6 or newer is needed",
    ),
    (
        "unknown opcode e5",
        "this kernel has no may_goto: flow tables need Linux 6.9 or newer",
    ),
];

/// A program that the verifier refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// Index of the refused instruction, if the log tells.
    pub insn: Option<usize>,
    /// The verifier's words, joined by `; ` where they are several lines, and the kernel that is
    /// needed where they mean that this one is too old.
    pub reason: String,
    /// The program's text around the instruction, which `>` marks, and the reason below it.
    pub excerpt: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.insn {
            Some(insn) => write!(f, "refused at instruction {insn}: {}", self.reason),
            None => write!(f, "refused: {}", self.reason),
        }
    }
}

/// The reason of a refusal whose log says none.
pub const NO_REASON: &str = "the verifier's log gives no reason";

/// Finds in a verifier log (level 1 or 2, as `BPF_PROG_LOAD` returns it) which instruction was
/// refused and why. A truncated log gives what it has.
pub fn refusal(log: &str, program: &Program) -> Refusal {
    let (step, message) = last_step(log);
    let mut reason = match &message[..] {
        [] => NO_REASON.to_owned(),
        lines => lines.join("; "),
    };
    if let Some((_, needed)) = NEWER.iter().find(|(words, _)| reason == *words) {
        reason = format!("{reason} ({needed})");
    }
    // Checks of the program as a whole name the instruction in their words and walk no steps.
    let named = message.iter().find_map(|line| named_insn(line));
    let insn = named.or(step).filter(|&insn| insn < program.len());
    let excerpt = excerpt(program, insn, &reason);
    Refusal {
        insn,
        reason,
        excerpt,
    }
}

/// The instruction of the last verified step, and what follows it without the noise.
fn last_step(log: &str) -> (Option<usize>, Vec<&str>) {
    let mut step = None;
    let mut message = Vec::new();
    for line in log.lines().map(|line| line.trim_matches(['\0', ' ', '\t'])) {
        if let Some(insn) = step_insn(line) {
            step = Some(insn);
            message.clear();
            message.extend(after_jump(line).filter(|rest| !is_noise(rest)));
        } else if !is_noise(line) {
            message.push(line);
        }
    }
    (step, message)
}

/// `12` of `12: (71) r0 = *(u8 *)(r2 +14) ; R0_w=scalar()`.
fn step_insn(line: &str) -> Option<usize> {
    let (number, rest) = line.split_once(": (")?;
    let code = rest.get(..3)?;
    let is_code = code.ends_with(')') && code.bytes().take(2).all(|c| c.is_ascii_hexdigit());
    if is_code { number.parse().ok() } else { None }
}

/// What follows the distance of a jump on its line: at level 1 the verifier's sentence can stand
/// there, where a register state would.
fn after_jump(line: &str) -> Option<&str> {
    let (_, rest) = line.split_once(" goto pc")?;
    let rest = rest.trim_start_matches(['+', '-']);
    Some(after_number(rest).trim_start()).filter(|rest| !rest.starts_with(';'))
}

/// Lines that tell of state or statistics, not of a mistake.
fn is_noise(line: &str) -> bool {
    const STARTS: [&str; 11] = [
        "processed ",
        "verification time ",
        "stack depth ",
        "mark_precise: ",
        "func#",
        "SCC ",
        "(0) ",
        "Live regs before insn:",
        "; ",
        "cur state:",
        "old state:",
    ];
    line.is_empty()
        || line == ";"
        || STARTS.iter().any(|start| line.starts_with(start))
        || is_state(line)
        || is_registers(line)
}

/// `12: R1=ctx() R10=fp0`, `from 5 to 7: R0=…`, and the like.
fn is_state(line: &str) -> bool {
    let Some((head, rest)) = line.split_once(':') else {
        return false;
    };
    let is_place = head.parse::<usize>().is_ok()
        || head.split_once(" to ").is_some_and(|(from, to)| {
            from.strip_prefix("from ")
                .is_some_and(|from| from.parse::<usize>().is_ok())
                && to
                    .split(' ')
                    .next()
                    .is_some_and(|to| to.parse::<usize>().is_ok())
        });
    let rest = rest.trim_start();
    is_place && (rest.is_empty() || rest == "safe" || is_registers(rest))
}

/// `R1=ctx() R2_w=scalar()` and `frame1: R1=ctx()`; a sentence about a register has a space after
/// its name.
fn is_registers(line: &str) -> bool {
    if let Some(rest) = line.strip_prefix("frame") {
        return after_number(rest).starts_with(':');
    }
    line.strip_prefix('R')
        .is_some_and(|rest| after_number(rest).starts_with(['=', '_']))
}

fn after_number(text: &str) -> &str {
    text.trim_start_matches(|c: char| c.is_ascii_digit())
}

/// `9` of `back-edge from insn 9 to 3`, `unreachable insn 9`, `… detected at insn 9`.
fn named_insn(line: &str) -> Option<usize> {
    let (_, rest) = line.split_once("insn ")?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest.get(..digits)?.parse().ok()
}

fn excerpt(program: &Program, insn: Option<usize>, reason: &str) -> String {
    let Some(mut insn) = insn else {
        return format!("{}: {reason}\n", program.name());
    };
    // The verifier counts the second slot of a 64-bit load, which has no line of its own.
    if program.text_of(insn).is_none() {
        insn = insn.saturating_sub(1);
    }
    let mut text = format!("program {}\n", program.name());
    let shown = insn.saturating_sub(AROUND)..=insn + AROUND;
    for line in program
        .lines()
        .iter()
        .filter(|line| shown.contains(&line.insn))
    {
        let mark = if line.is_insn && line.insn == insn {
            '>'
        } else {
            ' '
        };
        let number = if line.is_insn {
            line.insn.to_string()
        } else {
            String::new()
        };
        text.push_str(&format!("{mark} {number:>5} {}\n", line.text));
    }
    text.push_str(&format!("  {reason}\n"));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRAM: &str = "program entry
        r6 = r1
        r2 = *(u32 *)(r1 + 76)
        r3 = *(u32 *)(r1 + 80)
        r4 = 0x100000000 ll
        r4 = r2
        r4 += 14
        if r4 > r3 goto drop
    ipv4:
        ; source address
        r0 = *(u32 *)(r2 + 14)
        if r0 == 0 goto ipv4
        exit
    drop:
        r0 = 2
        exit";

    fn refused(log: &str) -> Refusal {
        refusal(log, &Program::parse(PROGRAM).unwrap())
    }

    #[test]
    fn packet_access_is_shown_in_its_place() {
        let log = "\
func#0 @0
0: R1=ctx() R10=fp0
0: (bf) r6 = r1                       ; R1=ctx() R6_w=ctx()
1: (61) r2 = *(u32 *)(r1 +76)         ; R1=ctx() R2_w=pkt(r=0)
7: (2d) if r4 > r3 goto pc+3          ; R3_w=pkt_end() R4_w=pkt(off=14,r=14)
8: (61) r0 = *(u32 *)(r2 +14)
invalid access to packet, off=14 size=4, R2(id=0,off=14,r=14)
R2 offset is outside of the packet
processed 9 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
";
        let refusal = refused(log);
        assert_eq!(refusal.insn, Some(8));
        assert_eq!(
            refusal.to_string(),
            "refused at instruction 8: invalid access to packet, off=14 size=4, \
             R2(id=0,off=14,r=14); R2 offset is outside of the packet"
        );
        let shown = "\
program entry
      5     r4 = r2
      6     r4 += 14
      7     if r4 > r3 goto drop
        ipv4:
            ; source address
>     8     r0 = *(u32 *)(r2 + 14)
      9     if r0 == 0 goto ipv4
     10     exit
        drop:
     11     r0 = 2
  invalid access to packet, off=14 size=4, R2(id=0,off=14,r=14); R2 offset is outside of the packet
";
        assert_eq!(refusal.excerpt, shown);
    }

    #[test]
    fn scalar_used_as_pointer() {
        let log = "\
0: R1=ctx() R10=fp0
0: (bf) r6 = r1                       ; R1=ctx() R6_w=ctx()
from 7 to 8: R0=scalar() R1=ctx() R10=fp0
8: R0=scalar() R1=ctx() R10=fp0
; source address @ entry.c:8
8: (61) r0 = *(u32 *)(r2 +14)
R2 invalid mem access 'scalar'
verification time 63 usec
stack depth 0
processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n\0";
        let refusal = refused(log);
        assert_eq!(refusal.insn, Some(8));
        assert_eq!(refusal.reason, "R2 invalid mem access 'scalar'");
    }

    #[test]
    fn checks_of_the_whole_name_their_instruction() {
        for (log, insn) in [
            ("back-edge from insn 9 to 8\n", 9),
            ("unreachable insn 10\n", 10),
            ("jump out of range from insn 7 to 400\n", 7),
            (
                "0: (b7) r0 = 0\n9: (15) if r0 == 0x0 goto pc-2\ninfinite loop detected at insn 8\n",
                8,
            ),
        ] {
            assert_eq!(refused(log).insn, Some(insn), "{log}");
        }
        let refusal = refused("back-edge from insn 9 to 8\nprocessed 0 insns (limit 1000000)\n");
        assert_eq!(refusal.reason, "back-edge from insn 9 to 8");
        assert!(
            refusal
                .excerpt
                .contains("\n>     9     if r0 == 0 goto ipv4\n")
        );
    }

    #[test]
    fn sentence_on_the_line_of_a_jump() {
        let log = "\
9: (15) if r0 == 0x0 goto pc-2 8: R0=0 R1=ctx() R10=fp0
9: (15) if r0 == 0x0 goto pc-2 infinite loop detected at insn 9
cur state: R0=0 R1=ctx() R10=fp0
old state: R0=0 R1=ctx() R10=fp0
processed 10 insns (limit 1000000) max_states_per_insn 0 total_states 1 peak_states 1 mark_read 0
";
        let refusal = refused(log);
        assert_eq!(
            refusal.to_string(),
            "refused at instruction 9: infinite loop detected at insn 9"
        );
    }

    /// The most detailed level, as its end looks.
    #[test]
    fn detailed_log() {
        let log = "\
func#0 @0
Live regs before insn:
      0: .1........ (bf) r6 = r1
  1   8: 01........ (61) r0 = *(u32 *)(r2 +14)
5: (bf) r4 = r2                       ; R2=fp0 R4=fp0
6: (1f) r4 -= r6
mark_precise: frame0: last_idx 3 first_idx 0 subseq_idx -1 
mark_precise: frame0: regs=r6 stack= before 5: (bf) r4 = r2
SCC enter (1)
(0) frame 0 insn 5 +live -8 
R4 subtraction from stack pointer prohibited
processed 4 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
";
        let refusal = refused(log);
        assert_eq!(refusal.insn, Some(6));
        assert_eq!(
            refusal.reason,
            "R4 subtraction from stack pointer prohibited"
        );
    }

    #[test]
    fn map_value_arithmetic() {
        let log = "\
6: (0f) r4 += r3
math between map_value pointer and register with unbounded min value is not allowed
processed 7 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0
";
        let refusal = refused(log);
        assert_eq!(refusal.insn, Some(6));
        assert!(refusal.reason.starts_with("math between map_value pointer"));
        assert!(refusal.excerpt.contains("\n>     6     r4 += 14\n"));
    }

    #[test]
    fn too_much_to_verify_is_kept_whole() {
        let log = "5: (bf) r4 = r2\nBPF program is too large. Processed 1000001 insn\n\
                   processed 1000001 insns (limit 1000000)\n";
        assert_eq!(
            refused(log).reason,
            "BPF program is too large. Processed 1000001 insn"
        );
        assert_eq!(refused(log).insn, Some(5));
    }

    #[test]
    fn second_slot_points_at_its_load() {
        let refusal = refused("4: (00) whatever\nunknown opcode 00\n");
        assert!(
            refusal
                .excerpt
                .contains("\n>     3     r4 = 0x100000000 ll\n")
        );
    }

    #[test]
    fn instructions_of_newer_kernels_name_the_kernel() {
        assert_eq!(
            refused("unknown opcode e5\n").reason,
            "unknown opcode e5 (this kernel has no may_goto: flow tables need Linux 6.9 or newer)"
        );
        assert!(refused("unknown opcode 06\n").reason.contains("Linux 6.6"));
        assert_eq!(refused("unknown opcode 00\n").reason, "unknown opcode 00");
    }

    #[test]
    fn poor_logs_give_what_they_have() {
        let refusal = refused("");
        assert_eq!(
            (refusal.insn, &*refusal.reason),
            (None, "the verifier's log gives no reason")
        );
        assert_eq!(refused("900: (95) exit\nR0 !read_ok\n").insn, None);
        assert_eq!(refused("1: (61) r2 = *(u32").insn, Some(1));
        assert!(refused("1: (é").reason.contains('é'));
    }
}
