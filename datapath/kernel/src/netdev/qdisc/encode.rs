//! Requests about disciplines and classes as bytes (linux/pkt_sched.h, linux/rtnetlink.h).

use aorta_flow::IfIndex;

use super::super::attributes::{put, put_u32};
use super::super::request::{self, FLAG_ACK, FLAG_DUMP, FLAG_REQUEST};
use super::{
    Burst, CLASSES_MAJOR, Class, Codel, DEFAULT_CLASS, HfscClass, HtbClass, Mark, Qdisc,
    SHARED_CLASS, TICK_NS, Tbf,
};

pub const NEW_QDISC: u16 = 36;
pub const DEL_QDISC: u16 = 37;
pub const GET_QDISC: u16 = 38;
pub const NEW_CLASS: u16 = 40;
pub const DEL_CLASS: u16 = 41;
pub const GET_CLASS: u16 = 42;

const FLAG_REPLACE: u16 = 0x100;
const FLAG_CREATE: u16 = 0x400;

/// Parent of what is at the root.
pub const ROOT: u32 = u32::MAX;

pub const KIND: u16 = 1;
pub const OPTIONS: u16 = 2;

pub const HTB_PARMS: u16 = 1;
pub const HTB_INIT: u16 = 2;
pub const HTB_RATE64: u16 = 6;
pub const HTB_CEIL64: u16 = 7;
pub const HFSC_RSC: u16 = 1;
pub const HFSC_FSC: u16 = 2;
pub const HFSC_USC: u16 = 3;
pub const TBF_PARMS: u16 = 1;
pub const TBF_RATE64: u16 = 4;
pub const CODEL_TARGET: u16 = 1;
pub const CODEL_LIMIT: u16 = 2;
pub const CODEL_INTERVAL: u16 = 3;
pub const FQ_CODEL_FLOWS: u16 = 5;
pub const FQ_CODEL_QUANTUM: u16 = 6;

/// The version of HTB's settings that all kernels have.
const HTB_VERSION: u32 = 3;
/// Frames of Ethernet; the kernel needs no table of their lengths then.
const LINK_ETHERNET: u8 = 1;

/// A request to read all disciplines of the namespace.
pub fn get_qdiscs() -> Vec<u8> {
    let flags = FLAG_REQUEST | FLAG_DUMP;
    message(GET_QDISC, flags, Header::default(), &[])
}

/// A request to read the classes of a device.
pub fn get_classes(device: IfIndex) -> Vec<u8> {
    let header = Header {
        device: device.get(),
        ..Header::default()
    };
    message(GET_CLASS, FLAG_REQUEST | FLAG_DUMP, header, &[])
}

/// A request to make a discipline, or to change one of the same kind; it has no classes.
pub fn set_root(device: IfIndex, qdisc: &Qdisc, mark: Mark) -> Vec<u8> {
    let header = Header {
        device: device.get(),
        handle: qdisc.handle(mark),
        parent: ROOT,
    };
    let mut attributes = Vec::new();
    put_kind(&mut attributes, qdisc.kind());
    put(&mut attributes, OPTIONS, &options(qdisc, mark));
    let flags = FLAG_REQUEST | FLAG_ACK | FLAG_CREATE | FLAG_REPLACE;
    message(NEW_QDISC, flags, header, &attributes)
}

/// A request to give a device the kernel's own discipline back.
pub fn delete_root(device: IfIndex) -> Vec<u8> {
    let header = Header {
        device: device.get(),
        parent: ROOT,
        handle: 0,
    };
    message(DEL_QDISC, FLAG_REQUEST | FLAG_ACK, header, &[])
}

/// A request to make or change a class.
pub fn set_class(device: IfIndex, number: u16, class: &Class, mark: Mark) -> Vec<u8> {
    let parent = match number {
        SHARED_CLASS => id(0),
        _ => id(SHARED_CLASS),
    };
    let (kind, handle, options) = match class {
        Class::Htb(class) => ("htb", number, htb_class(class)),
        Class::Hfsc(class) if number == DEFAULT_CLASS => {
            ("hfsc", mark.hfsc_default(), hfsc_class(class))
        }
        Class::Hfsc(class) => ("hfsc", number, hfsc_class(class)),
    };
    let header = Header {
        device: device.get(),
        handle: id(handle),
        parent,
    };
    let mut attributes = Vec::new();
    put_kind(&mut attributes, kind);
    put(&mut attributes, OPTIONS, &options);
    let flags = FLAG_REQUEST | FLAG_ACK | FLAG_CREATE;
    message(NEW_CLASS, flags, header, &attributes)
}

/// A request to delete a class that isn't the default one.
pub fn delete_class(device: IfIndex, number: u16) -> Vec<u8> {
    let header = Header {
        device: device.get(),
        handle: id(number),
        parent: id(SHARED_CLASS),
    };
    message(DEL_CLASS, FLAG_REQUEST | FLAG_ACK, header, &[])
}

fn id(class: u16) -> u32 {
    u32::from(CLASSES_MAJOR) << 16 | u32::from(class)
}

/// struct tcmsg.
#[derive(Default)]
struct Header {
    device: u32,
    handle: u32,
    parent: u32,
}

