//! Values of fields as text.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, Ipv6Addr};

use aorta_packet::MacAddr;

use super::{CT_STATE_FLAGS, Field, FieldId, FlagNames, Format, TCP_FLAGS, TUN_FLAGS, ones};
use crate::OfPort;

/// A text is not a value of its field.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ValueError {
    /// Not of the field's form.
    #[error("{text:?} is not a value of {field}: expected {expected}")]
    Form {
        /// The field.
        field: FieldId,
        /// What was read.
        text: String,
        /// What would be right.
        expected: &'static str,
    },
    /// More bits than the field has.
    #[error("{text} is too large for {field}, which has {bits} bits")]
    TooLarge {
        /// The field.
        field: FieldId,
        /// What was read.
        text: String,
        /// Bits of the field.
        bits: u8,
    },
    /// A mask where none may be.
    #[error("{0} can't be matched with a mask")]
    NotMaskable(FieldId),
}

/// Reads `VALUE` or `VALUE/MASK` of a field. `*` gives a mask of 0. The bits outside the mask are
/// 0 in the result.
///
/// # Errors
/// When the text isn't of the field's form, has too many bits, or a mask that the field can't
/// have.
pub fn parse_value(id: FieldId, text: &str) -> Result<(u128, u128), ValueError> {
    let field = id.field();
    if text == "*" {
        return Ok((0, 0));
    }
    let (value, mask) = match field.format {
        Format::Frag => parse_frag(text),
        Format::CtState => parse_flags(field, CT_STATE_FLAGS, text),
        Format::TcpFlags => parse_flags(field, TCP_FLAGS, text),
        Format::TunFlags => parse_flags(field, TUN_FLAGS, text),
        _ => parse_masked(field, text),
    }
    .ok_or_else(|| form_error(id, text))?;
    let limit = ones(field.key_bits.max(field.bits));
    let no_vlan = id == FieldId::DL_VLAN && value == NO_VLAN;
    if (value > limit && !no_vlan) || (mask > limit && mask != u128::MAX) {
        return Err(ValueError::TooLarge {
            field: id,
            text: text.to_owned(),
            bits: field.key_bits,
        });
    }
    let mask = if mask == u128::MAX {
        field.full_mask()
    } else {
        mask
    };
    if mask != field.full_mask() && mask != 0 && !field.maskable {
        return Err(ValueError::NotMaskable(id));
    }
    Ok((if no_vlan { value } else { value & mask }, mask))
}

/// Value of `dl_vlan` that asks for packets without a tag.
pub(crate) const NO_VLAN: u128 = 0xffff;

fn form_error(id: FieldId, text: &str) -> ValueError {
    ValueError::Form {
        field: id,
        text: text.to_owned(),
        expected: match id.field().format {
            Format::Decimal | Format::Hex => "a number such as 10 or 0xa",
            Format::Ethernet => "an address such as 52:54:00:12:34:56",
            Format::Ipv4 => "an address such as 10.0.0.1 or 10.0.0.0/8",
            Format::Ipv6 => "an address such as fe80::1 or fe80::/10",
            Format::Port => "a port's number, its name, or LOCAL, CONTROLLER, IN_PORT",
            Format::Frag => "no, yes, first, later or not_later",
            Format::CtState => "flags such as +trk-new, of new est rel rpl inv trk snat dnat",
            Format::TcpFlags => "flags such as +syn-ack, of fin syn rst psh ack urg ece cwr ns",
            Format::TunFlags => "+oam or -oam",
            Format::PacketType => "(namespace,type), such as (1,0x894f)",
        },
    }
}

/// A value with an optional mask; a mask of all ones if there is none.
fn parse_masked(field: &Field, text: &str) -> Option<(u128, u128)> {
    match text.split_once('/') {
        None => Some((parse_plain(field.format, text)?, u128::MAX)),
        Some((value, mask)) => {
            let value = parse_plain(field.format, value)?;
            let mask = match field.format {
                Format::Ipv4 if !mask.contains('.') => prefix(mask, 32)?,
                Format::Ipv6 if !mask.contains(':') => prefix(mask, 128)?,
                format => parse_plain(format, mask)?,
            };
            Some((value, mask))
        }
    }
}

