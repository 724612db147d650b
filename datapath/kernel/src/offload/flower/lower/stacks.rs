//! VLAN tags of frames that a card may decide.

use std::collections::BTreeSet;

use aorta_packet::{
    ETHERTYPE_ARP, ETHERTYPE_IPV4, ETHERTYPE_IPV6, ETHERTYPE_RARP, TPID_8021AD, TPID_8021Q,
};

use crate::offload::flower::{Key, Keys, Running};

/// Protocols of the tags of a frame, the outermost first; two at most.
pub type Stack = Vec<u16>;

/// What a VLAN tag's protocol may be.
const TPIDS: [u16; 2] = [TPID_8021Q, TPID_8021AD];
/// Tags whose keys flower has.
pub const MAX_TAGS: usize = 2;

/// The authentication header (RFC 4302), as a protocol.
pub const AUTHENTICATION: u8 = 51;

/// Tags of frames that a card may decide. Others are left to software by guards, filters in front of
/// all rules: flower matches the type behind the tags only together with each tag's protocol, so that
/// a rule for a type is a filter for each of these.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stacks(BTreeSet<Stack>);

impl Stacks {
    /// These, and whatever becomes of them when tags are removed or aren't there.
    pub fn new(stacks: &[&[u16]]) -> Stacks {
        let mut all = BTreeSet::from([Stack::new()]);
        for stack in stacks {
            let stack = &stack[..stack.len().min(MAX_TAGS)];
            for from in 0..stack.len() {
                let tails = (from + 1..=stack.len()).map(|to| stack[from..to].to_vec());
                all.extend(tails);
            }
        }
        Stacks(all)
    }

    /// All of them, the fewest tags first.
    pub fn iter(&self) -> impl Iterator<Item = &Stack> {
        let of = |count| self.0.iter().filter(move |stack| stack.len() == count);
        (0..=MAX_TAGS).flat_map(of)
    }

    /// Whether it is one of them.
    pub fn contains(&self, stack: &[u16]) -> bool {
        self.0.contains(stack)
    }

    /// Frames with other tags than these: what begins as one of them and has one more tag.
    pub fn others(&self) -> Vec<Keys> {
        let longer = self.iter().flat_map(|stack| {
            TPIDS.map(|tpid| (stack, tpid, [stack.as_slice(), &[tpid]].concat()))
        });
        let others = longer.filter(|(.., longer)| !self.contains(longer));
        let keys = others.map(|(stack, tpid, _)| typed(stack, Some(tpid)));
        keys.collect()
    }

    /// Fragments of IP packets: flower doesn't read what a first fragment carries.
    pub fn fragments(&self, running: Running) -> Vec<Keys> {
        let mut all = self.each([ETHERTYPE_IPV4, ETHERTYPE_IPV6], running);
        for keys in &mut all {
            keys.set_masked(Key::Flags, Key::IS_FRAGMENT, Key::IS_FRAGMENT);
        }
        all
    }

    /// IPv6 packets with an authentication header: flower doesn't read what is behind it.
    pub fn authenticated(&self, running: Running) -> Vec<Keys> {
        let mut all = self.each([ETHERTYPE_IPV6], running);
        for keys in &mut all {
            keys.set(Key::IpProto, AUTHENTICATION.into());
        }
        all
    }

    /// ARP that is neither a request nor a reply: flower reads nothing of it, as if its operation were 0.
    pub fn odd_arp(&self, running: Running) -> Vec<Keys> {
        let mut all = self.each([ETHERTYPE_ARP, ETHERTYPE_RARP], running);
        for keys in &mut all {
            keys.set(Key::ArpOp, 0);
        }
        all
    }

    /// IP packets whose time to live is 0 or 1.
    pub fn ending(&self, running: Running) -> Vec<Keys> {
        let mut all = self.each([ETHERTYPE_IPV4, ETHERTYPE_IPV6], running);
        for keys in &mut all {
            keys.set_masked(Key::IpTtl, 0, 0xfe);
        }
        all
    }

    /// Frames of these types, with whatever tags.
    fn each<const N: usize>(&self, types: [u16; N], running: Running) -> Vec<Keys> {
        let kinds = self
            .iter()
            .flat_map(|stack| types.map(|ethertype| (stack, ethertype)));
        let keys = kinds.map(|(stack, ethertype)| behind(stack, Some(ethertype), running));
        keys.collect()
    }
}

impl Default for Stacks {
    /// None, or one of 802.1Q.
    fn default() -> Stacks {
        Stacks::new(&[&[TPID_8021Q]])
    }
}

/// Frames with exactly these tags and, behind them, this type.
pub fn behind(stack: &[u16], ethertype: Option<u16>, running: Running) -> Keys {
    let mut keys = typed(stack, ethertype);
    // Where the kernel looks for a type it looks behind all tags; cards look behind those named.
    let is_card = ethertype.is_some() && running == Running::InHardware;
    if stack.is_empty() && !is_card {
        keys.set(Key::NumOfVlans, 0);
    }
    keys
}

/// Frames whose types, one behind the other, are these.
fn typed(stack: &[u16], last: Option<u16>) -> Keys {
    let places = [Key::EthType, Key::VlanEthType, Key::CvlanEthType];
    let types = stack.iter().copied().chain(last);
    let mut keys = Keys::any();
    for (place, ethertype) in places.into_iter().zip(types) {
        keys.set(place, ethertype.into());
    }
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_admitted_is_guarded() {
        let stacks = Stacks::default();
        let admitted: Vec<&Stack> = stacks.iter().collect();
        assert_eq!(admitted, [&vec![], &vec![0x8100]]);
        let tagged = |inner| {
            Keys::any()
                .with(Key::EthType, 0x8100)
                .with(Key::VlanEthType, inner)
        };
        let others = [
            Keys::any().with(Key::EthType, 0x88a8),
            tagged(0x8100),
            tagged(0x88a8),
        ];
        assert_eq!(stacks.others(), others);
        assert_eq!(stacks.fragments(Running::InHardware).len(), 4);
        assert_eq!(stacks.odd_arp(Running::InHardware).len(), 4);
        assert_eq!(stacks.ending(Running::InHardware).len(), 4);
        assert_eq!(stacks.authenticated(Running::InHardware).len(), 2);
    }

    #[test]
    fn parts_of_what_is_admitted_are_admitted() {
        let stacks = Stacks::new(&[&[0x88a8, 0x8100]]);
        for stack in [&[][..], &[0x88a8], &[0x8100], &[0x88a8, 0x8100]] {
            assert!(stacks.contains(stack), "{stack:x?}");
        }
        // 8100 8100, 8100 88a8, 88a8 88a8, and a third tag of either kind.
        assert_eq!(stacks.others().len(), 5);
    }
}
