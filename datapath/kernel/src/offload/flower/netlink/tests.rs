//! What tc(8) of iproute2 6.1 sends for the same filters, as captured; it asks for a type by the
//! filter's protocol, too, and marks attributes with attributes inside.

mod actions;

use std::collections::BTreeMap;

use aorta_flow::IfIndex;
use rustix::io::Errno;

use super::{ALL_PROTOCOLS, Answer, answers, encode};
use crate::netdev::attributes::attributes;
use crate::offload::flower::{
    Cookie, Csum, Filter, Header, Key, Keys, Pedit, Place, Refusal, Request, Running, TcAction,
};

const TCP: &str = "\
     940200002c0005067ec5036b00000000000000000300000001000001f2ffffff0800050008000b0003000000\
     0b000100666c6f77657200005c0202000a00040002000000000000000a000500ffffff000000000005000900\
     06000000060013000050000006002400fff0000008000a000a00000008000b00ff0000000500490010000000\
     05004a00fc00000005004b004000000005004c00ff00000006004700000200000600480000170000c8010300\
     e40001000a0001007065646974000000d40002807c0004000000000000000000030000000000000000000000\
     040000000000000002000000000000000000000000000000000000000000ffff000900000400000000000000\
     0000000000000000000000000a09080710000000000000000000000000000000ffff000000001f9000000000\
     0000000000000000000000005400058014000680060001000100000006000200000000001400068006000100\
     0100000006000200000000001400068006000100020000000600020000000000140006800600010004000000\
     060002000000000030000200090001006373756d00000000200002801c000100000000000000000003000000\
     000000000000000009000000340003000b0001006d6972726564000024000280200002000000000000000000\
     03000000000000000000000002000000020000004800040009000100766c616e00000000380002801c000200\
     0000000000000000030000000000000000000000020000000600030007000000060004008100000005000600\
     03000000340005000b0001006d69727265640000240002802000020000000000000000000400000000000000\
     000000000100000002000000080016000200000008002f000000000008003000000000010600080008000000\
     ";
const TAGGED_ICMPV6: &str = "\
     540100002c0005067ec5036b00000000000000000300000002000001f2ffffff810007000b000100666c6f77\
     6572000024010200060017000500000005001800020000000600190086dd0000050009003a00000005003700\
     8700000005003800ff000000050035000000000005003600ff0000001400100020010db80000000000000000\
     0000000014001100ffffffff000000000000000000000000a80003004800010009000100766c616e00000000\
     380002801c000200000000000000000003000000000000000000000003000000060003000900000006000400\
     8100000005000600010000003000020009000100766c616e00000000200002801c0002000000000000000000\
     030000000000000000000000010000002c0003000900010067616374000000001c0002801800020000000000\
     0000000004000020000000000000000008001600010000000600080081000000\
     ";
const ARP: &str = "\
     d00000002c0005067fc5036b00000000000000000300000003000001f2ffffff080609000b000100666c6f77\
     65720000a000020005003d000100000005003e00ff000000080039000a00000108003a00ffffffff08003b00\
     0a00000008003c00ffffff000a003f0002000000000100000a004000ffffffffffff00004400030040000100\
     0900010067616374000000001c00028018000200000000000000000008000000000000000000000014000600\
     00112233445566778899aabbccddeeff08001600020000000600080008060000\
     ";
const MPLS: &str = "\
     940000002c00050680c5036b00000000000000000300000004000001f2ffffff884709000b000100666c6f77\
     6572000064000200080046004d00000005004500030000000500440001000000050043000900000030000300\
     2c0001000900010067616374000000001c000280180002000000000000000000020000000000000000000000\
     08001600020000000600080088470000\
     ";
const DELETE: &str = "\
     440000002d00050080c5036b00000000000000000300000004000001f2ffffff0003090008000b0002000000\
     0b000100666c6f77657200000c0002000800160000000000\
     ";
const CLSACT: &str = "\
     300000002400050681c5036b0000000000000000030000000000fffff1ffffff000000000b000100636c7361\
     63740000\
     ";

fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    let pairs = digits
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// Whether attributes are inside of one at such a place.
fn is_nest(path: &[u16]) -> bool {
    matches!(
        path,
        [2] | [2, 3] | [2, 3, _] | [2, 3, _, 2] | [2, 3, _, 2, 5] | [2, 3, _, 2, 5, _]
    )
}