/// struct nlmsghdr, struct tcmsg and attributes.
fn message(kind: u16, flags: u16, header: Header, attributes: &[u8]) -> Vec<u8> {
    let mut body = vec![0; 4]; // family, padding
    for word in [header.device, header.handle, header.parent, 0] {
        body.extend(word.to_ne_bytes());
    }
    body.extend(attributes);
    request::message(kind, flags, &body)
}

fn put_kind(out: &mut Vec<u8>, kind: &str) {
    put(out, KIND, &[kind.as_bytes(), &[0]].concat());
}

fn options(qdisc: &Qdisc, mark: Mark) -> Vec<u8> {
    let mut out = Vec::new();
    match qdisc {
        Qdisc::Htb(_) => {
            let words = [HTB_VERSION, mark.0.into(), DEFAULT_CLASS.into(), 0, 0];
            put(&mut out, HTB_INIT, &all(&words));
        }
        // struct tc_hfsc_qopt.
        Qdisc::Hfsc(_) => out.extend(mark.hfsc_default().to_ne_bytes()),
        Qdisc::Tbf(tbf) => tbf_options(&mut out, tbf),
        Qdisc::Sfq {
            perturb_s,
            quantum_bytes,
        } => out.extend(all(&[*quantum_bytes, *perturb_s, 0, 0, 0])),
        Qdisc::Codel(codel) => codel_options(&mut out, codel),
        Qdisc::FqCodel {
            codel,
            flows,
            quantum_bytes,
        } => {
            codel_options(&mut out, codel);
            put_u32(&mut out, FQ_CODEL_FLOWS, *flows);
            put_u32(&mut out, FQ_CODEL_QUANTUM, *quantum_bytes);
        }
        Qdisc::Netem {
            latency_us,
            limit_packets,
            loss_percent,
        } => {
            let latency = (u128::from(*latency_us) * 1000).div_ceil(TICK_NS);
            let latency = u32::try_from(latency).unwrap_or(u32::MAX);
            let loss = loss_of(*loss_percent);
            out.extend(all(&[latency, *limit_packets, loss, 0, 0, 0]));
        }
    }
    out
}

/// A share of a hundred as a share of all 32-bit numbers.
pub fn loss_of(percent: u32) -> u32 {
    let share = u64::from(percent.min(100)) * u64::from(u32::MAX) / 100;
    u32::try_from(share).unwrap_or(u32::MAX)
}

fn codel_options(out: &mut Vec<u8>, codel: &Codel) {
    put_u32(out, CODEL_TARGET, codel.target_us);
    put_u32(out, CODEL_LIMIT, codel.limit_packets);
    put_u32(out, CODEL_INTERVAL, codel.interval_us);
}

/// struct tc_tbf_qopt.
fn tbf_options(out: &mut Vec<u8>, tbf: &Tbf) {
    let mut parms = rate(tbf.rate_bytes_s);
    parms.extend(rate(0));
    parms.extend(all(&[tbf.limit_bytes, tbf.burst.ticks, 0]));
    put(out, TBF_PARMS, &parms);
    put_wide(out, TBF_RATE64, tbf.rate_bytes_s);
}

/// struct tc_service_curve, for each of the curves of real time, sharing and limit.
fn hfsc_class(class: &HfscClass) -> Vec<u8> {
    let mut out = Vec::new();
    for (curve, bytes_s) in [
        (HFSC_RSC, class.min_rate_bytes_s),
        (HFSC_FSC, class.min_rate_bytes_s),
        (HFSC_USC, class.max_rate_bytes_s),
    ] {
        let no_first_part = [0, 0];
        put(
            &mut out,
            curve,
            &[all(&no_first_part), all(&[bytes_s])].concat(),
        );
    }
    out
}

/// struct tc_htb_opt.
fn htb_class(class: &HtbClass) -> Vec<u8> {
    let mut parms = rate(class.rate_bytes_s);
    parms.extend(rate(class.ceil_bytes_s));
    let [Burst { ticks: burst }, Burst { ticks: ceil_burst }] = [class.burst, class.ceil_burst];
    let level = 0;
    let words = [
        burst,
        ceil_burst,
        class.quantum_bytes,
        level,
        class.priority,
    ];
    parms.extend(all(&words));
    let mut out = Vec::new();
    put(&mut out, HTB_PARMS, &parms);
    put_wide(&mut out, HTB_RATE64, class.rate_bytes_s);
    put_wide(&mut out, HTB_CEIL64, class.ceil_bytes_s);
    out
}

/// A rate that doesn't fit its usual place.
fn put_wide(out: &mut Vec<u8>, kind: u16, bytes_s: u64) {
    if bytes_s > u32::MAX.into() {
        put(out, kind, &bytes_s.to_ne_bytes());
    }
}

/// struct tc_ratespec.
fn rate(bytes_s: u64) -> Vec<u8> {
    let link = if bytes_s == 0 { 0 } else { LINK_ETHERNET };
    let mut out = vec![0, link, 0, 0, 0, 0, 0, 0];
    let narrow = u32::try_from(bytes_s).unwrap_or(u32::MAX);
    out.extend(narrow.to_ne_bytes());
    out
}

fn all(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}
