//! Bridges, ports and interfaces by name, with the fake bridges that a port with `fake_bridge`
//! and a tag stands for (ovs-vsctl(8), Linux VLAN Bridging Compatibility).

use std::collections::{BTreeMap, HashMap};

use aorta_ovsdb::{Datum, Uuid};

use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::schema::{Needs, Schema};
use crate::txn::Txn;

/// What makes a bridge a fake one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fake {
    /// The real bridge that carries it.
    pub parent: String,
    /// Its VLAN.
    pub vlan: i64,
    /// The Port row that stands for it.
    pub port: Uuid,
}

/// A bridge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its row in table Bridge; a fake bridge's is its parent's.
    pub row: Uuid,
    /// Set if it is a fake one.
    pub fake: Option<Fake>,
}

/// A port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its row in table Port.
    pub row: Uuid,
    /// The real or fake bridge that it is on.
    pub bridge: String,
    /// Names of its interfaces.
    pub interfaces: Vec<String>,
}

/// An interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// Its row in table Interface.
    pub row: Uuid,
    /// The port that it belongs to.
    pub port: String,
}

/// All bridges with their ports and interfaces.
#[derive(Debug, Clone, Default)]
pub struct Model {
    bridges: BTreeMap<String, Bridge>,
    ports: HashMap<String, Port>,
    interfaces: HashMap<String, Interface>,
    /// Fake bridges by parent and VLAN.
    vlans: HashMap<(String, i64), String>,
}

const PORT_COLUMNS: [&str; 4] = ["name", "interfaces", "tag", "fake_bridge"];

/// Everything that [`Model::read`] looks at.
pub fn need_model(_: &Command, _: &Schema, needs: &mut Needs) -> Result<(), Error> {
    need_real_bridges(needs);
    PORT_COLUMNS
        .iter()
        .for_each(|column| needs.column("Port", column));
    needs.column("Interface", "name");
    Ok(())
}

/// What tells the bridges, but not their ports.
pub fn need_bridges(_: &Command, _: &Schema, needs: &mut Needs) -> Result<(), Error> {
    need_real_bridges(needs);
    needs.rows("Port", "fake_bridge", true);
    PORT_COLUMNS
        .iter()
        .for_each(|column| needs.column_of_some("Port", column));
    Ok(())
}

/// What tells the bridges, and the ports and interfaces that the arguments may name.
pub fn need_named(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    need_bridges(cmd, schema, needs)?;
    for name in cmd.args.iter().filter(|arg| !arg.contains('=')) {
        needs.rows("Port", "name", name.as_str());
        needs.rows("Interface", "name", name.as_str());
    }
    Ok(())
}

fn need_real_bridges(needs: &mut Needs) {
    needs.column("Open_vSwitch", "bridges");
    needs.column("Bridge", "name");
    needs.column("Bridge", "ports");
}

impl Model {
    /// Reads the layout as the transaction sees it.
    pub fn read(txn: &Txn<'_>) -> Model {
        let mut model = Model::default();
        for root in txn.rows("Open_vSwitch") {
            for bridge in txn.refs("Open_vSwitch", root, "bridges") {
                if let Some(name) = txn.str("Bridge", bridge, "name") {
                    model.add_bridge(txn, bridge, name);
                }
            }
        }
        model
    }

    fn add_bridge(&mut self, txn: &Txn<'_>, row: Uuid, name: &str) {
        self.bridges
            .insert(name.to_owned(), Bridge { row, fake: None });
        // The view may hold only some of the ports.
        let ports: Vec<(Uuid, &str)> = txn
            .refs("Bridge", row, "ports")
            .into_iter()
            .filter(|port| txn.has("Port", *port))
            .filter_map(|port| Some((port, txn.str("Port", port, "name")?)))
            .collect();
        // Fake bridges first, since the other ports' tags refer to them.
        for (port, port_name) in &ports {
            if let Some(vlan) = fake_vlan(txn, *port) {
                let fake = Fake {
                    parent: name.to_owned(),
                    vlan,
                    port: *port,
                };
                self.vlans
                    .insert((name.to_owned(), vlan), (*port_name).to_owned());
                self.bridges.insert(
                    (*port_name).to_owned(),
                    Bridge {
                        row,
                        fake: Some(fake),
                    },
                );
            }
        }
        for (port, port_name) in ports {
            self.add_port(txn, name, port, port_name);
        }
    }

    /// Takes in a port of a real bridge.
    pub fn add_port(&mut self, txn: &Txn<'_>, bridge: &str, row: Uuid, name: &str) {
        let tag = txn.get("Port", row, "tag").as_int_opt();
        let owner = tag
            .and_then(|vlan| self.vlan_bridge(bridge, vlan))
            .unwrap_or(bridge)
            .to_owned();
        let mut interfaces = Vec::new();
        for interface in txn.refs("Port", row, "interfaces") {
            if !txn.has("Interface", interface) {
                continue;
            }
            if let Some(interface_name) = txn.str("Interface", interface, "name") {
                interfaces.push(interface_name.to_owned());
                let known = Interface {
                    row: interface,
                    port: name.to_owned(),
                };
                self.interfaces.insert(interface_name.to_owned(), known);
            }
        }
        self.ports.insert(
            name.to_owned(),
            Port {
                row,
                bridge: owner,
                interfaces,
            },
        );
    }

