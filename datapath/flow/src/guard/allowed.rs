//! The addresses that may be used behind a port, and their text.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aorta_packet::MacAddr;

use super::{IpPrefix, ParsePrefixError};

/// MAC addresses that a port's list can have.
pub const MAX_ALLOWED_MACS: usize = 64;
/// IP addresses and prefixes that a port's list can have, those of all MAC addresses together.
pub const MAX_ALLOWED_ADDRESSES: usize = 64;

/// Word for hosts that may answer DHCP requests.
const DHCP_SERVER: &str = "dhcp-server";
/// Word for hosts that may send router advertisements.
const ROUTER: &str = "router";

/// The addresses that may be used behind a port.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Allowed {
    /// The MAC addresses, each with IP addresses that it alone may use; `None`: any MAC address.
    pub macs: Option<BTreeMap<MacAddr, Vec<IpPrefix>>>,
    /// IP addresses that every MAC address may use.
    pub shared: Vec<IpPrefix>,
    /// Whether DHCP servers may be there.
    pub dhcp_server: bool,
    /// Whether routers may be there that announce themselves to IPv6 hosts.
    pub router: bool,
}

impl Allowed {
    /// No address at all: nothing comes in.
    pub fn nothing() -> Allowed {
        Allowed {
            macs: Some(BTreeMap::new()),
            ..Allowed::default()
        }
    }

    /// The IP addresses that a MAC address may use: any if there are none. `None` if the MAC address
    /// may not be used.
    pub fn addresses(&self, mac: MacAddr) -> Option<Vec<IpPrefix>> {
        let own: &[IpPrefix] = match &self.macs {
            None => &[],
            Some(macs) => macs.get(&mac)?,
        };
        Some(own.iter().chain(&self.shared).copied().collect())
    }

    fn address_count(&self) -> usize {
        let own = self.macs.iter().flatten().map(|(_, own)| own.len());
        own.sum::<usize>() + self.shared.len()
    }
}

/// Why a list can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseAllowedError {
    /// Nothing is in it.
    #[error("the list is empty; remove the key to allow everything")]
    Empty,
    /// A word that is nothing else was to be an address.
    #[error(transparent)]
    Address(#[from] ParsePrefixError),
    /// No host has it.
    #[error("{0} is the address of a group or of nobody, not of a host")]
    NoHost(MacAddr),
    /// It is there already.
    #[error("{0} is there twice")]
    Twice(MacAddr),
    /// Too many MAC addresses.
    #[error("more than {MAX_ALLOWED_MACS} MAC addresses")]
    TooManyMacs,
    /// Too many others.
    #[error("more than {MAX_ALLOWED_ADDRESSES} IP addresses and prefixes")]
    TooManyAddresses,
}

impl FromStr for Allowed {
    type Err = ParseAllowedError;

    /// Reads words separated by commas, semicolons or spaces: MAC addresses, IP addresses and prefixes
    /// (those behind a MAC address are that one's, those in front of the first are every one's),
    /// `dhcp-server` and `router`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut allowed = Allowed::default();
        let mut last: Option<MacAddr> = None;
        let between = |c: char| c == ',' || c == ';' || c.is_whitespace();
        let mut words = text.split(between).filter(|w| !w.is_empty()).peekable();
        words.peek().ok_or(ParseAllowedError::Empty)?;
        for word in words {
            match word {
                DHCP_SERVER => allowed.dhcp_server = true,
                ROUTER => allowed.router = true,
                word => match word.parse::<MacAddr>() {
                    Ok(mac) => {
                        allowed.add_mac(mac)?;
                        last = Some(mac);
                    }
                    Err(_) => allowed.add_address(last, word.parse()?),
                },
            }
        }
        if allowed
            .macs
            .as_ref()
            .is_some_and(|m| m.len() > MAX_ALLOWED_MACS)
        {
            return Err(ParseAllowedError::TooManyMacs);
        }
        match allowed.address_count() > MAX_ALLOWED_ADDRESSES {
            true => Err(ParseAllowedError::TooManyAddresses),
            false => Ok(allowed),
        }
    }
}

