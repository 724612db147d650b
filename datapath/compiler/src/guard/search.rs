//! Searches in lists of constants: binary, in code.

use aorta_ebpf::{Assembler, Cond, Label, Reg};

use Reg::{R1, R2, R3};

/// Lists of up to this many are compared one by one.
const FEW: usize = 3;

/// Goes to the label of the range that the low 32 bits of `reg` are in, or to `miss`. The ranges are in
/// order and apart.
pub fn find32(a: &mut Assembler, reg: Reg, ranges: &[(u32, u32, Label)], miss: Label) {
    if ranges.len() > FEW {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let upper = a.label("upper");
        a.jump_if32(Cond::Ge, reg, high[0].0 as i32, upper);
        find32(a, reg, low, miss);
        a.bind(upper);
        return find32(a, reg, high, miss);
    }
    for (first, last, hit) in ranges {
        if (*first, *last) == (0, u32::MAX) {
            return a.jump(*hit);
        }
        if first == last {
            a.jump_if32(Cond::Eq, reg, *first as i32, *hit);
            continue;
        }
        let next = a.label("next_range");
        a.jump_if32(Cond::Lt, reg, *first as i32, next);
        a.jump_if32(Cond::Le, reg, *last as i32, *hit);
        a.bind(next);
    }
    a.jump(miss);
}

/// As [`find32`] for numbers of which each is one of the list. Uses R1; before it goes to `hit`, `mark`
/// is set to what belongs to the number, if there is one.
pub fn find64(
    a: &mut Assembler,
    reg: Reg,
    (numbers, mark): (&[(u64, i32)], Option<Reg>),
    (hit, miss): (Label, Label),
) {
    if numbers.len() > FEW {
        let (low, high) = numbers.split_at(numbers.len() / 2);
        let upper = a.label("upper");
        a.load_imm64(R1, high[0].0);
        a.jump_if(Cond::Ge, reg, R1, upper);
        find64(a, reg, (low, mark), (hit, miss));
        a.bind(upper);
        return find64(a, reg, (high, mark), (hit, miss));
    }
    for (number, value) in numbers {
        if let Some(mark) = mark {
            a.mov(mark, *value);
        }
        a.load_imm64(R1, *number);
        a.jump_if(Cond::Eq, reg, R1, hit);
    }
    a.jump(miss);
}

/// As [`find32`] for 128 bits, the upper ones in R2, the lower in R3. Uses R1.
pub fn find128(a: &mut Assembler, ranges: &[(u128, u128)], hit: Label, miss: Label) {
    if ranges.len() > FEW {
        let (low, high) = ranges.split_at(ranges.len() / 2);
        let [upper, lower] = ["upper", "lower"].map(|name| a.label(name));
        let (head, tail) = halves(high[0].0);
        a.load_imm64(R1, head);
        a.jump_if(Cond::Gt, R2, R1, upper);
        a.jump_if(Cond::Lt, R2, R1, lower);
        a.load_imm64(R1, tail);
        a.jump_if(Cond::Ge, R3, R1, upper);
        a.bind(lower);
        find128(a, low, hit, miss);
        a.bind(upper);
        return find128(a, high, hit, miss);
    }
    for (first, last) in ranges {
        let next = a.label("next_range");
        let ((head, tail), (last_head, last_tail)) = (halves(*first), halves(*last));
        let whole = (tail, last_tail) == (0, u64::MAX);
        between(a, R2, (head, last_head), (whole.then_some(hit), next));
        if !whole {
            between(a, R3, (tail, last_tail), (Some(hit), next));
        }
        a.bind(next);
    }
    a.jump(miss);
}

/// Goes to `out` unless `first` ≤ `reg` ≤ `last`, then to `hit` if there is one. Uses R1.
fn between(
    a: &mut Assembler,
    reg: Reg,
    (first, last): (u64, u64),
    (hit, out): (Option<Label>, Label),
) {
    let ask = |a: &mut Assembler, cond: Cond, number: u64, to: Label| {
        a.load_imm64(R1, number);
        a.jump_if(cond, reg, R1, to);
    };
    if first == last {
        match hit {
            Some(hit) => ask(a, Cond::Eq, first, hit),
            None => ask(a, Cond::Ne, first, out),
        }
        return;
    }
    if first > 0 {
        ask(a, Cond::Lt, first, out);
    }
    match hit {
        Some(hit) => ask(a, Cond::Le, last, hit),
        None => ask(a, Cond::Gt, last, out),
    }
}

fn halves(number: u128) -> (u64, u64) {
    ((number >> 64) as u64, number as u64)
}
