//! From commands to one transaction: pure, so that it can run again when the database has moved
//! on in between.

use aorta_ovsdb::{Datum, Uuid};
use serde_json::json;

use crate::args::{Command, Mode};
use crate::commands::Action;
use crate::commands::database::created_in_vain;
use crate::context::Context;
use crate::error::{Error, Warning};
use crate::ops::{self, Operations};
use crate::output::Output;
use crate::schema::{Needs, Schema};
use crate::txn::Txn;
use crate::view::View;

/// What the commands ask for.
#[derive(Debug)]
pub struct Plan {
    /// The transaction; not to be sent unless it writes.
    pub operations: Operations,
    /// Position of the operation that answers the configuration number to wait for.
    pub next_cfg: Option<usize>,
    /// What each command prints.
    pub outputs: Vec<Output>,
    /// Interfaces to check when the switch has taken them over, by temporary row id.
    pub new_interfaces: Vec<(Uuid, String)>,
}

/// What comes of running the commands.
#[derive(Debug)]
pub enum Outcome {
    /// Do this.
    Plan(Box<Plan>),
    /// Run them again when the database has changed.
    TryAgain,
    /// Exit with this status, changing and printing nothing.
    Exit(i32),
}

/// What the transaction is besides its commands.
#[derive(Debug, Clone)]
pub struct Setting {
    /// How the program was called.
    pub mode: Mode,
    /// Whether to ask for the switch to take the changes over.
    pub wait: bool,
    /// For the database's log.
    pub comment: String,
}

/// Adds what the commands look at to the given needs.
///
/// # Errors
/// If one of them names what can't exist; warnings that precede it are in `warnings` then.
pub fn needs(
    commands: &[Command],
    schema: &Schema,
    wait: bool,
    mut needs: Needs,
    warnings: &mut Vec<Warning>,
) -> Result<Needs, Error> {
    needs.table("Open_vSwitch");
    if wait {
        needs.column("Open_vSwitch", "cur_cfg");
    }
    for command in commands {
        match &command.syntax.action {
            Action::Database { need, .. } => {
                need(command, schema, &mut needs)?;
                warnings.extend(created_in_vain(command, schema));
            }
            Action::Switch(_) => {
                return Err(Error::NotAlone {
                    command: command.syntax.name.to_owned(),
                });
            }
        }
    }
    Ok(needs)
}

/// Runs the commands against what is known of the database.
///
/// # Errors
/// If one can't be carried out; warnings that precede the fault are in `warnings` then.
pub fn plan(
    commands: &[Command],
    view: &View,
    setting: &Setting,
    warnings: &mut Vec<Warning>,
) -> Result<Outcome, Error> {
    let mut ctx = Context::new(setting.mode, Txn::new(view));
    // An empty database gets its root row, whatever the commands are.
    ctx.root();
    let mut outputs = Vec::new();
    for command in commands {
        if let Action::Database { run, .. } = &command.syntax.action {
            let done = run(command, &mut ctx);
            warnings.append(&mut ctx.warnings);
            done?;
        }
        if let Some(status) = ctx.exit {
            return Ok(Outcome::Exit(status));
        }
        if ctx.try_again {
            return Ok(Outcome::TryAgain);
        }
        outputs.push(std::mem::take(&mut ctx.out));
    }
    for name in ctx.symbols.check()? {
        let id = name.to_owned();
        warnings.push(Warning::Unreferenced { id });
    }
    let mut operations = ops::build(&ctx.txn);
    let mut next_cfg = None;
    if operations.writes {
        if setting.wait {
            next_cfg = Some(operations.list.len() + 1);
            push_increment(&mut operations);
        }
        operations
            .list
            .push(json!({"op": "comment", "comment": setting.comment}));
    }
    Ok(Outcome::Plan(Box::new(Plan {
        operations,
        next_cfg,
        outputs,
        new_interfaces: ctx.new_interfaces,
    })))
}

/// Raises next_cfg, which tells the switch to take over, and reads it back.
fn push_increment(operations: &mut Operations) {
    operations.list.push(json!({
        "op": "mutate",
        "table": "Open_vSwitch",
        "where": [],
        "mutations": [["next_cfg", "+=", 1]],
    }));
    operations.list.push(json!({
        "op": "select",
        "table": "Open_vSwitch",
        "where": [],
        "columns": ["next_cfg"],
    }));
}

/// The configuration that the switch works by, as far as known.
pub fn current_cfg(view: &View) -> Option<i64> {
    let txn = Txn::new(view);
    let root = txn.rows_unsorted("Open_vSwitch").next()?;
    Datum::as_int_opt(txn.get("Open_vSwitch", root, "cur_cfg"))
}

#[cfg(test)]
mod tests;
