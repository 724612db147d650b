//! Actions as attributes (linux/tc_act/tc_*.h).

use super::encode::nest;
use super::police::put_police;
use super::{ACT_COOKIE, ACT_FLAGS, ACT_KIND, ACT_OPTIONS};
use crate::netdev::attributes::put;
use crate::offload::flower::{Cookie, MplsChange, Pedit, TcAction};

/// What becomes of a packet behind an action (TC_ACT_*).
pub const OK: u32 = 0;
pub const SHOT: u32 = 2;
pub const PIPE: u32 = 3;
const STOLEN: u32 = 4;
pub const TRAP: u32 = 8;
/// With the chain in the low 28 bits.
const GOTO_CHAIN: u32 = 2 << 28;

/// Counters for each processor are memory that only packets in software need (Linux 5.5).
const NO_PERCPU_STATS: u32 = 1;

const EGRESS_REDIRECT: u32 = 1;
const EGRESS_MIRROR: u32 = 2;

const VLAN_POP: u32 = 1;
const VLAN_PUSH: u32 = 2;
const VLAN_MODIFY: u32 = 3;

/// Attributes of the kinds.
pub const GACT_PARMS: u16 = 2;
const MIRRED_PARMS: u16 = 2;
const VLAN_PARMS: u16 = 2;
const VLAN_ID: u16 = 3;
const VLAN_PROTOCOL: u16 = 4;
const VLAN_PRIORITY: u16 = 6;
const CSUM_PARMS: u16 = 1;
const PEDIT_PARMS_EX: u16 = 4;
const PEDIT_KEYS_EX: u16 = 5;
const PEDIT_KEY_EX: u16 = 6;
const PEDIT_HEADER: u16 = 1;
const PEDIT_COMMAND: u16 = 2;
const PEDIT_SET: u16 = 0;
const PEDIT_ADD: u16 = 1;

const MPLS_POP: u32 = 1;
const MPLS_PUSH: u32 = 2;
const MPLS_MODIFY: u32 = 3;
const MPLS_PARMS: u16 = 2;
const MPLS_PROTOCOL: u16 = 4;
const MPLS_LABEL: u16 = 5;
const MPLS_CLASS: u16 = 6;
const MPLS_TTL: u16 = 7;

/// Appends the attributes of an action.
pub fn put_action(out: &mut Vec<u8>, action: &TcAction, cookie: Option<Cookie>) {
    put(out, ACT_KIND, kind(action));
    nest(out, ACT_OPTIONS, |out| put_options(out, action));
    if let Some(Cookie(bytes)) = cookie {
        put(out, ACT_COOKIE, &bytes);
    }
    // Value and which bits of it count.
    let flags = [NO_PERCPU_STATS, NO_PERCPU_STATS].map(u32::to_ne_bytes);
    put(out, ACT_FLAGS, flags.as_flattened());
}

fn kind(action: &TcAction) -> &'static [u8] {
    match action {
        TcAction::Redirect(_) | TcAction::Mirror(_) => b"mirred\0",
        TcAction::Drop | TcAction::Trap | TcAction::Pass | TcAction::Goto(_) => b"gact\0",
        TcAction::VlanPush { .. } | TcAction::VlanPop | TcAction::VlanModify { .. } => b"vlan\0",
        TcAction::Pedit(_) => b"pedit\0",
        TcAction::Csum(_) => b"csum\0",
        TcAction::MplsPush { .. } | TcAction::MplsPop { .. } | TcAction::MplsModify(_) => b"mpls\0",
        TcAction::Police(_) => b"police\0",
    }
}

/// The fields with which the parameters of all kinds begin, and more words behind them: number,
/// capabilities, what becomes of the packet, references, bindings.
fn general(verdict: u32, more: &[u32]) -> Vec<u8> {
    let words = [0, 0, verdict, 0, 0];
    let words = words.iter().chain(more);
    words.flat_map(|word| word.to_ne_bytes()).collect()
}

