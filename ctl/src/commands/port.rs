//! Ports and their interfaces (ovs-vsctl(8), Port and Interface Commands).

use aorta_ovsdb::{Datum, Uuid};

use super::database::set_column;
use super::{ANY, Action, Group, MAY_EXIST, Syntax, flag};
use crate::args::{Command, Mode};
use crate::context::Context;
use crate::error::Error;
use crate::model::{self, Port, need_model, need_named};
use crate::schema::{self, Needs, Schema};

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "add-port",
        arguments: "BRIDGE PORT [COLUMN[:KEY]=VALUE]...",
        min_args: 2,
        max_args: ANY,
        options: MAY_EXIST,
        group: Group::Port,
        summary: "add network device PORT to BRIDGE",
        action: Action::Database {
            need: need_named,
            run: add,
        },
    },
    Syntax {
        name: "del-port",
        arguments: "[BRIDGE] PORT",
        min_args: 1,
        max_args: 2,
        options: &[flag("--if-exists"), flag("--with-iface")],
        group: Group::Port,
        summary: "delete PORT, which may be a bond, from BRIDGE",
        action: Action::Database {
            need: need_delete,
            run: delete,
        },
    },
    Syntax {
        name: "list-ports",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Port,
        summary: "print the names of all ports of BRIDGE",
        action: Action::Database {
            need: need_model,
            run: list,
        },
    },
    Syntax {
        name: "port-to-br",
        arguments: "PORT",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Port,
        summary: "print the bridge that PORT is on",
        action: Action::Database {
            need: need_named,
            run: to_bridge,
        },
    },
    Syntax {
        name: "list-ifaces",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Interface,
        summary: "print the names of all interfaces of BRIDGE",
        action: Action::Database {
            need: need_model,
            run: list_interfaces,
        },
    },
    Syntax {
        name: "iface-to-br",
        arguments: "IFACE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Interface,
        summary: "print the bridge that IFACE is on",
        action: Action::Database {
            need: need_named,
            run: interface_to_bridge,
        },
    },
];

fn need_delete(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    let by_interface = cmd.has("--with-iface");
    let need = if by_interface { need_model } else { need_named };
    need(cmd, schema, needs)
}

fn add(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let name = cmd.arg(1);
    add_with(cmd, ctx, &[name], cmd.rest(2)).map(|_| ())
}

/// Adds a port unless it may exist and does; answers its row.
pub(super) fn add_with(
    cmd: &Command,
    ctx: &mut Context<'_>,
    interfaces: &[&str],
    settings: &[String],
) -> Result<Option<Uuid>, Error> {
    let (bridge_name, name) = (cmd.arg(0), cmd.arg(1));
    model::check_name("port", name)?;
    for interface in interfaces {
        model::check_name("interface", interface)?;
    }
    let model = ctx.model();
    if cmd.has("--may-exist")
        && let Some(port) = model.port(name)
    {
        return check_same(cmd, port, interfaces).map(|()| None);
    }
    model.check_free("port", name)?;
    for interface in interfaces {
        model.check_free("interface", interface)?;
    }
    let bridge = model.expect_bridge(bridge_name)?.clone();
    drop(model);
    let port = model::insert_port(ctx, name, interfaces);
    let mut real_name = bridge_name;
    if let Some(fake) = &bridge.fake {
        ctx.txn.rely("Port", fake.port, "tag");
        ctx.txn.write("Port", port, "tag", Datum::scalar(fake.vlan));
        real_name = &fake.parent;
    }
    let view = ctx.txn.view();
    for setting in settings {
        set_column(ctx, schema::table(view.schema(), "Port")?, port, setting)?;
    }
    model::attach_port(ctx, bridge.row, port);
    // A setting may have made it a fake bridge, which owns other ports.
    if !ctx.txn.get("Port", port, "fake_bridge").as_bool() {
        ctx.note_port(real_name, port, name);
    }
    Ok(Some(port))
}

