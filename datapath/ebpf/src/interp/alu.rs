//! Arithmetic and comparisons (RFC 9669 §4.1, §4.2 and §4.3).

use crate::op::{AluOp, ByteOrder, Cond};
use crate::reg::{Size, Width};

fn sign_extend_32(value: u64) -> i64 {
    i64::from(value as u32 as i32)
}

/// `dst op src`; of the 32-bit width only the low halves count, and the high half of the result is
/// zero.
pub(super) fn alu(op: AluOp, width: Width, dst: u64, src: u64) -> u64 {
    match width {
        Width::W64 => full(op, dst, src),
        Width::W32 => u64::from(half(op, dst as u32, src as u32)),
    }
}

fn full(op: AluOp, dst: u64, src: u64) -> u64 {
    // wrapping_sh* take the amount modulo the width, as the machine does.
    match op {
        AluOp::Add => dst.wrapping_add(src),
        AluOp::Sub => dst.wrapping_sub(src),
        AluOp::Mul => dst.wrapping_mul(src),
        AluOp::Div => dst.checked_div(src).unwrap_or(0),
        AluOp::Mod => dst.checked_rem(src).unwrap_or(dst),
        AluOp::Or => dst | src,
        AluOp::And => dst & src,
        AluOp::Xor => dst ^ src,
        AluOp::Mov => src,
        AluOp::Neg => dst.wrapping_neg(),
        AluOp::Lsh => dst.wrapping_shl(src as u32),
        AluOp::Rsh => dst.wrapping_shr(src as u32),
        AluOp::Arsh => (dst as i64).wrapping_shr(src as u32) as u64,
    }
}

/// Most operations of the low halves are the full ones cut; the others depend on the width.
fn half(op: AluOp, dst: u32, src: u32) -> u32 {
    match op {
        AluOp::Lsh => dst.wrapping_shl(src),
        AluOp::Rsh => dst.wrapping_shr(src),
        AluOp::Arsh => (dst as i32).wrapping_shr(src) as u32,
        _ => full(op, dst.into(), src.into()) as u32,
    }
}

/// Whether `a cond b`.
pub(super) fn holds(cond: Cond, width: Width, a: u64, b: u64) -> bool {
    let (a, b, sa, sb) = match width {
        Width::W64 => (a, b, a as i64, b as i64),
        Width::W32 => (
            a as u32 as u64,
            b as u32 as u64,
            sign_extend_32(a),
            sign_extend_32(b),
        ),
    };
    match cond {
        Cond::Eq => a == b,
        Cond::Ne => a != b,
        Cond::Gt => a > b,
        Cond::Ge => a >= b,
        Cond::Lt => a < b,
        Cond::Le => a <= b,
        Cond::Set => a & b != 0,
        Cond::Sgt => sa > sb,
        Cond::Sge => sa >= sb,
        Cond::Slt => sa < sb,
        Cond::Sle => sa <= sb,
    }
}