fn put_options(out: &mut Vec<u8>, action: &TcAction) {
    match action {
        TcAction::Redirect(to) => {
            let parms = general(STOLEN, &[EGRESS_REDIRECT, to.get()]);
            put(out, MIRRED_PARMS, &parms);
        }
        TcAction::Mirror(to) => {
            let parms = general(PIPE, &[EGRESS_MIRROR, to.get()]);
            put(out, MIRRED_PARMS, &parms);
        }
        TcAction::Drop => put(out, GACT_PARMS, &general(SHOT, &[])),
        TcAction::Trap => put(out, GACT_PARMS, &general(TRAP, &[])),
        TcAction::Pass => put(out, GACT_PARMS, &general(OK, &[])),
        TcAction::Goto(chain) => {
            put(
                out,
                GACT_PARMS,
                &general(GOTO_CHAIN | chain & 0x0fff_ffff, &[]),
            );
        }
        TcAction::VlanPush { tpid, vid, pcp } => {
            put(out, VLAN_PARMS, &general(PIPE, &[VLAN_PUSH]));
            put_tag(out, *tpid, *vid, Some(*pcp));
        }
        TcAction::VlanPop => put(out, VLAN_PARMS, &general(PIPE, &[VLAN_POP])),
        TcAction::VlanModify { tpid, vid, pcp } => {
            put(out, VLAN_PARMS, &general(PIPE, &[VLAN_MODIFY]));
            put_tag(out, *tpid, *vid, *pcp);
        }
        TcAction::Pedit(changes) => put_pedit(out, changes),
        TcAction::Csum(which) => put(out, CSUM_PARMS, &general(PIPE, &[which.0])),
        TcAction::MplsPush { ethertype, label } => {
            put(out, MPLS_PARMS, &general(PIPE, &[MPLS_PUSH]));
            put(out, MPLS_PROTOCOL, &ethertype.to_be_bytes());
            let (number, class, ttl) = (Some(label.label), Some(label.class), Some(label.ttl));
            let label = MplsChange {
                label: number,
                class,
                ttl,
            };
            put_label(out, label);
        }
        TcAction::MplsPop { ethertype } => {
            put(out, MPLS_PARMS, &general(PIPE, &[MPLS_POP]));
            put(out, MPLS_PROTOCOL, &ethertype.to_be_bytes());
        }
        TcAction::MplsModify(change) => {
            put(out, MPLS_PARMS, &general(PIPE, &[MPLS_MODIFY]));
            put_label(out, *change);
        }
        TcAction::Police(police) => put_police(out, police),
    }
}

fn put_label(out: &mut Vec<u8>, label: MplsChange) {
    if let Some(number) = label.label {
        put(out, MPLS_LABEL, &number.to_ne_bytes());
    }
    if let Some(class) = label.class {
        put(out, MPLS_CLASS, &[class]);
    }
    if let Some(ttl) = label.ttl {
        put(out, MPLS_TTL, &[ttl]);
    }
}

fn put_tag(out: &mut Vec<u8>, tpid: u16, vid: u16, pcp: Option<u8>) {
    put(out, VLAN_ID, &vid.to_ne_bytes());
    put(out, VLAN_PROTOCOL, &tpid.to_be_bytes());
    if let Some(pcp) = pcp {
        put(out, VLAN_PRIORITY, &[pcp]);
    }
}

/// struct tc_pedit_sel with its keys, and which header each is about.
fn put_pedit(out: &mut Vec<u8>, changes: &[Pedit]) {
    let count = u8::try_from(changes.len()).unwrap_or(u8::MAX);
    let mut parms = general(PIPE, &[]);
    parms.extend([count, 0, 0, 0]); // flags, padding
    for change in changes {
        // Bits that stay, then those that are changed, as they lie in memory.
        parms.extend((!change.mask).to_be_bytes());
        parms.extend(change.value.to_be_bytes());
        parms.extend(change.at.to_ne_bytes());
        parms.extend([0; 12]); // at, offmask, shift: for offsets that packets say
    }
    put(out, PEDIT_PARMS_EX, &parms);
    nest(out, PEDIT_KEYS_EX, |out| {
        for change in changes {
            nest(out, PEDIT_KEY_EX, |out| {
                put(out, PEDIT_HEADER, &(change.header as u16).to_ne_bytes());
                let command = if change.adds { PEDIT_ADD } else { PEDIT_SET };
                put(out, PEDIT_COMMAND, &command.to_ne_bytes());
            });
        }
    });
}