/// All attributes with their values, whatever their order.
fn flatten(path: &[u16], bytes: &[u8], pedit: bool, all: &mut BTreeMap<Vec<u16>, Vec<Vec<u8>>>) {
    let mut pedit = pedit;
    for (kind, value) in attributes(bytes) {
        let path = [path, &[kind]].concat();
        pedit |= path.len() == 4 && path[3] == 1 && value == b"pedit\0";
        let nested = is_nest(&path) && (path.len() < 5 || pedit);
        match nested {
            true => flatten(&path, value, pedit, all),
            false => all.entry(path).or_default().push(value.to_vec()),
        }
    }
}

/// Type, flags, header and attributes of a message without number.
type Message = (u16, u16, Vec<u8>, BTreeMap<Vec<u16>, Vec<Vec<u8>>>);

fn message(bytes: &[u8]) -> Message {
    assert_eq!(bytes[..4], (bytes.len() as u32).to_ne_bytes());
    let word = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
    let mut all = BTreeMap::new();
    flatten(&[], &bytes[36..], false, &mut all);
    (word(4), word(6), bytes[16..36].to_vec(), all)
}

/// Compares with what tc sends, which is no frame's type.
fn assert_as_tc(request: &Request, captured: &str) {
    let mut bytes = Vec::new();
    encode(&mut bytes, request, 7, true);
    assert_eq!(bytes[8..12], 7u32.to_ne_bytes());
    let (kind, flags, header, mut ours) = message(&bytes);
    let (tc_kind, tc_flags, mut tc_header, mut theirs) = message(&unhex(captured));
    if let Request::Put(_) = request {
        tc_header[16..18].copy_from_slice(&ALL_PROTOCOLS.to_ne_bytes());
    }
    // It asks not to be in the place of another, which has no effect with a number of one's own.
    let exclusive = if kind == 44 { 0x200 } else { 0 };
    assert_eq!(
        (kind, flags | exclusive, &header),
        (tc_kind, tc_flags, &tc_header)
    );
    if kind == 45 {
        // What is deleted needs no flags.
        theirs.retain(|path, _| path[0] != 2);
    }
    // tc(8) asks for counters of each processor.
    ours.retain(|path, _| !matches!(path[..], [2, 3, _, 7]));
    // Only one of ours bears a cookie that tc was told.
    let is_cookie = |path: &[u16]| matches!(path, [2, 3, _, 6]);
    if !theirs.keys().any(|path| is_cookie(path)) {
        ours.retain(|path, _| !is_cookie(path));
    }
    assert_eq!(ours, theirs);
}

fn device(number: u32) -> IfIndex {
    IfIndex::new(number).unwrap()
}

const COOKIE: Cookie = Cookie([
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff,
]);

fn filter(chain: u32, pref: u16, handle: u32, keys: Keys, actions: Vec<TcAction>) -> Filter {
    Filter {
        place: Place {
            device: device(3),
            chain,
            pref,
            handle,
        },
        keys,
        actions,
        running: Running::InHardware,
        cookie: COOKIE,
    }
}

fn pedit(header: Header, at: u32, value: u32, mask: u32) -> Pedit {
    Pedit {
        header,
        at,
        value,
        mask,
        adds: false,
    }
}

#[test]
fn tcp_with_masks_that_is_changed_and_copied() {
    let mut keys = Keys::any().with(Key::EthType, 0x0800).with(Key::IpProto, 6);
    keys.set_masked(Key::EthDst, 0x0200_0000_0001, 0xffff_ff00_0000);
    keys.set_masked(Key::TcpDst, 0x50, 0xfff0);
    keys.set_masked(Key::Ipv4Src, 0x0a00_0000, 0xff00_0000);
    keys.set_masked(Key::IpTos, 0x10, 0xfc);
    keys.set(Key::IpTtl, 64);
    keys.set_masked(Key::Flags, 0, Key::IS_FRAGMENT);
    keys.set_masked(Key::TcpFlags, 0x2, 0x17);
    let actions = vec![
        TcAction::Pedit(vec![
            pedit(Header::Ethernet, 0, 0x0200_0000, u32::MAX),
            pedit(Header::Ethernet, 4, 0x0009_0000, 0xffff_0000),
            pedit(Header::Ipv4, 16, 0x0a09_0807, u32::MAX),
            pedit(Header::Tcp, 0, 8080, 0xffff),
        ]),
        TcAction::Csum(Csum::IPV4.with(Csum::TCP)),
        TcAction::Mirror(device(2)),
        TcAction::VlanPush {
            tpid: 0x8100,
            vid: 7,
            pcp: 3,
        },
        TcAction::Redirect(device(2)),
    ];
    let filter = filter(3, 5, 0x0100_0001, keys, actions);
    assert_as_tc(&Request::Put(filter), TCP);
}

