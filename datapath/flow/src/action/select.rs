//! Choices by hash or by liveness.

use crate::{OfPort, Subfield};

/// What a hash is made of.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum HashFields {
    /// Source Ethernet address.
    EthSrc,
    /// Addresses and ports, either direction alike.
    SymmetricL4,
    /// Addresses and TCP and SCTP ports, either direction alike.
    SymmetricL3l4,
    /// The same with UDP ports.
    SymmetricL3l4Udp,
    /// IP source.
    NwSrc,
    /// IP destination.
    NwDst,
    /// IP addresses, either direction alike.
    SymmetricL3,
}

impl HashFields {
    /// All, with their names; the position is the number on the wire.
    pub const ALL: [(&'static str, HashFields); 7] = [
        ("eth_src", HashFields::EthSrc),
        ("symmetric_l4", HashFields::SymmetricL4),
        ("symmetric_l3l4", HashFields::SymmetricL3l4),
        ("symmetric_l3l4+udp", HashFields::SymmetricL3l4Udp),
        ("nw_src", HashFields::NwSrc),
        ("nw_dst", HashFields::NwDst),
        ("symmetric_l3", HashFields::SymmetricL3),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// A choice of a link by a hash (`multipath`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Multipath {
    /// What the hash is made of.
    pub fields: HashFields,
    /// Number that goes into the hash.
    pub basis: u16,
    /// How a link follows from the hash.
    pub algorithm: MultipathAlgorithm,
    /// How many links there are.
    pub n_links: u32,
    /// For the algorithm.
    pub argument: u32,
    /// Where the link's number goes.
    pub to: Subfield,
}

/// How a link follows from a hash.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MultipathAlgorithm {
    /// Remainder.
    ModuloN,
    /// Threshold.
    HashThreshold,
    /// Highest random weight.
    Hrw,
    /// Iterated hashes.
    IterHash,
}

impl MultipathAlgorithm {
    /// All, with their names; the position is the number on the wire.
    pub const ALL: [(&'static str, MultipathAlgorithm); 4] = [
        ("modulo_n", MultipathAlgorithm::ModuloN),
        ("hash_threshold", MultipathAlgorithm::HashThreshold),
        ("hrw", MultipathAlgorithm::Hrw),
        ("iter_hash", MultipathAlgorithm::IterHash),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// A choice of a port (`bundle`, `bundle_load`).
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Bundle {
    /// What the hash is made of.
    pub fields: HashFields,
    /// Number that goes into the hash.
    pub basis: u16,
    /// How a port is chosen.
    pub algorithm: BundleAlgorithm,
    /// Where the port's number goes; the packet goes to the port if none.
    pub to: Option<Subfield>,
    /// The ports.
    pub members: Vec<OfPort>,
}

/// How a port of a bundle is chosen.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum BundleAlgorithm {
    /// The first that is up.
    ActiveBackup,
    /// Highest random weight among those that are up.
    Hrw,
}

impl BundleAlgorithm {
    /// All, with their names; the position is the number on the wire.
    pub const ALL: [(&'static str, BundleAlgorithm); 2] = [
        ("active_backup", BundleAlgorithm::ActiveBackup),
        ("hrw", BundleAlgorithm::Hrw),
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}
