//! What a filter matches.

/// A field that flower matches, by its attribute's name in linux/pkt_cls.h.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[allow(missing_docs)]
pub enum Key {
    EthDst,
    EthSrc,
    /// Type of the frame: the outer tag's protocol if there is one.
    EthType,
    /// How many VLAN tags there are (Linux 5.19).
    NumOfVlans,
    VlanId,
    VlanPrio,
    /// Type behind the outer tag.
    VlanEthType,
    CvlanId,
    CvlanPrio,
    /// Type behind the second tag.
    CvlanEthType,
    IpProto,
    Ipv4Src,
    Ipv4Dst,
    Ipv6Src,
    Ipv6Dst,
    IpTos,
    IpTtl,
    TcpSrc,
    TcpDst,
    TcpFlags,
    UdpSrc,
    UdpDst,
    SctpSrc,
    SctpDst,
    /// [`Key::IS_FRAGMENT`] and [`Key::IS_FIRST`].
    Flags,
    Icmpv4Type,
    Icmpv4Code,
    Icmpv6Type,
    Icmpv6Code,
    ArpSip,
    ArpTip,
    ArpOp,
    ArpSha,
    ArpTha,
    MplsTtl,
    MplsBos,
    MplsTc,
    MplsLabel,
}

/// Byte order of a key's value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Order {
    /// Most significant byte first.
    Network,
    /// The processor's.
    Host,
}

/// How a key is told: attributes of value and mask, length in bytes, byte order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Told {
    pub value: u16,
    /// None if the key matches whole values only.
    pub mask: Option<u16>,
    pub bytes: usize,
    pub order: Order,
    /// Bits that it has.
    pub bits: u32,
}

impl Key {
    /// In [`Key::Flags`]: the packet is a fragment.
    pub const IS_FRAGMENT: u128 = 1;
    /// In [`Key::Flags`]: it is the first fragment.
    pub const IS_FIRST: u128 = 2;

    /// All keys.
    pub const ALL: [Key; 38] = [
        Key::EthDst,
        Key::EthSrc,
        Key::EthType,
        Key::NumOfVlans,
        Key::VlanId,
        Key::VlanPrio,
        Key::VlanEthType,
        Key::CvlanId,
        Key::CvlanPrio,
        Key::CvlanEthType,
        Key::IpProto,
        Key::Ipv4Src,
        Key::Ipv4Dst,
        Key::Ipv6Src,
        Key::Ipv6Dst,
        Key::IpTos,
        Key::IpTtl,
        Key::TcpSrc,
        Key::TcpDst,
        Key::TcpFlags,
        Key::UdpSrc,
        Key::UdpDst,
        Key::SctpSrc,
        Key::SctpDst,
        Key::Flags,
        Key::Icmpv4Type,
        Key::Icmpv4Code,
        Key::Icmpv6Type,
        Key::Icmpv6Code,
        Key::ArpSip,
        Key::ArpTip,
        Key::ArpOp,
        Key::ArpSha,
        Key::ArpTha,
        Key::MplsTtl,
        Key::MplsBos,
        Key::MplsTc,
        Key::MplsLabel,
    ];

    pub(super) fn told(self) -> Told {
        use Order::{Host, Network};
        let (value, mask, bytes, order, bits) = match self {
            Key::EthDst => (4, Some(5), 6, Network, 48),
            Key::EthSrc => (6, Some(7), 6, Network, 48),
            Key::EthType => (8, None, 2, Network, 16),
            Key::NumOfVlans => (102, None, 1, Host, 8),
            Key::VlanId => (23, None, 2, Host, 12),
            Key::VlanPrio => (24, None, 1, Host, 3),
            Key::VlanEthType => (25, None, 2, Network, 16),
            Key::CvlanId => (77, None, 2, Host, 12),
            Key::CvlanPrio => (78, None, 1, Host, 3),
            Key::CvlanEthType => (79, None, 2, Network, 16),
            Key::IpProto => (9, None, 1, Host, 8),
            Key::Ipv4Src => (10, Some(11), 4, Network, 32),
            Key::Ipv4Dst => (12, Some(13), 4, Network, 32),
            Key::Ipv6Src => (14, Some(15), 16, Network, 128),
            Key::Ipv6Dst => (16, Some(17), 16, Network, 128),
            Key::IpTos => (73, Some(74), 1, Host, 8),
            Key::IpTtl => (75, Some(76), 1, Host, 8),
            Key::TcpSrc => (18, Some(35), 2, Network, 16),
            Key::TcpDst => (19, Some(36), 2, Network, 16),
            Key::TcpFlags => (71, Some(72), 2, Network, 12),
            Key::UdpSrc => (20, Some(37), 2, Network, 16),
            Key::UdpDst => (21, Some(38), 2, Network, 16),
            Key::SctpSrc => (41, Some(39), 2, Network, 16),
            Key::SctpDst => (42, Some(40), 2, Network, 16),
            Key::Flags => (47, Some(48), 4, Network, 32),
            Key::Icmpv4Type => (51, Some(52), 1, Host, 8),
            Key::Icmpv4Code => (49, Some(50), 1, Host, 8),
            Key::Icmpv6Type => (55, Some(56), 1, Host, 8),
            Key::Icmpv6Code => (53, Some(54), 1, Host, 8),
            Key::ArpSip => (57, Some(58), 4, Network, 32),
            Key::ArpTip => (59, Some(60), 4, Network, 32),
            Key::ArpOp => (61, Some(62), 1, Host, 8),
            Key::ArpSha => (63, Some(64), 6, Network, 48),
            Key::ArpTha => (65, Some(66), 6, Network, 48),
            Key::MplsTtl => (67, None, 1, Host, 8),
            Key::MplsBos => (68, None, 1, Host, 1),
            Key::MplsTc => (69, None, 1, Host, 3),
            Key::MplsLabel => (70, None, 4, Host, 20),
        };
        Told {
            value,
            mask,
            bytes,
            order,
            bits,
        }
    }