fn prefix(length: &str, bits: u8) -> Option<u128> {
    let length: u8 = length.parse().ok()?;
    (length <= bits).then(|| ones(bits) & !ones(bits - length))
}

fn parse_plain(format: Format, text: &str) -> Option<u128> {
    match format {
        Format::Ethernet => text.parse().ok().map(mac_value),
        Format::Ipv4 => text.parse::<Ipv4Addr>().ok().map(|a| a.to_bits().into()),
        Format::Ipv6 => text.parse::<Ipv6Addr>().ok().map(Ipv6Addr::to_bits),
        Format::Port => OfPort::from_text(text).map(|port| port.0.into()),
        Format::PacketType => {
            let (namespace, kind) = text.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
            let namespace = parse_number(namespace).filter(|n| *n <= 0xffff)?;
            let kind = parse_number(kind).filter(|n| *n <= 0xffff)?;
            Some(namespace << 16 | kind)
        }
        _ => parse_number(text),
    }
}

/// A decimal number, or a hexadecimal one with `0x`. A leading zero is refused, because some
/// would read an octal number.
pub(crate) fn parse_number(text: &str) -> Option<u128> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        let digits = digits.trim_start_matches('0');
        return match digits {
            "" => text.ends_with('0').then_some(0),
            _ if digits.starts_with('+') => None,
            _ => u128::from_str_radix(digits, 16).ok(),
        };
    }
    let plain = text.bytes().all(|c| c.is_ascii_digit());
    let leading_zero = text.len() > 1 && text.starts_with('0');
    if !plain || leading_zero {
        return None;
    }
    // Most numbers are small, and quicker to read as such.
    let small = text.parse().ok().map(|small: u64| small.into());
    small.or_else(|| text.parse().ok())
}

fn parse_frag(text: &str) -> Option<(u128, u128)> {
    let known = FRAG_NAMES.iter().find(|(name, ..)| *name == text);
    match known {
        Some((_, value, mask)) => Some((*value, *mask)),
        None => {
            let (value, mask) = text.split_once('/')?;
            Some((parse_number(value)?, parse_number(mask)?))
        }
    }
}

/// Bit 0: a fragment; bit 1: not the first.
const FRAG_NAMES: [(&str, u128, u128); 5] = [
    ("no", 0, 3),
    ("yes", 1, 1),
    ("first", 1, 3),
    ("later", 3, 3),
    ("not_later", 0, 2),
];

fn parse_flags(field: &Field, names: FlagNames, text: &str) -> Option<(u128, u128)> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return match text.split_once('/') {
            None => Some((parse_number(text)?, u128::MAX)),
            Some((value, mask)) => Some((parse_number(value)?, parse_number(mask)?)),
        };
    }
    let bit = |name: &str| {
        let found = names.iter().find(|(n, _)| *n == name)?;
        Some(u128::from(found.1))
    };
    if text.starts_with(['+', '-']) {
        return parse_signed_flags(text, bit);
    }
    let value = text
        .split('|')
        .try_fold(0, |all, name| Some(all | bit(name)?))?;
    Some((value, field.full_mask()))
}

fn parse_signed_flags(text: &str, bit: impl Fn(&str) -> Option<u128>) -> Option<(u128, u128)> {
    let (mut value, mut mask) = (0, 0);
    let mut rest = text;
    while let Some(sign) = rest.chars().next() {
        let end = rest[1..].find(['+', '-']).map_or(rest.len(), |at| at + 1);
        let flag = bit(&rest[1..end])?;
        if mask & flag != 0 {
            return None;
        }
        mask |= flag;
        if sign == '+' {
            value |= flag;
        }
        rest = &rest[end..];
    }
    Some((value, mask))
}