    /// All bridges by name.
    pub fn bridges(&self) -> impl Iterator<Item = (&str, &Bridge)> {
        self.bridges
            .iter()
            .map(|(name, bridge)| (name.as_str(), bridge))
    }

    /// A bridge by name.
    pub fn bridge(&self, name: &str) -> Option<&Bridge> {
        self.bridges.get(name)
    }

    /// A bridge that must exist.
    pub fn expect_bridge(&self, name: &str) -> Result<&Bridge, Error> {
        self.bridge(name).ok_or_else(|| Error::NoBridge {
            name: name.to_owned(),
        })
    }

    /// A bridge that must exist and be real.
    pub fn expect_real_bridge(&self, name: &str) -> Result<&Bridge, Error> {
        let bridge = self.expect_bridge(name)?;
        match bridge.fake {
            Some(_) => Err(Error::FakeBridge {
                name: name.to_owned(),
            }),
            None => Ok(bridge),
        }
    }

    /// The fake bridge for a VLAN of a parent.
    pub fn vlan_bridge(&self, parent: &str, vlan: i64) -> Option<&str> {
        // Without this the key would be made anew for each port that has a tag.
        if self.vlans.is_empty() {
            return None;
        }
        self.vlans
            .get(&(parent.to_owned(), vlan))
            .map(String::as_str)
    }

    /// The ports on a real or fake bridge, its own included, in no order.
    pub fn ports_of(&self, bridge: &str) -> impl Iterator<Item = (&str, &Port)> {
        let ports = self
            .ports
            .iter()
            .filter(move |(_, port)| port.bridge == bridge);
        ports.map(|(name, port)| (name.as_str(), port))
    }

    /// A port by name; a bridge's own port doesn't count.
    pub fn port(&self, name: &str) -> Option<&Port> {
        self.ports.get(name).filter(|port| port.bridge != name)
    }

    /// An interface by name with the port it belongs to; a bridge's own doesn't count.
    pub fn interface(&self, name: &str) -> Option<(&Interface, &Port)> {
        let interface = self.interfaces.get(name)?;
        let port = self.ports.get(&interface.port)?;
        (port.bridge != name).then_some((interface, port))
    }

    /// Checks that nothing is called `name` yet; `kind` is what is to be created.
    pub fn check_free(&self, kind: &str, name: &str) -> Result<(), Error> {
        let exists = |taken: &str, place: String| Error::Exists {
            wanted: format!(
                "{} {kind} named {name}",
                if kind == "interface" { "an" } else { "a" }
            ),
            taken: format!(
                "{} {taken} named {name}",
                if taken == "interface" { "an" } else { "a" }
            ),
            place,
        };
        if self.bridge(name).is_some() {
            return Err(exists("bridge", String::new()));
        }
        if let Some(port) = self.port(name) {
            return Err(exists("port", format!(" on bridge {}", port.bridge)));
        }
        if let Some((_, port)) = self.interface(name) {
            return Err(exists("interface", format!(" on bridge {}", port.bridge)));
        }
        Ok(())
    }
}

/// Checks that something that is to be created has a name.
pub fn check_name(kind: &'static str, name: &str) -> Result<(), Error> {
    if name.is_empty() {
        return Err(Error::EmptyName { kind });
    }
    Ok(())
}

/// The VLAN that a port makes a fake bridge for.
fn fake_vlan(txn: &Txn<'_>, port: Uuid) -> Option<i64> {
    let tag = txn.get("Port", port, "tag").as_int_opt()?;
    let fake = txn.get("Port", port, "fake_bridge").as_bool();
    (fake && (0..=4095).contains(&tag)).then_some(tag)
}

/// Creates a port with its interfaces; it is on no bridge yet.
pub fn insert_port(ctx: &mut Context<'_>, name: &str, interfaces: &[&str]) -> Uuid {
    let port = ctx.txn.insert("Port", None);
    ctx.txn.write("Port", port, "name", Datum::scalar(name));
    let mut rows = Vec::new();
    for interface in interfaces {
        let row = ctx.txn.insert("Interface", None);
        ctx.txn
            .write("Interface", row, "name", Datum::scalar(*interface));
        ctx.new_interfaces.push((row, (*interface).to_owned()));
        rows.push(row);
    }
    ctx.txn.write("Port", port, "interfaces", Datum::set(rows));
    port
}

/// The first interface of a port.
pub fn first_interface(ctx: &Context<'_>, port: Uuid) -> Uuid {
    ctx.txn
        .refs("Port", port, "interfaces")
        .first()
        .copied()
        .unwrap_or_default()
}

/// Puts a port on a bridge, given by its row.
pub fn attach_port(ctx: &mut Context<'_>, bridge: Uuid, port: Uuid) {
    ctx.txn.rely("Bridge", bridge, "name");
    ctx.txn.set_add("Bridge", bridge, "ports", port);
}

/// Takes a port off its bridge; the server removes it and its interfaces.
pub fn detach_port(ctx: &mut Context<'_>, bridge: Uuid, port: Uuid) {
    ctx.txn.rely("Port", port, "name");
    ctx.txn.set_remove("Bridge", bridge, "ports", port);
    forget_port(ctx, port);
}

/// Treats a port as gone, with its interfaces.
pub fn forget_port(ctx: &mut Context<'_>, port: Uuid) {
    for interface in ctx.txn.refs("Port", port, "interfaces") {
        ctx.txn.forget("Interface", interface);
    }
    ctx.txn.forget("Port", port);
}
