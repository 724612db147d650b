//! Names of ports and tables, which texts may use instead of numbers.

use crate::OfPort;

/// Names of ports and tables. Every method has a default that knows none.
pub trait Names {
    /// The port of a name.
    fn port(&self, _name: &str) -> Option<OfPort> {
        None
    }

    /// The name of a port.
    fn port_name(&self, _port: OfPort) -> Option<&str> {
        None
    }

    /// The table of a name.
    fn table(&self, _name: &str) -> Option<u8> {
        None
    }

    /// The name of a table.
    fn table_name(&self, _table: u8) -> Option<&str> {
        None
    }
}

/// Numbers only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoNames;

impl Names for NoNames {}
