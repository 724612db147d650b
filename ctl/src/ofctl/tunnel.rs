//! Which options of tunnels are which fields.

use aorta_openflow::message::{FlowFormat, TlvMapping, TlvTableMod};
use aorta_openflow::{Message, Version};

use super::error::OfctlError;
use super::{Done, OK, Ofctl};

/// A number, hexadecimal behind `0x`.
fn number(text: &str, max: u32) -> Option<u32> {
    let number = match text.strip_prefix("0x") {
        Some(digits) => u32::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    };
    number.filter(|number| *number <= max)
}

/// `{class=CLASS,type=TYPE,len=LEN}->tun_metadataN`, with commas between several.
fn mappings(text: &str) -> Result<Vec<TlvMapping>, OfctlError> {
    let mut all = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() {
        let bad = || OfctlError::other(format!("{rest}: invalid tlv map"));
        let inside = rest.strip_prefix('{').and_then(|text| text.split_once('}'));
        let (option, after) = inside.ok_or_else(bad)?;
        let after = after.trim().strip_prefix("->").ok_or_else(bad)?.trim();
        let (field, next) = after.split_once(',').unwrap_or((after, ""));
        all.push(mapping(option, field.trim()).ok_or_else(bad)?);
        rest = next.trim();
    }
    Ok(all)
}

fn mapping(option: &str, field: &str) -> Option<TlvMapping> {
    let (mut class, mut kind, mut len) = (None, None, None);
    for part in option.split(',') {
        let (name, value) = part.trim().split_once('=')?;
        match name.trim() {
            "class" => class = number(value.trim(), 0xffff),
            "type" => kind = number(value.trim(), 0xff),
            "len" => len = number(value.trim(), 124).filter(|len| len % 4 == 0 && *len > 0),
            _ => return None,
        }
    }
    let index = field.strip_prefix("tun_metadata")?;
    Some(TlvMapping {
        class: u16::try_from(class?).ok()?,
        kind: u8::try_from(kind?).ok()?,
        len_bytes: u8::try_from(len?).ok()?,
        index: index.parse().ok()?,
    })
}

fn send(ofctl: &Ofctl, target: &str, change: TlvTableMod) -> Done {
    let mut client = ofctl.open(target)?;
    if client.version == Version::OpenFlow10 {
        // Fields of options can only be said in this form.
        ofctl.command(&mut client, Message::SetFlowFormat(FlowFormat::Nxm))?;
    }
    ofctl.command(&mut client, Message::TlvTableMod(change))?;
    Ok(OK)
}

/// Makes options fields.
pub fn add(ofctl: &Ofctl, words: &[&str]) -> Done {
    send(ofctl, words[0], TlvTableMod::Add(mappings(words[1])?))
}

/// Makes options fields no more; all if none is named.
pub fn delete(ofctl: &Ofctl, words: &[&str]) -> Done {
    let change = match words.get(1) {
        Some(text) => TlvTableMod::Delete(mappings(text)?),
        None => TlvTableMod::Clear,
    };
    send(ofctl, words[0], change)
}

/// Prints which options are fields.
pub fn dump(ofctl: &Ofctl, words: &[&str]) -> Done {
    ofctl.dump_one(words[0], Message::TlvTableRequest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_options_can_be_named() {
        let text = "{class=0xffff,type=0,len=4}->tun_metadata0, {class=1,type=0x80,len=124}->tun_metadata63";
        let found = mappings(text).unwrap();
        let short: Vec<(u16, u8, u8, u16)> = found
            .iter()
            .map(|m| (m.class, m.kind, m.len_bytes, m.index))
            .collect();
        assert_eq!(short, [(0xffff, 0, 4, 0), (1, 0x80, 124, 63)]);
        for bad in [
            "{class=1,type=2,len=5}->tun_metadata0",
            "x",
            "{class=1}->tun_metadata0",
        ] {
            assert!(mappings(bad).is_err(), "{bad}");
        }
    }
}
