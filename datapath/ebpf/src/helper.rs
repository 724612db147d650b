//! Kernel functions that a program can call by number (`enum bpf_func_id` of linux/bpf.h).

use std::fmt;

macro_rules! helpers {
    ($($(#[$doc:meta])+ $variant:ident = $id:literal $name:literal,)+) => {
        /// A kernel helper function. Arguments go in R1 to R5, the result is in R0; R1 to R5 are
        /// lost.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Helper {
            $($(#[$doc])+ $variant = $id,)+
        }

        impl Helper {
            /// All helpers that this crate names.
            pub const ALL: &[Helper] = &[$(Helper::$variant,)+];

            /// The name as the kernel prints it, without `bpf_`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Helper::$variant => $name,)+
                }
            }
        }
    };
}

helpers! {
    /// `(map, key) -> value or null`.
    MapLookupElem = 1 "map_lookup_elem",
    /// `(map, key, value, flags) -> 0 or -errno`.
    MapUpdateElem = 2 "map_update_elem",
    /// `(map, key) -> 0 or -errno`.
    MapDeleteElem = 3 "map_delete_elem",
    /// `() -> ns` of the monotonic clock.
    KtimeGetNs = 5 "ktime_get_ns",
    /// `() -> u32`.
    GetPrandomU32 = 7 "get_prandom_u32",
    /// `() -> cpu`.
    GetSmpProcessorId = 8 "get_smp_processor_id",
    /// `(skb, offset, from, len, flags) -> 0 or -errno`; packet pointers are lost.
    SkbStoreBytes = 9 "skb_store_bytes",
    /// `(skb, offset, from, to, size) -> 0 or -errno`; packet pointers are lost.
    L3CsumReplace = 10 "l3_csum_replace",
    /// `(skb, offset, from, to, flags) -> 0 or -errno`; packet pointers are lost.
    L4CsumReplace = 11 "l4_csum_replace",
    /// `(ctx, prog_array, index)`: returns only if the slot is empty or the limit of 33 is reached.
    TailCall = 12 "tail_call",
    /// `(skb, ifindex, flags) -> 0 or -errno`; packet pointers are lost.
    CloneRedirect = 13 "clone_redirect",
    /// `(skb, proto, tci) -> 0 or -errno`, proto in network order; packet pointers are lost.
    SkbVlanPush = 18 "skb_vlan_push",
    /// `(skb) -> 0 or -errno`; packet pointers are lost.
    SkbVlanPop = 19 "skb_vlan_pop",
    /// `(skb, key, size, flags) -> 0 or -errno`.
    SkbGetTunnelKey = 20 "skb_get_tunnel_key",
    /// `(skb, key, size, flags) -> 0 or -errno`.
    SkbSetTunnelKey = 21 "skb_set_tunnel_key",
    /// `(ifindex, flags) -> verdict`.
    Redirect = 23 "redirect",
    /// `(ctx, map, flags, data, size) -> 0 or -errno`.
    PerfEventOutput = 25 "perf_event_output",
    /// `(skb, offset, to, len) -> 0 or -errno`.
    SkbLoadBytes = 26 "skb_load_bytes",
    /// `(from, from_size, to, to_size, seed) -> checksum or -errno`.
    CsumDiff = 28 "csum_diff",
    /// `(skb, type) -> 0 or -errno`.
    SkbChangeType = 32 "skb_change_type",
    /// `(skb) -> hash` of the flow.
    GetHashRecalc = 34 "get_hash_recalc",
    /// `(skb, len, flags) -> 0 or -errno`; packet pointers are lost.
    SkbChangeTail = 38 "skb_change_tail",
    /// `(skb, len) -> 0 or -errno`; packet pointers are lost.
    SkbPullData = 39 "skb_pull_data",
    /// `(skb, len, flags) -> 0 or -errno`; packet pointers are lost.
    SkbChangeHead = 43 "skb_change_head",
    /// `(xdp, delta) -> 0 or -errno`; packet pointers are lost.
    XdpAdjustHead = 44 "xdp_adjust_head",
    /// `(skb, delta, mode, flags) -> 0 or -errno`; packet pointers are lost.
    SkbAdjustRoom = 50 "skb_adjust_room",
    /// `(map, key, flags) -> verdict`.
    RedirectMap = 51 "redirect_map",
    /// `(xdp, delta) -> 0 or -errno`; packet pointers are lost.
    XdpAdjustTail = 65 "xdp_adjust_tail",
    /// `(ctx, params, size, flags) -> 0, positive reason, or -errno`.
    FibLookup = 69 "fib_lookup",
    /// `(lock)`.
    SpinLock = 93 "spin_lock",
    /// `(lock)`.
    SpinUnlock = 94 "spin_unlock",
    /// `() -> jiffies`.
    Jiffies64 = 118 "jiffies64",
    /// `(ringbuf, data, size, flags) -> 0 or -errno`.
    RingbufOutput = 130 "ringbuf_output",
    /// `(ringbuf, size, flags) -> record or null`.
    RingbufReserve = 131 "ringbuf_reserve",
    /// `(record, flags)`.
    RingbufSubmit = 132 "ringbuf_submit",
    /// `(record, flags)`.
    RingbufDiscard = 133 "ringbuf_discard",
    /// `(ringbuf, what) -> u64`.
    RingbufQuery = 134 "ringbuf_query",
    /// `(skb, level) -> level or -errno`.
    CsumLevel = 135 "csum_level",
    /// `(ifindex, params, size, flags) -> verdict`.
    RedirectNeigh = 152 "redirect_neigh",
    /// `(ifindex, flags) -> verdict`; only tcx ingress of a veth.
    RedirectPeer = 155 "redirect_peer",
    /// `() -> ns` of the coarse monotonic clock.
    KtimeGetCoarseNs = 160 "ktime_get_coarse_ns",
    /// `(ctx, ifindex, mtu_len, delta, flags) -> 0, positive reason, or -errno`.
    CheckMtu = 163 "check_mtu",
    /// `(map, key, cpu) -> value or null`.
    MapLookupPercpuElem = 195 "map_lookup_percpu_elem",
}

impl Helper {
    /// The number in a call instruction.
    pub fn id(self) -> u32 {
        self as u32
    }

    /// The helper with this number, if this crate names it.
    pub fn from_id(id: u32) -> Option<Helper> {
        Helper::ALL.iter().copied().find(|helper| helper.id() == id)
    }

    /// The helper with this name (without `bpf_`), if this crate names it.
    pub fn from_name(name: &str) -> Option<Helper> {
        Helper::ALL
            .iter()
            .copied()
            .find(|helper| helper.name() == name)
    }
}

impl fmt::Display for Helper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_and_name_lead_back() {
        for &helper in Helper::ALL {
            assert_eq!(Helper::from_id(helper.id()), Some(helper));
            assert_eq!(Helper::from_name(helper.name()), Some(helper));
        }
        assert_eq!(Helper::from_id(12), Some(Helper::TailCall));
        assert_eq!(Helper::from_id(0), None);
    }
}