/// Checks that an existing port is what `--may-exist` asks for.
fn check_same(cmd: &Command, port: &Port, interfaces: &[&str]) -> Result<(), Error> {
    let differs = |difference| {
        let words = [cmd.syntax.name, cmd.arg(0), cmd.arg(1)].into_iter();
        let extra: &[&str] = if cmd.syntax.name == "add-bond" {
            interfaces
        } else {
            &[]
        };
        let command = words
            .chain(extra.iter().copied())
            .collect::<Vec<_>>()
            .join(" ");
        Error::Differs {
            command,
            name: cmd.arg(1).to_owned(),
            difference,
        }
    };
    if port.bridge != cmd.arg(0) {
        return Err(differs(format!(
            "is actually attached to bridge {}",
            port.bridge
        )));
    }
    let mut wanted: Vec<&str> = interfaces.to_vec();
    let mut found: Vec<&str> = port.interfaces.iter().map(String::as_str).collect();
    wanted.sort_unstable();
    found.sort_unstable();
    if wanted != found {
        return Err(differs(format!(
            "actually has interface(s) {}",
            found.join(", ")
        )));
    }
    Ok(())
}

fn delete(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let (bridge, target) = match cmd.args.as_slice() {
        [target] => (None, target.as_str()),
        _ => (Some(cmd.arg(0)), cmd.arg(1)),
    };
    let may_miss = cmd.has("--if-exists");
    let model = ctx.model();
    let name = target.to_owned();
    if model.bridge(target).is_some() {
        return if may_miss {
            Ok(())
        } else {
            Err(Error::LocalPort { name })
        };
    }
    let with_interface = cmd.has("--with-iface");
    let by_interface = || model.interface(target).map(|(_, port)| port);
    let found = model
        .port(target)
        .or_else(|| by_interface().filter(|_| with_interface));
    let Some(port) = found else {
        return match (may_miss, with_interface) {
            (true, _) => Ok(()),
            (false, true) => Err(Error::NoPortOrInterface { name }),
            (false, false) => Err(Error::NoPort { name }),
        };
    };
    if let Some(wanted) = bridge {
        check_bridge(ctx, wanted, target, port)?;
    }
    let (row, owner) = (port.row, model.expect_bridge(&port.bridge)?.row);
    model::detach_port(ctx, owner, row);
    Ok(())
}

/// Checks that the port is on the bridge named with it.
fn check_bridge(
    ctx: &mut Context<'_>,
    wanted: &str,
    target: &str,
    port: &Port,
) -> Result<(), Error> {
    let model = ctx.model();
    let bridge = model.expect_bridge(wanted)?;
    if port.bridge == wanted {
        return Ok(());
    }
    let owner = &port.bridge;
    let parent_of = |child: &model::Bridge, parent: &str| {
        child
            .fake
            .as_ref()
            .is_some_and(|fake| fake.parent == parent)
    };
    let hint = if ctx.mode == Mode::Vsctl && parent_of(bridge, owner) {
        format!(" (although its parent bridge {owner} does)")
    } else if parent_of(model.expect_bridge(owner)?, wanted) {
        format!(" (although its child bridge {owner} does)")
    } else {
        String::new()
    };
    Err(Error::PortElsewhere {
        bridge: wanted.to_owned(),
        port: target.to_owned(),
        hint,
    })
}

fn list(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let bridge = cmd.arg(0);
    let model = ctx.model();
    model.expect_bridge(bridge)?;
    let ports = model
        .ports_of(bridge)
        .map(|(name, _)| name)
        .filter(|name| *name != bridge);
    let mut names: Vec<String> = ports.map(str::to_owned).collect();
    names.sort_unstable();
    ctx.out.names(names);
    Ok(())
}

fn to_bridge(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let name = cmd.arg(0);
    let model = ctx.model();
    let port = model.port(name).ok_or_else(|| Error::NoPort {
        name: name.to_owned(),
    })?;
    ctx.out.line(&port.bridge);
    Ok(())
}

fn list_interfaces(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let bridge = cmd.arg(0);
    let model = ctx.model();
    model.expect_bridge(bridge)?;
    let interfaces = model
        .ports_of(bridge)
        .flat_map(|(_, port)| &port.interfaces);
    let mut names: Vec<String> = interfaces.filter(|name| *name != bridge).cloned().collect();
    names.sort_unstable();
    ctx.out.names(names);
    Ok(())
}

fn interface_to_bridge(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let name = cmd.arg(0);
    let model = ctx.model();
    let missing = || Error::NoInterface {
        name: name.to_owned(),
    };
    let (_, port) = model.interface(name).ok_or_else(missing)?;
    ctx.out.line(&port.bridge);
    Ok(())
}
