//! Bridges, real ones and the fake ones that stand for a VLAN of a parent
//! (ovs-vsctl(8), Bridge Commands).

use super::{Action, Group, IF_EXISTS, MAY_EXIST, Syntax, flag};
use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::model::{self, need_bridges, need_model, need_named};
use crate::schema::{Needs, Schema};
use aorta_ovsdb::{Atom, Datum, Uuid};

/// Prefix of the keys in a fake bridge's Port row that stand for the bridge's own external ids.
const FAKE_KEY_PREFIX: &str = "fake-bridge-";

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "add-br",
        arguments: "BRIDGE [PARENT VLAN]",
        min_args: 1,
        max_args: 3,
        options: MAY_EXIST,
        group: Group::Bridge,
        summary: "create BRIDGE, or a fake BRIDGE for VLAN of PARENT",
        action: Action::Database {
            need: need_named,
            run: add,
        },
    },
    Syntax {
        name: "del-br",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: IF_EXISTS,
        group: Group::Bridge,
        summary: "delete BRIDGE with all of its ports",
        action: Action::Database {
            need: need_model,
            run: delete,
        },
    },
    Syntax {
        name: "list-br",
        arguments: "",
        min_args: 0,
        max_args: 0,
        options: &[flag("--real"), flag("--fake")],
        group: Group::Bridge,
        summary: "print the names of all bridges",
        action: Action::Database {
            need: need_bridges,
            run: list,
        },
    },
    Syntax {
        name: "br-exists",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Bridge,
        summary: "exit with status 2 if BRIDGE does not exist",
        action: Action::Database {
            need: need_bridges,
            run: exists,
        },
    },
    Syntax {
        name: "br-to-vlan",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Bridge,
        summary: "print the VLAN of a fake BRIDGE, 0 for a real one",
        action: Action::Database {
            need: need_bridges,
            run: to_vlan,
        },
    },
    Syntax {
        name: "br-to-parent",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Bridge,
        summary: "print the parent of BRIDGE, itself for a real one",
        action: Action::Database {
            need: need_bridges,
            run: to_parent,
        },
    },
    Syntax {
        name: "br-set-external-id",
        arguments: "BRIDGE KEY [VALUE]",
        min_args: 2,
        max_args: 3,
        options: &[],
        group: Group::Bridge,
        summary: "set external id KEY of BRIDGE, or clear it",
        action: Action::Database {
            need: need_external_ids,
            run: set_external_id,
        },
    },
    Syntax {
        name: "br-get-external-id",
        arguments: "BRIDGE [KEY]",
        min_args: 1,
        max_args: 2,
        options: &[],
        group: Group::Bridge,
        summary: "print external id KEY of BRIDGE, or all",
        action: Action::Database {
            need: need_external_ids,
            run: get_external_id,
        },
    },
];

fn need_external_ids(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    needs.column("Bridge", "external_ids");
    needs.column("Port", "external_ids");
    need_model(cmd, schema, needs)
}

fn add(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let name = cmd.arg(0);
    model::check_name("bridge", name)?;
    match cmd.args.as_slice() {
        [_] => add_real(cmd, ctx, name),
        [_, parent, vlan] => {
            let bad = || Error::BadVlan {
                command: cmd.syntax.name.to_owned(),
            };
            let vlan: i64 = vlan.parse().map_err(|_| bad())?;
            if !(0..=4095).contains(&vlan) {
                return Err(bad());
            }
            add_fake(cmd, ctx, name, parent, vlan)
        }
        _ => Err(Error::AddBridgeArguments {
            command: cmd.syntax.name.to_owned(),
        }),
    }
}

fn differs(cmd: &Command, difference: String) -> Error {
    let command = std::iter::once(cmd.syntax.name).chain(cmd.args.iter().map(String::as_str));
    let command = command.collect::<Vec<_>>().join(" ");
    Error::Differs {
        command,
        name: cmd.arg(0).to_owned(),
        difference,
    }
}

fn add_real(cmd: &Command, ctx: &mut Context<'_>, name: &str) -> Result<(), Error> {
    if cmd.has("--may-exist")
        && let Some(bridge) = ctx.model().bridge(name)
    {
        return match &bridge.fake {
            Some(fake) => Err(differs(
                cmd,
                format!("is a VLAN bridge for VLAN {}", fake.vlan),
            )),
            None => Ok(()),
        };
    }
    ctx.model().check_free("bridge", name)?;
    let port = model::insert_port(ctx, name, &[name]);
    let interface = model::first_interface(ctx, port);
    ctx.txn
        .write("Interface", interface, "type", Datum::scalar("internal"));
    let bridge = ctx.txn.insert("Bridge", None);
    ctx.txn.write("Bridge", bridge, "name", Datum::scalar(name));
    ctx.txn.set_add("Bridge", bridge, "ports", port);
    let root = ctx.root();
    ctx.txn.set_add("Open_vSwitch", root, "bridges", bridge);
    Ok(())
}

