//! 48-bit MAC addresses (IEEE 802-2014 §8).

use std::fmt;
use std::str::FromStr;

/// A 48-bit MAC address, first byte on the wire first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddr(pub [u8; 6]);

/// The text is not six hexadecimal bytes separated by colons.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a MAC address: expected six bytes in hexadecimal, as in 52:54:00:12:34:56")]
pub struct ParseMacError(String);

impl MacAddr {
    /// ff:ff:ff:ff:ff:ff.
    pub const BROADCAST: MacAddr = MacAddr([0xff; 6]);
    /// 01:80:c2:00:00:00, where the Spanning Tree Protocol sends to (IEEE 802.1Q-2018 table 8-1).
    pub const SPANNING_TREE: MacAddr = MacAddr([0x01, 0x80, 0xc2, 0, 0, 0]);

    /// Whether the group bit is set: multicast and broadcast addresses.
    pub fn is_multicast(self) -> bool {
        self.0[0] & 1 != 0
    }

    /// Whether all bits are zero, which is no station's address.
    pub fn is_zero(self) -> bool {
        self.0 == [0; 6]
    }

    /// Whether the address is one of 01:80:c2:00:00:00 to :0f, which a bridge never forwards
    /// (IEEE 802.1Q-2018 §8.6.3, table 8-1).
    pub fn is_link_local_reserved(self) -> bool {
        self.0[..5] == [0x01, 0x80, 0xc2, 0x00, 0x00] && self.0[5] & 0xf0 == 0
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c, d, e, g] = self.0;
        write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
    }
}

impl fmt::Debug for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MacAddr {
    type Err = ParseMacError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseMacError(text.to_owned());
        let mut bytes = [0u8; 6];
        let mut parts = text.split(':');
        for byte in &mut bytes {
            let part = parts.next().ok_or_else(error)?;
            if part.is_empty() || part.len() > 2 || !part.bytes().all(|c| c.is_ascii_hexdigit()) {
                return Err(error());
            }
            *byte = u8::from_str_radix(part, 16).map_err(|_| error())?;
        }
        match parts.next() {
            None => Ok(MacAddr(bytes)),
            Some(_) => Err(error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_form_round_trips() {
        let mac: MacAddr = "52:54:00:1:aB:ff".parse().unwrap();
        assert_eq!(mac, MacAddr([0x52, 0x54, 0, 1, 0xab, 0xff]));
        assert_eq!(mac.to_string(), "52:54:00:01:ab:ff");
    }

    #[test]
    fn refuses_what_is_not_an_address() {
        for bad in [
            "",
            "1:2:3:4:5",
            "1:2:3:4:5:6:7",
            "g:0:0:0:0:0",
            "+1:0:0:0:0:0",
            "100:0:0:0:0:0",
        ] {
            assert!(bad.parse::<MacAddr>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn reserved_range_ends_at_0f() {
        assert!(MacAddr([0x01, 0x80, 0xc2, 0, 0, 0x0f]).is_link_local_reserved());
        assert!(!MacAddr([0x01, 0x80, 0xc2, 0, 0, 0x10]).is_link_local_reserved());
    }
}