/// Writes a value with its mask, as actions do: no mask if it is full.
pub(crate) fn show(out: &mut String, id: FieldId, value: u128, mask: u128) {
    let field = id.field();
    let full = mask == field.full_mask();
    match field.format {
        Format::Decimal | Format::PacketType | Format::Ethernet | Format::Port | Format::Hex => {
            show_plain(out, field.format, value);
            if !full {
                out.push('/');
                match field.format {
                    Format::Ethernet => show_plain(out, Format::Ethernet, mask),
                    _ => hex(out, mask),
                }
            }
        }
        Format::Ipv4 | Format::Ipv6 => show_address(out, field, value, mask),
        Format::Frag => match FRAG_NAMES.iter().find(|n| (n.1, n.2) == (value, mask)) {
            Some((name, ..)) => out.push_str(name),
            None => {
                let _ = write!(out, "{value:#x}/{mask:#x}");
            }
        },
        Format::CtState => show_flags(out, CT_STATE_FLAGS, value, mask, full),
        Format::TcpFlags => show_flags(out, TCP_FLAGS, value, mask, full),
        Format::TunFlags => show_flags(out, TUN_FLAGS, value, mask, false),
    }
}

fn show_plain(out: &mut String, format: Format, value: u128) {
    let _ = match format {
        Format::Ethernet => write!(out, "{}", mac(value)),
        Format::Hex => {
            hex(out, value);
            Ok(())
        }
        Format::PacketType => write!(out, "({},{:#x})", value >> 16, value & 0xffff),
        Format::Port => write!(out, "{}", OfPort(value as u16)),
        _ => write!(out, "{value}"),
    };
}

fn show_address(out: &mut String, field: &Field, value: u128, mask: u128) {
    let bits = field.bits;
    let address = |out: &mut String, value: u128| {
        let _ = if bits == 32 {
            write!(out, "{}", Ipv4Addr::from_bits(value as u32))
        } else {
            ipv6(out, Ipv6Addr::from_bits(value))
        };
    };
    address(out, value);
    let length = mask.count_ones() as u8;
    if length == bits {
    } else if mask == ones(bits) & !ones(bits - length) {
        let _ = write!(out, "/{length}");
    } else {
        out.push('/');
        address(out, mask);
    }
}

/// Like RFC 5952, but with the last four bytes dotted whenever six words before them are zero, as
/// C libraries print it.
fn ipv6(out: &mut String, address: Ipv6Addr) -> std::fmt::Result {
    let segments = address.segments();
    if segments[..6] == [0; 6] && segments[6] != 0 {
        let low = Ipv4Addr::from_bits(address.to_bits() as u32);
        write!(out, "::{low}")
    } else {
        write!(out, "{address}")
    }
}

fn show_flags(out: &mut String, names: FlagNames, value: u128, mask: u128, full: bool) {
    let set = |flag: u16, bits: u128| bits & u128::from(flag) != 0;
    if full {
        let chosen: Vec<&str> = names
            .iter()
            .filter(|(_, flag)| set(*flag, value))
            .map(|(name, _)| *name)
            .collect();
        match chosen.is_empty() {
            true => out.push('0'),
            false => out.push_str(&chosen.join("|")),
        }
        return;
    }
    for (name, flag) in names.iter().filter(|(_, flag)| set(*flag, mask)) {
        out.push(if set(*flag, value) { '+' } else { '-' });
        out.push_str(name);
    }
}

/// Writes a hexadecimal number; 0 is `0`.
pub(crate) fn hex(out: &mut String, value: u128) {
    let _ = match value {
        0 => write!(out, "0"),
        _ => write!(out, "{value:#x}"),
    };
}

/// The address in the low 48 bits.
fn mac(value: u128) -> MacAddr {
    let mut bytes = [0; 6];
    bytes.copy_from_slice(&value.to_be_bytes()[10..]);
    MacAddr(bytes)
}

fn mac_value(address: MacAddr) -> u128 {
    address
        .0
        .iter()
        .fold(0, |value, byte| value << 8 | u128::from(*byte))
}
