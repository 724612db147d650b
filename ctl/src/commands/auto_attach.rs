//! Mappings of services to VLANs for Auto-Attach (ovs-vsctl(8), Auto-Attach Commands).

use aorta_ovsdb::{Atom, Datum, Uuid};

use super::{Action, Group, Syntax};
use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::model::need_bridges;
use crate::schema::{Needs, Schema};

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "add-aa-mapping",
        arguments: "BRIDGE I-SID VLAN",
        min_args: 3,
        max_args: 3,
        options: &[],
        group: Group::AutoAttach,
        summary: "map service I-SID to VLAN on BRIDGE",
        action: Action::Database { need, run: add },
    },
    Syntax {
        name: "del-aa-mapping",
        arguments: "BRIDGE I-SID VLAN",
        min_args: 3,
        max_args: 3,
        options: &[],
        group: Group::AutoAttach,
        summary: "delete the mapping of I-SID to VLAN from BRIDGE",
        action: Action::Database { need, run: delete },
    },
    Syntax {
        name: "get-aa-mapping",
        arguments: "BRIDGE",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::AutoAttach,
        summary: "print the mappings of BRIDGE",
        action: Action::Database { need, run: get },
    },
];

const TABLE: &str = "AutoAttach";

fn need(cmd: &Command, schema: &Schema, needs: &mut Needs) -> Result<(), Error> {
    needs.column("Bridge", "auto_attach");
    needs.column(TABLE, "mappings");
    need_bridges(cmd, schema, needs)
}

/// The bridge's row, and that of its settings if it has any.
fn rows(cmd: &Command, ctx: &mut Context<'_>) -> Result<(Uuid, Option<Uuid>), Error> {
    let bridge = ctx.model().expect_bridge(cmd.arg(0))?.row;
    let settings = ctx.txn.get("Bridge", bridge, "auto_attach").as_uuid_opt();
    Ok((bridge, settings))
}

/// Service and VLAN; the database knows their limits.
fn pair(cmd: &Command) -> Result<(i64, i64), Error> {
    let number = |text: &str| {
        let bad = || Error::BadArgument {
            argument: text.to_owned(),
        };
        text.parse::<i64>().map_err(|_| bad())
    };
    Ok((number(cmd.arg(1))?, number(cmd.arg(2))?))
}

/// The VLAN of a service.
fn vlan_of(ctx: &Context<'_>, settings: Uuid, service: i64) -> Option<i64> {
    let mut pairs = ctx.txn.get(TABLE, settings, "mappings").pairs();
    match pairs.find(|(key, _)| **key == Atom::Integer(service)) {
        Some((_, Atom::Integer(vlan))) => Some(*vlan),
        _ => None,
    }
}

fn add(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let (bridge, settings) = rows(cmd, ctx)?;
    let (service, vlan) = pair(cmd)?;
    let settings = settings.unwrap_or_else(|| {
        let row = ctx.txn.insert(TABLE, None);
        ctx.txn
            .write("Bridge", bridge, "auto_attach", Datum::scalar(row));
        row
    });
    if vlan_of(ctx, settings, service).is_none() {
        let (key, value) = (Atom::Integer(service), Atom::Integer(vlan));
        ctx.txn.map_put(TABLE, settings, "mappings", key, value);
    }
    Ok(())
}

fn delete(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let (_, settings) = rows(cmd, ctx)?;
    let (service, vlan) = pair(cmd)?;
    if let Some(settings) = settings
        && vlan_of(ctx, settings, service) == Some(vlan)
    {
        let key = Atom::Integer(service);
        ctx.txn.map_remove(TABLE, settings, "mappings", &key);
    }
    Ok(())
}

fn get(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    if let (_, Some(settings)) = rows(cmd, ctx)? {
        let mappings = ctx.txn.get(TABLE, settings, "mappings").pairs();
        let lines = mappings.map(|(service, vlan)| format!("{service} {vlan}"));
        let lines = lines.collect();
        ctx.out.names(lines);
    }
    Ok(())
}
