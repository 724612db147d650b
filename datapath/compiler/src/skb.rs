//! Offsets in `struct __sk_buff`, the context of TC programs (`include/uapi/linux/bpf.h`).

/// Length in bytes, without a tag that the kernel keeps beside the data.
pub const LEN: i16 = 0;
/// EtherType in network order, after the tag that the kernel keeps beside the data.
pub const PROTOCOL: i16 = 16;
/// Nonzero if the kernel keeps an outer tag beside the data.
pub const VLAN_PRESENT: i16 = 20;
/// Tag control information of that tag, host order.
pub const VLAN_TCI: i16 = 24;
/// Protocol of that tag, network order.
pub const VLAN_PROTO: i16 = 28;
/// Priority, by which queueing disciplines choose a class.
pub const PRIORITY: i16 = 32;
/// The priority of queue `n` is this plus `n` plus 1: class `1:(n + 1)` (hexadecimal) of a
/// discipline with classes whose handle is `1:`, such as HTB. Only programs know.
pub const FIRST_CLASS: i32 = 0x1_0000;
/// Five u32 that programs which run one after the other on a frame use as they like.
pub const CB: i16 = 48;
/// First byte of the frame.
pub const DATA: i16 = 76;
/// One past the last byte that is directly accessible.
pub const DATA_END: i16 = 80;
/// Payload bytes of each segment of a GSO frame, 0 for other frames.
pub const GSO_SIZE: i16 = 176;

/// Verdict at tcx: the next program decides (`TCX_NEXT`).
pub const ACT_NEXT: i32 = -1;
/// Verdict: drop (`TC_ACT_SHOT`).
pub const ACT_SHOT: i32 = 2;
