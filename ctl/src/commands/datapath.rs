//! What a datapath can do, and its conntrack zones
//! (ovs-vsctl(8), Conntrack Zone Commands, Datapath Capabilities Command).

use aorta_ovsdb::{Atom, Datum, Uuid};

use super::{ANY, Action, Group, IF_EXISTS, MAY_EXIST, Syntax};
use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::schema::{Needs, Schema};

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "add-zone-tp",
        arguments: "DATAPATH zone=ZONE POLICY=SECONDS...",
        min_args: 3,
        max_args: ANY,
        options: MAY_EXIST,
        group: Group::Datapath,
        summary: "set timeouts of conntrack ZONE, e.g. icmp_first=30 icmp_reply=60",
        action: Action::Database { need, run: add },
    },
    Syntax {
        name: "del-zone-tp",
        arguments: "DATAPATH zone=ZONE",
        min_args: 2,
        max_args: 2,
        options: IF_EXISTS,
        group: Group::Datapath,
        summary: "delete the timeouts of conntrack ZONE",
        action: Action::Database { need, run: delete },
    },
    Syntax {
        name: "list-zone-tp",
        arguments: "DATAPATH",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Datapath,
        summary: "print the timeouts of all conntrack zones",
        action: Action::Database { need, run: list },
    },
    Syntax {
        name: "list-dp-cap",
        arguments: "DATAPATH",
        min_args: 1,
        max_args: 1,
        options: &[],
        group: Group::Datapath,
        summary: "print what DATAPATH (system, netdev) can do",
        action: Action::Database {
            need: need_capabilities,
            run: list_capabilities,
        },
    },
];

const ZONE: &str = "CT_Zone";
const POLICY: &str = "CT_Timeout_Policy";

fn need(_: &Command, _: &Schema, needs: &mut Needs) -> Result<(), Error> {
    needs.column("Open_vSwitch", "datapaths");
    needs.column("Datapath", "ct_zones");
    needs.column(ZONE, "timeout_policy");
    needs.column(POLICY, "timeouts");
    Ok(())
}

fn need_capabilities(_: &Command, _: &Schema, needs: &mut Needs) -> Result<(), Error> {
    needs.column("Open_vSwitch", "datapaths");
    needs.column("Datapath", "capabilities");
    Ok(())
}

/// A map's value that refers to a row.
fn referred(
    ctx: &Context<'_>,
    (table, row, column): (&str, Uuid, &str),
    key: &Atom,
) -> Option<Uuid> {
    let mut pairs = ctx.txn.get(table, row, column).pairs();
    match pairs.find(|(known, _)| *known == key) {
        Some((_, Atom::Uuid(row))) => Some(*row),
        _ => None,
    }
}

/// The datapath that the first argument names.
fn datapath(cmd: &Command, ctx: &mut Context<'_>) -> Option<Uuid> {
    let root = ctx.root();
    let key = Atom::from(cmd.arg(0));
    referred(ctx, ("Open_vSwitch", root, "datapaths"), &key)
}

fn existing(cmd: &Command, ctx: &mut Context<'_>) -> Result<Uuid, Error> {
    datapath(cmd, ctx).ok_or_else(|| Error::NoDatapath {
        name: cmd.arg(0).to_owned(),
    })
}

/// The number in `name=number`; the database knows its limits.
fn setting(text: &str) -> Result<(&str, i64), Error> {
    let read = text.split_once('=').and_then(|(name, value)| {
        let value = value.parse().ok()?;
        Some((name, value))
    });
    read.ok_or_else(|| Error::BadArgument {
        argument: text.to_owned(),
    })
}

/// The zone that the second argument names.
fn zone(cmd: &Command) -> Result<i64, Error> {
    match setting(cmd.arg(1))? {
        ("zone", number) => Ok(number),
        _ => Err(Error::BadArgument {
            argument: cmd.arg(1).to_owned(),
        }),
    }
}

fn add(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let datapath = existing(cmd, ctx)?;
    let number = zone(cmd)?;
    let place = ("Datapath", datapath, "ct_zones");
    let known = referred(ctx, place, &Atom::Integer(number));
    if known.is_some() && !cmd.has("--may-exist") {
        return Err(Error::ZoneExists { zone: number });
    }
    let mut timeouts = Vec::new();
    for argument in cmd.rest(2) {
        let (name, seconds) = setting(argument)?;
        timeouts.push((name, seconds));
    }
    let policy = policy(ctx, Datum::map(timeouts));
    let row = known.unwrap_or_else(|| ctx.txn.insert(ZONE, None));
    ctx.txn
        .write(ZONE, row, "timeout_policy", Datum::scalar(policy));
    let (table, datapath, column) = place;
    let key = Atom::Integer(number);
    ctx.txn
        .map_put(table, datapath, column, key, Atom::Uuid(row));
    Ok(())
}

/// A row with these timeouts: one that exists, or else a new one.
fn policy(ctx: &mut Context<'_>, timeouts: Datum) -> Uuid {
    let same = |row: &Uuid| *ctx.txn.get(POLICY, *row, "timeouts") == timeouts;
    let known = ctx.txn.rows(POLICY).into_iter().find(same);
    known.unwrap_or_else(|| {
        let row = ctx.txn.insert(POLICY, None);
        ctx.txn.write(POLICY, row, "timeouts", timeouts);
        row
    })
}

fn delete(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let datapath = existing(cmd, ctx)?;
    let number = zone(cmd)?;
    let (table, column, key) = ("Datapath", "ct_zones", Atom::Integer(number));
    if referred(ctx, (table, datapath, column), &key).is_none() {
        return if cmd.has("--if-exists") {
            Ok(())
        } else {
            Err(Error::NoZone { zone: number })
        };
    }
    ctx.txn.map_remove(table, datapath, column, &key);
    Ok(())
}

fn list(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let Some(datapath) = datapath(cmd, ctx) else {
        return Err(Error::NoDatapathZones {
            name: cmd.arg(0).to_owned(),
        });
    };
    let mut lines = Vec::new();
    for (number, zone) in ctx.txn.get("Datapath", datapath, "ct_zones").pairs() {
        let Atom::Uuid(zone) = zone else { continue };
        let policy = ctx.txn.get(ZONE, *zone, "timeout_policy").as_uuid_opt();
        let timeouts = match policy {
            Some(policy) => pairs(ctx, POLICY, policy, "timeouts"),
            None => "system default".to_owned(),
        };
        lines.push(format!("Zone:{number}, Timeout Policies: {timeouts}"));
    }
    ctx.out.names(lines);
    Ok(())
}

fn list_capabilities(cmd: &Command, ctx: &mut Context<'_>) -> Result<(), Error> {
    let Some(datapath) = datapath(cmd, ctx) else {
        return Err(Error::NoDatapathRecord {
            name: cmd.arg(0).to_owned(),
        });
    };
    let line = pairs(ctx, "Datapath", datapath, "capabilities");
    ctx.out.line(line);
    Ok(())
}

/// A map's pairs with spaces between them.
fn pairs(ctx: &Context<'_>, table: &str, row: Uuid, column: &str) -> String {
    let pairs = ctx.txn.get(table, row, column).pairs();
    let shown = pairs.map(|(key, value)| format!("{key}={value}"));
    shown.collect::<Vec<_>>().join(" ")
}
