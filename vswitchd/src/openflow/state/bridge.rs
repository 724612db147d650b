//! What the switch knows of a bridge for its controllers. Pure.

use std::collections::BTreeMap;

use aorta_flow::{OfPort, PortName};
use aorta_openflow::error::ErrorCode;
use aorta_openflow::message::{FragmentHandling, PortConfig};

use super::port::Ports;
use super::table::TableSettings;
use super::tlv::TunnelOptions;
use crate::ofproto::Moment;

/// A bridge as its controllers have it.
#[derive(Debug, Clone)]
pub struct BridgeState {
    /// The newest election of a primary.
    pub generation: Option<u64>,
    /// What is done with fragments.
    pub fragments: FragmentHandling,
    /// Settings of its tables.
    pub tables: TableSettings,
    /// Tunnel options that are fields.
    pub options: TunnelOptions,
    /// Its ports as they were told last.
    pub ports: Ports,
    /// Since when each is there.
    pub since: BTreeMap<OfPort, Moment>,
    /// What controllers asked of its ports.
    pub asked: BTreeMap<PortName, PortConfig>,
}

impl Default for BridgeState {
    fn default() -> BridgeState {
        BridgeState {
            generation: None,
            fragments: FragmentHandling::Normal,
            tables: TableSettings::default(),
            options: TunnelOptions::default(),
            ports: Ports::new(),
            since: BTreeMap::new(),
            asked: BTreeMap::new(),
        }
    }
}

impl BridgeState {
    /// Takes a number of an election.
    ///
    /// # Errors
    /// If there was a later one.
    pub fn elect(&mut self, generation: u64) -> Result<(), ErrorCode> {
        // The numbers go round (OpenFlow 1.3.5 §6.3.5).
        let stale = |newest: u64| (generation.wrapping_sub(newest) as i64) < 0;
        if self.generation.is_some_and(stale) {
            return Err(ErrorCode::OFPRRFC_STALE);
        }
        self.generation = Some(generation);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elections_go_forward_and_round() {
        let mut bridge = BridgeState::default();
        assert_eq!(bridge.elect(u64::MAX - 1), Ok(()));
        assert_eq!(bridge.elect(u64::MAX - 1), Ok(()), "of the same election");
        assert_eq!(bridge.elect(u64::MAX - 2), Err(ErrorCode::OFPRRFC_STALE));
        assert_eq!(bridge.elect(3), Ok(()));
        assert_eq!(bridge.elect(u64::MAX), Err(ErrorCode::OFPRRFC_STALE));
    }
}
