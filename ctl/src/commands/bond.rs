//! Bonds: ports of several interfaces (ovs-vsctl(8), Bond Commands).

use aorta_ovsdb::Datum;

use super::port::add_with;
use super::{ANY, Action, Group, IF_EXISTS, MAY_EXIST, Syntax, flag};
use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::model::{need_model, need_named};

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "add-bond",
        arguments: "BRIDGE PORT IFACE... [COLUMN[:KEY]=VALUE]...",
        min_args: 4,
        max_args: ANY,
        options: &[flag("--may-exist"), flag("--fake-iface")],
        group: Group::Port,
        summary: "add bond PORT, made of IFACEs, to BRIDGE",
        action: Action::Database {
            need: need_named,
            run: add,
        },
    },
    Syntax {
        name: "add-bond-iface",
        arguments: "BOND IFACE",
        min_args: 2,
        max_args: 2,
        options: MAY_EXIST,
        group: Group::Interface,
        summary: "add IFACE to port BOND",
        action: Action::Database {
            need: need_model,
            run: add_interface,
        },
    },
    Syntax {
        name: "del-bond-iface",
        arguments: "[BOND] IFACE",
        min_args: 1,
        max_args: 2,
        options: IF_EXISTS,
        group: Group::Interface,
        summary: "take IFACE out of port BOND",
        action: Action::Database {
            need: need_model,
            run: delete_interface,
        },
    },
];

fn add(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let rest = cmd.rest(2);
    let n = rest
        .iter()
        .position(|arg| arg.contains('='))
        .unwrap_or(rest.len());
    if n < 2 {
        return Err(Error::BondTooSmall { n });
    }
    let interfaces: Vec<&str> = rest[..n].iter().map(String::as_str).collect();
    let added = add_with(cmd, ctx, &interfaces, &rest[n..])?;
    if let Some(port) = added.filter(|_| cmd.has("--fake-iface")) {
        ctx.txn
            .write("Port", port, "bond_fake_iface", Datum::scalar(true));
    }
    Ok(())
}

fn add_interface(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let (bond, name) = (cmd.arg(0), cmd.arg(1));
    let model = ctx.model();
    let port = model.port(bond).ok_or_else(|| Error::NoPort {
        name: bond.to_owned(),
    })?;
    if cmd.has("--may-exist")
        && let Some((found, _)) = model.interface(name)
    {
        return if found.port == bond {
            Ok(())
        } else {
            Err(Error::Differs {
                command: format!("{} {bond} {name}", cmd.syntax.name),
                name: name.to_owned(),
                difference: format!("is actually attached to port {}", found.port),
            })
        };
    }
    model.check_free("interface", name)?;
    let row = ctx.txn.insert("Interface", None);
    ctx.txn.write("Interface", row, "name", Datum::scalar(name));
    ctx.new_interfaces.push((row, name.to_owned()));
    ctx.txn.rely("Port", port.row, "name");
    ctx.txn.set_add("Port", port.row, "interfaces", row);
    Ok(())
}

fn delete_interface(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let (bond, name) = match cmd.args.as_slice() {
        [name] => (None, name),
        _ => (Some(cmd.arg(0)), &cmd.args[1]),
    };
    let model = ctx.model();
    let Some((interface, port)) = model.interface(name) else {
        let missing = Error::NoInterface { name: name.clone() };
        return if cmd.has("--if-exists") {
            Ok(())
        } else {
            Err(missing)
        };
    };
    if let Some(bond) = bond {
        model.port(bond).ok_or_else(|| Error::NoPort {
            name: bond.to_owned(),
        })?;
        if interface.port != bond {
            return Err(Error::InterfaceElsewhere {
                port: bond.to_owned(),
                name: name.clone(),
            });
        }
    }
    if port.interfaces.len() < 2 {
        return Err(Error::LastInterface {
            port: interface.port.clone(),
        });
    }
    // Two that each take away one of the last two must not both succeed.
    ctx.txn.rely("Port", port.row, "interfaces");
    ctx.txn
        .set_remove("Port", port.row, "interfaces", interface.row);
    ctx.txn.forget("Interface", interface.row);
    Ok(())
}
