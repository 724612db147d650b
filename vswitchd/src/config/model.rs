//! The typed rows, kept current one changed row at a time.

use std::collections::HashMap;

use aorta_ovsdb::{Row, Uuid};

use super::{
    BridgeRow, ControllerRow, Devices, FlowTableRow, InterfaceRow, OpenVswitchRow, PortRow, QosRow,
    QueueRow,
};

/// All rows that the switch reads, by identity.
#[derive(Debug, Clone, Default)]
pub struct Model {
    /// The row of table Open_vSwitch, once there is one.
    pub root: Option<OpenVswitchRow>,
    /// Table Bridge.
    pub bridges: HashMap<Uuid, BridgeRow>,
    /// Table Port.
    pub ports: HashMap<Uuid, PortRow>,
    /// Table Interface.
    pub interfaces: HashMap<Uuid, InterfaceRow>,
    /// Table Controller.
    pub controllers: HashMap<Uuid, ControllerRow>,
    /// Table QoS.
    pub qos: HashMap<Uuid, QosRow>,
    /// Table Queue.
    pub queues: HashMap<Uuid, QueueRow>,
    /// Table Flow_Table.
    pub flow_tables: HashMap<Uuid, FlowTableRow>,
    /// Which devices ports are connected to.
    pub devices: Devices,
}

impl Model {
    /// Tables that [`Model::update`] looks at.
    pub const TABLES: [&str; 8] = [
        "Open_vSwitch",
        "Bridge",
        "Port",
        "Interface",
        "Controller",
        "QoS",
        "Queue",
        "Flow_Table",
    ];

    /// Takes the new state of one row (`None`: it is gone). True if that is a change for the
    /// switch, and not only for clients; what the switch itself writes never is.
    pub fn update(&mut self, table: &str, uuid: Uuid, row: Option<&Row>) -> bool {
        match table {
            "Open_vSwitch" => self.update_root(uuid, row),
            "Bridge" => replace(&mut self.bridges, uuid, row.map(BridgeRow::from)),
            "Port" => replace(&mut self.ports, uuid, row.map(PortRow::from)),
            "Controller" => replace(&mut self.controllers, uuid, row.map(ControllerRow::from)),
            "Interface" => self.update_interface(uuid, row),
            "QoS" => replace(&mut self.qos, uuid, row.map(QosRow::from)),
            "Queue" => replace(&mut self.queues, uuid, row.map(QueueRow::from)),
            "Flow_Table" => replace(&mut self.flow_tables, uuid, row.map(FlowTableRow::from)),
            _ => false,
        }
    }

    fn update_root(&mut self, uuid: Uuid, row: Option<&Row>) -> bool {
        let Some(row) = row else {
            let gone = self.root.as_ref().is_some_and(|root| root.uuid == uuid);
            if gone {
                self.root = None;
            }
            return gone;
        };
        let new = OpenVswitchRow::from(row);
        let same = self.root.as_ref().is_some_and(|old| {
            *old == OpenVswitchRow {
                cur_cfg: old.cur_cfg,
                ..new.clone()
            }
        });
        self.root = Some(new);
        !same
    }

    /// A new `ofport` alone is the switch's own writing.
    fn update_interface(&mut self, uuid: Uuid, row: Option<&Row>) -> bool {
        let new = row.map(InterfaceRow::from);
        let same = match (self.interfaces.get(&uuid), &new) {
            (Some(old), Some(new)) => {
                *old == InterfaceRow {
                    ofport: old.ofport,
                    ..new.clone()
                }
            }
            (None, None) => true,
            _ => false,
        };
        replace(&mut self.interfaces, uuid, new);
        !same
    }
}

fn replace<T: PartialEq>(table: &mut HashMap<Uuid, T>, uuid: Uuid, new: Option<T>) -> bool {
    match new {
        Some(new) => {
            let same = table.get(&uuid) == Some(&new);
            table.insert(uuid, new);
            !same
        }
        None => table.remove(&uuid).is_some(),
    }
}

#[cfg(test)]
mod tests {
    use aorta_ovsdb::{DatabaseSchema, Datum};

    use super::*;

    fn row(table: &str, columns: &[(&str, Datum)]) -> Row {
        let schema = DatabaseSchema::vswitch();
        let table = schema.table(table).unwrap();
        let mut row = Row::new(table, Uuid::from_u128(1), Uuid::from_u128(2));
        for (column, value) in columns {
            row.set_at(table.position(column).unwrap(), value.clone());
        }
        row
    }

    #[test]
    fn own_writes_are_no_change() {
        let mut model = Model::default();
        let id = Uuid::from_u128(1);
        let name = ("name", Datum::scalar("tap0"));
        assert!(model.update(
            "Interface",
            id,
            Some(&row("Interface", std::slice::from_ref(&name)))
        ));
        let written = row("Interface", &[name.clone(), ("ofport", Datum::scalar(4))]);
        assert!(!model.update("Interface", id, Some(&written)));
        assert_eq!(model.interfaces[&id].ofport, Some(4));
        let asked = row("Interface", &[name, ("ofport_request", Datum::scalar(9))]);
        assert!(model.update("Interface", id, Some(&asked)));
        assert!(model.update("Interface", id, None));
        assert!(!model.update("Interface", id, None));
    }

    #[test]
    fn next_cfg_is_a_change_and_cur_cfg_is_not() {
        let mut model = Model::default();
        let id = Uuid::from_u128(1);
        assert!(model.update("Open_vSwitch", id, Some(&row("Open_vSwitch", &[]))));
        let cur = row("Open_vSwitch", &[("cur_cfg", Datum::scalar(1))]);
        assert!(!model.update("Open_vSwitch", id, Some(&cur)));
        let next = row("Open_vSwitch", &[("next_cfg", Datum::scalar(1))]);
        assert!(model.update("Open_vSwitch", id, Some(&next)));
    }
}
