//! What the switch writes into its filters' cookies: whose they are, for what, and of what content.

use std::hash::{Hash, Hasher};

use aorta_flow::table::FlowId;
use aorta_placement::Policer;

use super::{Cookie, Keys, TcAction};

/// Whose filters they are: made of what distinguishes one switch of a host from others.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct CardMark(u32);

impl CardMark {
    /// Of a text that a restarted switch has too, and no other one.
    pub fn new(text: &str) -> CardMark {
        let mut hasher = Fnv::default();
        hasher.write(text.as_bytes());
        // Cookies that are all zero, or nearly so, are what others write.
        CardMark(hasher.finish() as u32 | 0x8000_0000)
    }
}

/// What a filter is there for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// A flow.
    Flow(FlowId),
    /// Packets that match no flow.
    Miss,
    /// To leave frames to software that rules can't be right about.
    Guard,
}

/// Numbers that no flow has.
const MISS: u64 = u64::MAX;
const GUARD: u64 = u64::MAX - 1;

/// A cookie: mark, content, flow.
pub fn cookie(mark: CardMark, purpose: Purpose, keys: &Keys, actions: &[TcAction]) -> Cookie {
    let mut content = Fnv::default();
    (keys, actions).hash(&mut content);
    let flow = match purpose {
        Purpose::Flow(FlowId(number)) => number,
        Purpose::Miss => MISS,
        Purpose::Guard => GUARD,
    };
    let mut bytes = [0; 16];
    bytes[..4].copy_from_slice(&mark.0.to_be_bytes());
    bytes[4..8].copy_from_slice(&(content.finish() as u32).to_be_bytes());
    bytes[8..].copy_from_slice(&flow.to_be_bytes());
    Cookie(bytes)
}

/// The number of a meter's bucket: the same for all rules that name the meter as it is, and in all that
/// come after a restart. It is above those that the kernel chooses, and those that people do.
pub fn bucket_number(meters_of: &str, policer: Policer) -> u32 {
    let mut hasher = Fnv::default();
    hasher.write(meters_of.as_bytes());
    policer.hash(&mut hasher);
    hasher.finish() as u32 | 0x8000_0000
}

/// The flow for which a filter of a switch is there.
pub fn flow_of(cookie: Cookie) -> Option<FlowId> {
    let number = u64::from_be_bytes(*cookie.0.last_chunk()?);
    (number != MISS && number != GUARD).then_some(FlowId(number))
}

/// Whether a cookie is of this switch.
pub fn bears(cookie: Cookie, mark: CardMark) -> bool {
    cookie.0[..4] == mark.0.to_be_bytes()
}

/// The hash of Fowler, Noll and Vo (FNV-1a, 64 bits), the same in all versions of the switch.
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_contents_tell_apart() {
        let (one, other) = (CardMark::new("/run/aorta"), CardMark::new("/run/aorta2"));
        let flow = Purpose::Flow(FlowId(7));
        let drops = cookie(one, flow, &Keys::any(), &[TcAction::Drop]);
        let traps = cookie(one, flow, &Keys::any(), &[TcAction::Trap]);
        assert!(bears(drops, one) && !bears(drops, other));
        assert_eq!(flow_of(drops), Some(FlowId(7)));
        let miss = cookie(one, Purpose::Miss, &Keys::any(), &[TcAction::Drop]);
        assert_eq!(flow_of(miss), None);
        assert_eq!(drops.0[8..], traps.0[8..]);
        assert_ne!(drops.0[4..8], traps.0[4..8]);
        assert_eq!(CardMark::new("/run/aorta"), one);
    }
}
