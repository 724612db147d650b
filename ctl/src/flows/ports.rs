//! Names of a bridge's ports, which flows may use instead of numbers.

use std::collections::BTreeMap;

use aorta_api::BridgeStatus;
use aorta_flow::OfPort;
use aorta_flow::text::Names;

/// The ports of a bridge by name and by number.
#[derive(Debug, Clone, Default)]
pub struct PortNames {
    by_name: BTreeMap<String, OfPort>,
    by_number: BTreeMap<OfPort, String>,
}

impl PortNames {
    /// Those of a running bridge; ports that could not be set up have no number.
    pub fn of(bridge: &BridgeStatus) -> PortNames {
        let mut names = PortNames::default();
        for port in &bridge.ports {
            let Ok(number) = u16::try_from(port.ofport) else {
                continue;
            };
            names.by_name.insert(port.name.clone(), OfPort(number));
            names.by_number.insert(OfPort(number), port.name.clone());
        }
        names
    }
}

impl Names for PortNames {
    fn port(&self, name: &str) -> Option<OfPort> {
        self.by_name.get(name).copied()
    }

    fn port_name(&self, port: OfPort) -> Option<&str> {
        self.by_number.get(&port).map(String::as_str)
    }
}