/// The low `size` of `value` in the other byte order, as a little-endian host does it.
pub(super) fn swap(order: ByteOrder, size: Size, value: u64) -> u64 {
    let cut = value & (u64::MAX >> (64 - size.bits()));
    match order {
        ByteOrder::Le => cut,
        ByteOrder::Be | ByteOrder::Swap => cut.swap_bytes() >> (64 - size.bits()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same in the types of the width, with the special cases written out.
    macro_rules! reference {
        ($name:ident, $unsigned:ty, $signed:ty) => {
            fn $name(op: AluOp, dst: $unsigned, src: $unsigned) -> u64 {
                let by = (src % <$unsigned>::BITS as $unsigned) as u32;
                u64::from(match op {
                    AluOp::Add => dst.wrapping_add(src),
                    AluOp::Sub => dst.wrapping_sub(src),
                    AluOp::Mul => dst.wrapping_mul(src),
                    AluOp::Div if src == 0 => 0,
                    AluOp::Div => dst / src,
                    AluOp::Mod if src == 0 => dst,
                    AluOp::Mod => dst % src,
                    AluOp::Or => dst | src,
                    AluOp::And => dst & src,
                    AluOp::Xor => dst ^ src,
                    AluOp::Mov => src,
                    AluOp::Neg => (!dst).wrapping_add(1),
                    AluOp::Lsh => dst << by,
                    AluOp::Rsh => dst >> by,
                    AluOp::Arsh => ((dst as $signed) >> by) as $unsigned,
                })
            }
        };
    }
    reference!(reference_64, u64, i64);
    reference!(reference_32, u32, i32);

    fn word() -> impl Strategy<Value = u64> {
        let edges = [
            0,
            1,
            31,
            32,
            63,
            64,
            0x7fff_ffff,
            0x8000_0000,
            0xffff_ffff,
            1 << 63,
        ];
        prop_oneof![
            any::<u64>(),
            prop::sample::select(edges.to_vec()),
            Just(u64::MAX)
        ]
    }

    proptest! {
        #[test]
        fn arithmetic_is_rusts(
            op in prop::sample::select(AluOp::ALL), dst in word(), src in word(),
        ) {
            prop_assert_eq!(alu(op, Width::W64, dst, src), reference_64(op, dst, src));
            let half = reference_32(op, dst as u32, src as u32);
            prop_assert_eq!(alu(op, Width::W32, dst, src), half);
        }

        #[test]
        fn comparisons_are_rusts(a in word(), b in word()) {
            let (sa, sb) = (a as i64, b as i64);
            let (ha, hb) = (a as i32, b as i32);
            for (cond, full, half) in [
                (Cond::Eq, a == b, ha == hb),
                (Cond::Ne, a != b, ha != hb),
                (Cond::Gt, a > b, ha as u32 > hb as u32),
                (Cond::Ge, a >= b, ha as u32 >= hb as u32),
                (Cond::Lt, a < b, (ha as u32) < hb as u32),
                (Cond::Le, a <= b, ha as u32 <= hb as u32),
                (Cond::Set, a & b != 0, ha & hb != 0),
                (Cond::Sgt, sa > sb, ha > hb),
                (Cond::Sge, sa >= sb, ha >= hb),
                (Cond::Slt, sa < sb, ha < hb),
                (Cond::Sle, sa <= sb, ha <= hb),
            ] {
                prop_assert_eq!(holds(cond, Width::W64, a, b), full, "{:?}", cond);
                prop_assert_eq!(holds(cond, Width::W32, a, b), half, "{:?}", cond);
            }
        }
    }

    #[test]
    fn results_where_machines_differ() {
        assert_eq!(alu(AluOp::Div, Width::W64, 7, 0), 0);
        assert_eq!(alu(AluOp::Mod, Width::W64, 7, 0), 7);
        assert_eq!(alu(AluOp::Mod, Width::W32, 0xf_0000_0007, 0), 7);
        assert_eq!(alu(AluOp::Lsh, Width::W32, 1, 33), 2);
        assert_eq!(alu(AluOp::Arsh, Width::W32, 0x8000_0000, 31), 0xffff_ffff);
        assert_eq!(alu(AluOp::Mov, Width::W32, 0, u64::MAX), 0xffff_ffff);
    }

    #[test]
    fn byte_orders() {
        let value = 0x1122_3344_5566_7788;
        assert_eq!(swap(ByteOrder::Be, Size::H, value), 0x8877);
        assert_eq!(swap(ByteOrder::Be, Size::W, value), 0x8877_6655);
        assert_eq!(
            swap(ByteOrder::Swap, Size::Dw, value),
            0x8877_6655_4433_2211
        );
        assert_eq!(swap(ByteOrder::Le, Size::H, value), 0x7788);
        assert_eq!(swap(ByteOrder::Le, Size::Dw, value), value);
    }
}