impl Allowed {
    fn add_mac(&mut self, mac: MacAddr) -> Result<(), ParseAllowedError> {
        if mac.is_multicast() || mac.is_zero() {
            return Err(ParseAllowedError::NoHost(mac));
        }
        let macs = self.macs.get_or_insert_default();
        match macs.insert(mac, Vec::new()) {
            None => Ok(()),
            Some(_) => Err(ParseAllowedError::Twice(mac)),
        }
    }

    fn add_address(&mut self, of: Option<MacAddr>, address: IpPrefix) {
        let own = of.and_then(|mac| self.macs.as_mut()?.get_mut(&mac));
        own.unwrap_or(&mut self.shared).push(address);
    }
}

impl fmt::Display for Allowed {
    /// As it can be read again; a list that allows nothing is `nothing`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let join =
            |words: &[IpPrefix]| -> Vec<String> { words.iter().map(IpPrefix::to_string).collect() };
        let mut words = join(&self.shared);
        if self.macs.as_ref().is_some_and(BTreeMap::is_empty) {
            words.push("nothing".to_owned());
        }
        for (mac, own) in self.macs.iter().flatten() {
            words.push(mac.to_string());
            words.extend(join(own));
        }
        let options = [(self.dhcp_server, DHCP_SERVER), (self.router, ROUTER)];
        let set = options.into_iter().filter(|(set, _)| *set);
        words.extend(set.map(|(_, word)| word.to_owned()));
        f.write_str(&words.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 1]);
    const B: MacAddr = MacAddr([0x52, 0x54, 0, 0, 0, 2]);

    fn addresses(text: &str, mac: MacAddr) -> Option<Vec<String>> {
        let allowed: Allowed = text.parse().unwrap();
        let all = allowed.addresses(mac)?;
        Some(all.iter().map(IpPrefix::to_string).collect())
    }

    #[test]
    fn addresses_belong_to_the_mac_in_front() {
        let text = "fe80::1, 52:54:00:00:00:01 10.0.0.1;52:54:00:00:00:02,10.0.0.0/24 router";
        assert_eq!(addresses(text, A).unwrap(), ["10.0.0.1", "fe80::1"]);
        assert_eq!(addresses(text, B).unwrap(), ["10.0.0.0/24", "fe80::1"]);
        assert_eq!(addresses(text, MacAddr([2; 6])), None);
        let allowed: Allowed = text.parse().unwrap();
        assert!(allowed.router && !allowed.dhcp_server);
        assert_eq!(allowed.to_string().parse(), Ok(allowed));
    }

    #[test]
    fn a_mac_alone_may_use_any_address_and_an_address_alone_any_mac() {
        assert_eq!(addresses("52:54:00:00:00:01", A), Some(vec![]));
        assert_eq!(addresses("52:54:00:00:00:01", B), None);
        assert_eq!(addresses("10.0.0.1", B).unwrap(), ["10.0.0.1"]);
        assert_eq!(addresses("dhcp-server", B), Some(vec![]));
    }

    #[test]
    fn what_cannot_be_read_is_told() {
        let why = |text: &str| text.parse::<Allowed>().unwrap_err().to_string();
        assert_eq!(
            why(" , "),
            "the list is empty; remove the key to allow everything"
        );
        assert_eq!(
            why("52:54:00:00:00:01 10.0.0"),
            "\"10.0.0\" is neither a MAC address nor an IPv4 or IPv6 address or prefix"
        );
        assert!(why("ff:ff:ff:ff:ff:ff").contains("the address of a group"));
        assert!(why("52:54:00:00:00:01 52:54:00:00:00:01").ends_with("is there twice"));
        let many: Vec<String> = (0..65).map(|n| format!("10.0.0.{n}")).collect();
        assert_eq!(
            why(&many.join(",")),
            "more than 64 IP addresses and prefixes"
        );
        let many: Vec<String> = (0..65).map(|n| format!("02:00:00:00:00:{n:02x}")).collect();
        assert_eq!(why(&many.join(",")), "more than 64 MAC addresses");
    }

    #[test]
    fn nothing_is_nobody_s() {
        assert_eq!(Allowed::nothing().addresses(A), None);
        assert_eq!(Allowed::nothing().to_string(), "nothing");
        assert!("nothing".parse::<Allowed>().is_err());
    }
}
