//! Addresses and prefixes of either version of IP.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// Addresses that begin with the same bits. A single address is a prefix of all its bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct IpPrefix {
    address: IpAddr,
    bits: u8,
}

/// The text is no address and no prefix.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParsePrefixError {
    /// What is in front of the slash, or all of it.
    #[error("{0:?} is neither a MAC address nor an IPv4 or IPv6 address or prefix")]
    Address(String),
    /// What is behind the slash.
    #[error("{text:?}: a prefix of this kind has a length from 0 to {most}")]
    Length {
        /// The whole text.
        text: String,
        /// The longest.
        most: u8,
    },
    /// Bits behind the prefix are set.
    #[error("{text:?} has bits behind its prefix: {meant} is the prefix, {address} the address")]
    HostBits {
        /// The whole text.
        text: String,
        /// The prefix without them.
        meant: IpPrefix,
        /// The address alone.
        address: IpAddr,
    },
}

impl IpPrefix {
    /// Of an address and so many of its first bits; the others are cleared. More bits than the address
    /// has are all of them.
    pub fn new(address: IpAddr, bits: u8) -> IpPrefix {
        match address {
            IpAddr::V4(v4) => {
                let bits = bits.min(32);
                let address = u32::from(v4) & (mask(bits.into(), 32) as u32);
                IpPrefix {
                    address: IpAddr::V4(address.into()),
                    bits,
                }
            }
            IpAddr::V6(v6) => {
                let bits = bits.min(128);
                let address = u128::from(v6) & mask(bits.into(), 128);
                IpPrefix {
                    address: IpAddr::V6(address.into()),
                    bits,
                }
            }
        }
    }

    /// The first and the last address, as numbers, if it is one of IPv4.
    pub fn v4_range(&self) -> Option<(u32, u32)> {
        let IpAddr::V4(v4) = self.address else {
            return None;
        };
        let first = u32::from(v4);
        Some((first, first | !(mask(self.bits.into(), 32) as u32)))
    }

    /// The first and the last address, as numbers, if it is one of IPv6.
    pub fn v6_range(&self) -> Option<(u128, u128)> {
        let IpAddr::V6(v6) = self.address else {
            return None;
        };
        let first = u128::from(v6);
        Some((first, first | !mask(self.bits.into(), 128)))
    }

    /// Whether an address is one of them.
    pub fn contains(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(v4) => within(self.v4_range(), u32::from(v4)),
            IpAddr::V6(v6) => within(self.v6_range(), u128::from(v6)),
        }
    }
}

fn within<N: PartialOrd>(range: Option<(N, N)>, number: N) -> bool {
    range.is_some_and(|(first, last)| first <= number && number <= last)
}

/// The first `bits` of `of` bits, at the low end of a number.
fn mask(bits: u32, of: u32) -> u128 {
    let all = u128::MAX >> (128 - of);
    all & all.checked_shl(of - bits).unwrap_or(0)
}

impl From<IpAddr> for IpPrefix {
    fn from(address: IpAddr) -> Self {
        IpPrefix::new(address, 128)
    }
}

impl fmt::Display for IpPrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let most = if self.address.is_ipv4() { 32 } else { 128 };
        match self.bits == most {
            true => write!(f, "{}", self.address),
            false => write!(f, "{}/{}", self.address, self.bits),
        }
    }
}

impl FromStr for IpPrefix {
    type Err = ParsePrefixError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| ParsePrefixError::Address(text.to_owned()))?;
        let most = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits.map(str::parse::<u8>) {
            None => most,
            Some(Ok(bits)) if bits <= most => bits,
            Some(_) => {
                let text = text.to_owned();
                return Err(ParsePrefixError::Length { text, most });
            }
        };
        let meant = IpPrefix::new(address, bits);
        if meant.address != address {
            let text = text.to_owned();
            return Err(ParsePrefixError::HostBits {
                text,
                meant,
                address,
            });
        }
        Ok(meant)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> IpPrefix {
        text.parse().unwrap()
    }

    #[test]
    fn text_leads_back() {
        for text in [
            "10.0.0.7",
            "10.0.0.0/8",
            "0.0.0.0/0",
            "fe80::/10",
            "2001:db8::1",
            "::/0",
        ] {
            assert_eq!(prefix(text).to_string(), text);
        }
        assert_eq!(prefix("10.0.0.7/32").to_string(), "10.0.0.7");
    }

    #[test]
    fn addresses_within() {
        let contains = |p: &str, address: &str| prefix(p).contains(address.parse().unwrap());
        assert!(contains("10.1.0.0/16", "10.1.255.255") && !contains("10.1.0.0/16", "10.2.0.0"));
        assert!(contains("0.0.0.0/0", "255.1.2.3") && !contains("0.0.0.0/0", "::1"));
        assert!(contains("2001:db8::/33", "2001:db8:7fff:ffff::1"));
        assert!(!contains("2001:db8::/33", "2001:db8:8000::"));
        assert!(contains("::/0", "ffff::") && contains("::1", "::1") && !contains("::1", "::2"));
    }

    #[test]
    fn refusals_say_what_is_meant() {
        let why = |text: &str| text.parse::<IpPrefix>().unwrap_err().to_string();
        assert_eq!(
            why("10.0.0.256"),
            "\"10.0.0.256\" is neither a MAC address nor an IPv4 or IPv6 address or prefix"
        );
        assert_eq!(
            why("10.0.0.0/33"),
            "\"10.0.0.0/33\": a prefix of this kind has a length from 0 to 32"
        );
        assert_eq!(
            why("10.0.0.1/24"),
            "\"10.0.0.1/24\" has bits behind its prefix: 10.0.0.0/24 is the prefix, 10.0.0.1 the address"
        );
    }
}