    /// All bits of it.
    pub fn full_mask(self) -> u128 {
        u128::MAX >> (128 - self.told().bits)
    }

    /// Whether single bits of it can be matched.
    pub fn is_maskable(self) -> bool {
        self.told().mask.is_some()
    }
}

/// What a filter asks of a field.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct KeyPart {
    /// Which field.
    pub key: Key,
    /// Its value under the mask.
    pub value: u128,
    /// Bits that matter.
    pub mask: u128,
}

/// What a filter matches: all of these, each field once. Fields that aren't named may be anything.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct Keys(Vec<KeyPart>);

impl Keys {
    /// All packets.
    pub fn any() -> Keys {
        Keys::default()
    }

    /// Asks for a value of a field, in place of what was asked of it before.
    pub fn set(&mut self, key: Key, value: u128) {
        self.set_masked(key, value, key.full_mask());
    }

    /// Asks for the bits of a value under a mask; of keys that can't be masked, for all bits.
    pub fn set_masked(&mut self, key: Key, value: u128, mask: u128) {
        let mask = match key.is_maskable() {
            true => mask & key.full_mask(),
            false => key.full_mask(),
        };
        let value = value & mask;
        let part = KeyPart { key, value, mask };
        match self.0.binary_search_by_key(&key, |part| part.key) {
            Ok(at) => self.0[at] = part,
            Err(at) => self.0.insert(at, part),
        }
    }

    /// The same with a field's value.
    #[must_use]
    pub fn with(mut self, key: Key, value: u128) -> Keys {
        self.set(key, value);
        self
    }

    /// Whether it asks for a type, or for how many tags there are.
    pub fn is_typed(&self) -> bool {
        let typed = [Key::EthType, Key::NumOfVlans];
        self.0.iter().any(|part| typed.contains(&part.key))
    }

    /// Whether it asks for something in ARP.
    pub fn is_about_arp(&self) -> bool {
        let arp = Key::ArpSip..=Key::ArpTha;
        self.0.iter().any(|part| arp.contains(&part.key))
    }

    /// What it asks, field by field.
    pub fn parts(&self) -> &[KeyPart] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_key_has_attributes_of_its_own() {
        let mut seen = BTreeSet::new();
        for key in Key::ALL {
            let told = key.told();
            assert!(seen.insert(told.value), "{key:?}");
            assert!(told.mask.is_none_or(|mask| seen.insert(mask)), "{key:?}");
            assert!(told.bits as usize <= 8 * told.bytes, "{key:?}");
        }
        let sorted: BTreeSet<Key> = Key::ALL.into();
        assert_eq!(sorted.len(), Key::ALL.len());
    }

    #[test]
    fn masks_only_where_there_are_any() {
        let mut keys = Keys::any();
        keys.set_masked(Key::VlanId, 0x1005, 0xf);
        keys.set_masked(Key::Ipv4Dst, 0x0a00_0001, 0xff00_0000);
        keys.set_masked(Key::Ipv4Dst, 0x0b00_0001, 0xff00_0000);
        let expected = [
            KeyPart {
                key: Key::VlanId,
                value: 5,
                mask: 0xfff,
            },
            KeyPart {
                key: Key::Ipv4Dst,
                value: 0x0b00_0000,
                mask: 0xff00_0000,
            },
        ];
        assert_eq!(keys.parts(), expected);
    }
}