#[test]
fn tags_and_a_chain() {
    let mut keys = Keys::any()
        .with(Key::EthType, 0x8100)
        .with(Key::VlanId, 5)
        .with(Key::VlanPrio, 2)
        .with(Key::VlanEthType, 0x86dd)
        .with(Key::IpProto, 58)
        .with(Key::Icmpv6Type, 135)
        .with(Key::Icmpv6Code, 0);
    let mask = 0xffff_ffff << 96;
    keys.set_masked(Key::Ipv6Dst, 0x2001_0db8 << 96, mask);
    let actions = vec![
        TcAction::VlanModify {
            tpid: 0x8100,
            vid: 9,
            pcp: Some(1),
        },
        TcAction::VlanPop,
        TcAction::Goto(4),
    ];
    let filter = Filter {
        running: Running::InSoftware,
        ..filter(0, 7, 0x0100_0002, keys, actions)
    };
    assert_as_tc(&Request::Put(filter), TAGGED_ICMPV6);
}

#[test]
fn arp_that_is_trapped_and_mpls_that_is_dropped() {
    let mut keys = Keys::any()
        .with(Key::EthType, 0x0806)
        .with(Key::ArpOp, 1)
        .with(Key::ArpSip, 0x0a00_0001)
        .with(Key::ArpSha, 0x0200_0000_0001);
    keys.set_masked(Key::ArpTip, 0x0a00_0000, 0xffff_ff00);
    let trap = filter(0, 9, 0x0100_0003, keys, vec![TcAction::Trap]);
    assert_as_tc(&Request::Put(trap), ARP);
    let keys = Keys::any()
        .with(Key::EthType, 0x8847)
        .with(Key::MplsLabel, 77)
        .with(Key::MplsTc, 3)
        .with(Key::MplsBos, 1)
        .with(Key::MplsTtl, 9);
    let drop = filter(0, 9, 0x0100_0004, keys, vec![TcAction::Drop]);
    assert_as_tc(&Request::Put(drop), MPLS);
}

#[test]
fn removal_and_the_discipline() {
    let place = Place {
        device: device(3),
        chain: 2,
        pref: 9,
        handle: 0x0100_0004,
    };
    assert_as_tc(&Request::Delete(place), DELETE);
    assert_as_tc(&Request::AddClsact(device(3)), CLSACT);
}

/// An error as the kernel sends it to a socket with extended and capped acknowledgements.
fn error(errno: i32, sequence: u32, text: Option<&str>) -> Vec<u8> {
    let mut more = Vec::new();
    if let Some(text) = text {
        let text = [text.as_bytes(), &[0]].concat();
        more.extend((text.len() as u16 + 4).to_ne_bytes());
        more.extend(1u16.to_ne_bytes());
        more.extend(&text);
        more.resize(more.len().next_multiple_of(4), 0);
    }
    let flags: u16 = if text.is_some() { 0x300 } else { 0x100 };
    let mut bytes = (36 + more.len() as u32).to_ne_bytes().to_vec();
    bytes.extend(2u16.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend((-errno).to_ne_bytes());
    bytes.extend([0; 16]);
    bytes.extend(more);
    bytes
}

#[test]
fn refusals_in_the_words_of_the_driver() {
    let errno = Errno::OPNOTSUPP.raw_os_error();
    let words = "only offload of BPF classifiers supported";
    let bytes = [
        error(errno, 4, Some(words)),
        error(0, 5, None),
        error(errno, 6, None),
    ]
    .concat();
    let told = Refusal::new(errno, Some(words.to_owned()));
    let untold = Refusal::new(errno, None);
    assert_eq!(told.to_string(), words);
    assert!(untold.text.contains("not supported"), "{untold}");
    let expected = [(4, Err(told)), (5, Ok(())), (6, Err(untold))];
    let expected = expected.map(|(sequence, result)| Answer::Done { sequence, result });
    assert_eq!(answers(&bytes).unwrap(), expected);
    for end in 1..bytes.len() {
        // Cut anywhere, it is either refused or has fewer messages.
        let cut = answers(&bytes[..end]);
        assert!(cut.is_err() || cut.unwrap().len() < 3, "{end}");
    }
}
