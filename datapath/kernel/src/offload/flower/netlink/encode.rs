//! Requests as bytes.

use aorta_flow::IfIndex;

use super::actions::put_action;
use super::{
    ALL_PROTOCOLS, CHAIN, DEL_FILTER, DEL_QDISC, DUMP_FLAGS, FLOWER_ACT, FLOWER_FLAGS, GET_FILTER,
    KIND, NEW_FILTER, NEW_QDISC, OPTIONS, SKIP_HW, SKIP_SW, TERSE,
};
use crate::netdev::attributes::{put, put_u32};
use crate::offload::flower::keys::{KeyPart, Order};
use crate::offload::flower::{Filter, Place, Request, Running, Side, TcAction};

const REQUEST: u16 = 0x1;
const ACK: u16 = 0x4;
const EXCLUSIVE: u16 = 0x200;
const CREATE: u16 = 0x400;
const DUMP: u16 = 0x300;

/// Handle and parent of the discipline `clsact`.
const CLSACT: (u32, u32) = (0xffff_0000, 0xffff_fff1);

/// struct tcmsg without its family.
struct Header {
    device: IfIndex,
    handle: u32,
    parent: u32,
    info: u32,
}

impl Header {
    fn of_filter(place: Place) -> Header {
        Header {
            device: place.device,
            handle: place.handle,
            parent: Side::Ingress.parent(),
            info: u32::from(place.pref) << 16 | u32::from(ALL_PROTOCOLS),
        }
    }

    fn of_clsact(device: IfIndex) -> Header {
        let (handle, parent) = CLSACT;
        Header {
            device,
            handle,
            parent,
            info: 0,
        }
    }
}

/// Appends a request. What is refused is answered in any case, what is done if `ack`.
pub fn encode(out: &mut Vec<u8>, request: &Request, sequence: u32, ack: bool) {
    let ack = if ack { ACK } else { 0 };
    let mut put_message = |kind, flags, header, attributes: &dyn Fn(&mut Vec<u8>)| {
        message(
            out,
            (kind, REQUEST | ack | flags),
            sequence,
            header,
            attributes,
        );
    };
    match request {
        Request::AddClsact(device) => {
            let header = Header::of_clsact(*device);
            put_message(NEW_QDISC, CREATE | EXCLUSIVE, header, &|out| {
                put(out, KIND, b"clsact\0");
            });
        }
        Request::DeleteClsact(device) => {
            put_message(DEL_QDISC, 0, Header::of_clsact(*device), &|_| {});
        }
        Request::Put(filter) => {
            let header = Header::of_filter(filter.place);
            put_message(NEW_FILTER, CREATE, header, &|out| put_filter(out, filter));
        }
        Request::Delete(place) => {
            put_message(DEL_FILTER, 0, Header::of_filter(*place), &|out| {
                put_start(out, *place);
            });
        }
    }
}

/// A request for a filter that is there.
pub fn get_filter(out: &mut Vec<u8>, place: Place, sequence: u32) {
    let header = Header::of_filter(place);
    message(out, (GET_FILTER, REQUEST), sequence, header, &|out| {
        put_start(out, place);
    });
}

/// A request to list all filters on a side of a device, with all there is to say or, `brief`, what they
/// have counted.
pub fn get_filters(device: IfIndex, side: Side, sequence: u32, brief: bool) -> Vec<u8> {
    let header = Header {
        device,
        handle: 0,
        parent: side.parent(),
        info: 0,
    };
    let mut out = Vec::new();
    message(
        &mut out,
        (GET_FILTER, REQUEST | DUMP),
        sequence,
        header,
        &|out| {
            if brief {
                let flags = [TERSE, TERSE].map(u32::to_ne_bytes);
                put(out, DUMP_FLAGS, flags.as_flattened());
            }
        },
    );
    out
}

/// struct nlmsghdr, struct tcmsg and attributes.
fn message(
    out: &mut Vec<u8>,
    (kind, flags): (u16, u16),
    sequence: u32,
    header: Header,
    attributes: &dyn Fn(&mut Vec<u8>),
) {
    let start = out.len();
    out.extend(0u32.to_ne_bytes());
    out.extend(kind.to_ne_bytes());
    out.extend(flags.to_ne_bytes());
    out.extend(sequence.to_ne_bytes());
    out.extend([0; 4]); // port
    out.extend([0; 4]); // family, padding
    let words = [
        header.device.get(),
        header.handle,
        header.parent,
        header.info,
    ];
    out.extend(words.into_iter().flat_map(u32::to_ne_bytes));
    attributes(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX);
    out[start..start + 4].copy_from_slice(&length.to_ne_bytes());
}

fn put_start(out: &mut Vec<u8>, place: Place) {
    put(out, KIND, b"flower\0");
    if place.chain != 0 {
        put_u32(out, CHAIN, place.chain);
    }
}

fn put_filter(out: &mut Vec<u8>, filter: &Filter) {
    put_start(out, filter.place);
    nest(out, OPTIONS, |out| {
        for part in filter.keys.parts() {
            put_key(out, part);
        }
        nest(out, FLOWER_ACT, |out| {
            // A bucket has the cookie of whoever made it.
            let shared = |action: &TcAction| matches!(action, TcAction::Police(_));
            let first_own = filter.actions.iter().position(|action| !shared(action));
            for (at, action) in filter.actions.iter().enumerate() {
                let cookie = (Some(at) == first_own).then_some(filter.cookie);
                let number = at as u16 + 1;
                nest(out, number, |out| put_action(out, action, cookie));
            }
        });
        let flags = match filter.running {
            Running::InHardware => SKIP_SW,
            Running::InSoftware => SKIP_HW,
        };
        put_u32(out, FLOWER_FLAGS, flags);
    });
}

fn put_key(out: &mut Vec<u8>, part: &KeyPart) {
    let told = part.key.told();
    let mut put_number = |kind, number: u128| match told.order {
        Order::Network => put(out, kind, &number.to_be_bytes()[16 - told.bytes..]),
        Order::Host => put(out, kind, host_order(number, told.bytes).as_slice()),
    };
    put_number(told.value, part.value);
    if let Some(mask) = told.mask {
        put_number(mask, part.mask);
    }
}

/// A number of 1, 2 or 4 bytes in the processor's byte order.
fn host_order(number: u128, bytes: usize) -> Vec<u8> {
    match bytes {
        1 => vec![number as u8],
        2 => (number as u16).to_ne_bytes().to_vec(),
        _ => (number as u32).to_ne_bytes().to_vec(),
    }
}

/// Appends an attribute whose value is written by `inside`.
pub fn nest(out: &mut Vec<u8>, kind: u16, inside: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; 2]);
    out.extend(kind.to_ne_bytes());
    inside(out);
    let length = u16::try_from(out.len() - start).unwrap_or(u16::MAX);
    out[start..start + 2].copy_from_slice(&length.to_ne_bytes());
    out.resize(out.len().next_multiple_of(4), 0);
}
