//! Names of a bridge's ports, for flow texts.

use std::collections::HashMap;

use aorta_flow::OfPort;
use aorta_flow::text::Names;

/// The ports of a bridge, by name and by number.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortNames {
    by_name: HashMap<String, OfPort>,
    by_number: HashMap<OfPort, String>,
}

impl PortNames {
    /// Adds a port.
    pub fn add(&mut self, name: &str, number: OfPort) {
        self.by_name.insert(name.to_owned(), number);
        if number != OfPort::LOCAL {
            self.by_number.insert(number, name.to_owned());
        }
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
