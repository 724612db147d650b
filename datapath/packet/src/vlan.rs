//! VLAN tags (IEEE 802.1Q-2018 §9.6).

use std::fmt;

/// Tag protocol identifier of a customer tag.
pub const TPID_8021Q: u16 = 0x8100;
/// Tag protocol identifier of a service tag.
pub const TPID_8021AD: u16 = 0x88a8;
/// Bytes that one tag adds to a frame.
pub const VLAN_TAG_LEN: usize = 4;

/// A VLAN identifier, 0 to 4095. 0 means "no VLAN": untagged or priority-tagged.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Vid(u16);

/// A number over 4095 was given as a VLAN identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} is not a VLAN: it must be between 0 and 4095")]
pub struct VlanError(pub i64);

impl Vid {
    /// No VLAN.
    pub const NONE: Vid = Vid(0);
    /// How many identifiers there are.
    pub const COUNT: usize = 4096;

    /// Checks that `vid` fits in 12 bits.
    pub fn new(vid: u16) -> Result<Vid, VlanError> {
        if vid < 4096 {
            Ok(Vid(vid))
        } else {
            Err(VlanError(vid.into()))
        }
    }

    /// The 12-bit number.
    pub fn get(self) -> u16 {
        self.0
    }
}

impl TryFrom<i64> for Vid {
    type Error = VlanError;

    fn try_from(value: i64) -> Result<Self, Self::Error> {
        u16::try_from(value)
            .ok()
            .and_then(|v| Vid::new(v).ok())
            .ok_or(VlanError(value))
    }
}

impl fmt::Display for Vid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for Vid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tag control information: priority (3 bits), drop eligible (1 bit), VLAN (12 bits), host order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct Tci(pub u16);

impl Tci {
    /// The VLAN identifier, low 12 bits.
    pub fn vid(self) -> Vid {
        Vid(self.0 & 0x0fff)
    }

    /// The priority (IEEE 802.1Q-2018 §9.6), 0 to 7.
    pub fn priority(self) -> u8 {
        (self.0 >> 13) as u8
    }

    /// A priority alone: VLAN 0, not drop-eligible.
    pub fn of_priority(priority: u8) -> Tci {
        Tci(u16::from(priority) << 13)
    }

    /// The same priority and drop-eligible bits with another VLAN.
    pub fn with_vid(self, vid: Vid) -> Tci {
        Tci((self.0 & 0xf000) | vid.0)
    }
}

/// One VLAN tag.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct VlanTag {
    /// Tag protocol identifier, [`TPID_8021Q`] or [`TPID_8021AD`].
    pub tpid: u16,
    /// Priority, drop-eligible bit and VLAN.
    pub tci: Tci,
}