fn add_fake(
    cmd: &Command,
    ctx: &mut Context<'_>,
    name: &str,
    parent: &str,
    vlan: i64,
) -> Result<(), Error> {
    if cmd.has("--may-exist")
        && let Some(bridge) = ctx.model().bridge(name)
    {
        return match &bridge.fake {
            None => Err(differs(cmd, "is not a VLAN bridge".to_owned())),
            Some(fake) if fake.parent != parent => Err(differs(
                cmd,
                format!("has the wrong parent {}", fake.parent),
            )),
            Some(fake) if fake.vlan != vlan => {
                let is = format!("is a VLAN bridge for the wrong VLAN {}", fake.vlan);
                Err(differs(cmd, is))
            }
            Some(_) => Ok(()),
        };
    }
    let model = ctx.model();
    model.check_free("bridge", name)?;
    let Some(found) = model.bridge(parent) else {
        return Err(Error::NoParent {
            name: parent.to_owned(),
        });
    };
    if found.fake.is_some() {
        return Err(Error::FakeParent);
    }
    if let Some(child) = model.vlan_bridge(parent, vlan) {
        let child = child.to_owned();
        return Err(Error::VlanTaken {
            parent: parent.to_owned(),
            child,
            vlan,
        });
    }
    let bridge = found.row;
    let port = model::insert_port(ctx, name, &[name]);
    let interface = model::first_interface(ctx, port);
    ctx.txn
        .write("Interface", interface, "type", Datum::scalar("internal"));
    ctx.txn
        .write("Port", port, "fake_bridge", Datum::scalar(true));
    ctx.txn.write("Port", port, "tag", Datum::scalar(vlan));
    model::attach_port(ctx, bridge, port);
    Ok(())
}

fn delete(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let name = cmd.arg(0);
    let model = ctx.model();
    let Some(bridge) = model.bridge(name) else {
        let missing = Error::NoBridge {
            name: name.to_owned(),
        };
        return if cmd.has("--if-exists") {
            Ok(())
        } else {
            Err(missing)
        };
    };
    let row = bridge.row;
    if bridge.fake.is_none() {
        let root = ctx.root();
        ctx.txn.rely("Bridge", row, "name");
        ctx.txn.set_remove("Open_vSwitch", root, "bridges", row);
        for port in ctx.txn.refs("Bridge", row, "ports") {
            model::forget_port(ctx, port);
        }
        ctx.txn.forget("Bridge", row);
        return Ok(());
    }
    let mut ports: Vec<_> = model.ports_of(name).map(|(_, port)| port.row).collect();
    ports.sort();
    for port in ports {
        model::detach_port(ctx, row, port);
    }
    Ok(())
}

fn list(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let (real, fake) = (cmd.has("--real"), cmd.has("--fake"));
    let wanted = |is_fake: bool| {
        if is_fake {
            fake || !real
        } else {
            real || !fake
        }
    };
    let model = ctx.model();
    let bridges = model
        .bridges()
        .filter(|(_, bridge)| wanted(bridge.fake.is_some()));
    let names: Vec<String> = bridges.map(|(name, _)| name.to_owned()).collect();
    ctx.out.names(names);
    Ok(())
}

fn exists(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    if ctx.model().bridge(cmd.arg(0)).is_none() {
        ctx.exit = Some(2);
    }
    Ok(())
}

fn to_vlan(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let model = ctx.model();
    let bridge = model.expect_bridge(cmd.arg(0))?;
    let vlan = bridge.fake.as_ref().map_or(0, |fake| fake.vlan);
    ctx.out.line(vlan);
    Ok(())
}

fn to_parent(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let model = ctx.model();
    let bridge = model.expect_bridge(cmd.arg(0))?;
    let parent = bridge
        .fake
        .as_ref()
        .map_or(cmd.arg(0), |fake| &fake.parent)
        .to_owned();
    ctx.out.line(parent);
    Ok(())
}

/// Table, row and key prefix that hold a bridge's external ids.
fn external_ids_of(
    ctx: &mut Context<'_>,
    name: &str,
) -> Result<(&'static str, Uuid, &'static str), Error> {
    let model = ctx.model();
    let bridge = model.expect_bridge(name)?;
    Ok(match &bridge.fake {
        Some(fake) => ("Port", fake.port, FAKE_KEY_PREFIX),
        None => ("Bridge", bridge.row, ""),
    })
}

fn set_external_id(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let (table, row, prefix) = external_ids_of(ctx, cmd.arg(0))?;
    let key = Atom::from(format!("{prefix}{}", cmd.arg(1)));
    match cmd.args.get(2) {
        Some(value) => {
            ctx.txn
                .map_put(table, row, "external_ids", key, Atom::from(value.as_str()));
        }
        None => ctx.txn.map_remove(table, row, "external_ids", &key),
    }
    Ok(())
}

fn get_external_id(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let (table, row, prefix) = external_ids_of(ctx, cmd.arg(0))?;
    let wanted = cmd.args.get(1);
    let mut lines = Vec::new();
    for (key, value) in ctx.txn.get(table, row, "external_ids").pairs() {
        let key = key.to_string();
        match (key.strip_prefix(prefix), wanted) {
            (Some(key), None) => lines.push(format!("{key}={value}")),
            (Some(key), Some(wanted)) if wanted == key => lines.push(value.to_string()),
            _ => {}
        }
    }
    ctx.out.names(lines);
    Ok(())
}
