//! Offsets in `struct xdp_md`, the context of XDP programs, and their verdicts
//! (`include/uapi/linux/bpf.h`).

/// First byte of the frame.
pub const DATA: i16 = 0;
/// One past the last byte.
pub const DATA_END: i16 = 4;

/// Verdict: drop (`XDP_DROP`).
pub const DROP: i32 = 1;
/// Verdict: on to the stack (`XDP_PASS`).
pub const PASS: i32 = 2;
/// Verdict: out of the device that it came from (`XDP_TX`).
pub const TX: i32 = 3;
