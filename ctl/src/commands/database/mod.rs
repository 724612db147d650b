//! Rows and columns of any table (ovs-vsctl(8), Database Commands).

mod need;
mod read;
mod write;

use std::sync::Arc;

use aorta_ovsdb::{BaseType, ColumnSchema, TableSchema};

use super::{ANY, Action, Group, IF_EXISTS, Syntax, flag, valued};
use crate::args::Command;
use crate::context::Context;
use crate::error::Error;
use crate::schema;
use need::{
    need_arguments, need_column, need_columns, need_create, need_destroy, need_find, need_list,
};
use read::{find, get, list, wait_until};
pub use write::created_in_vain;
pub(super) use write::set_column;
use write::{add, clear, create, destroy, remove, set};

/// Name of the command that makes records.
const CREATE: &str = "create";

/// The family's commands.
pub const COMMANDS: &[Syntax] = &[
    Syntax {
        name: "list",
        arguments: "TABLE [RECORD]...",
        min_args: 1,
        max_args: ANY,
        options: &[flag("--if-exists"), valued("--columns")],
        group: Group::Database,
        summary: "list RECORDs, or all records, of TABLE",
        action: Action::Database {
            need: need_list,
            run: list,
        },
    },
    Syntax {
        name: "find",
        arguments: "TABLE [COLUMN[:KEY]=VALUE]...",
        min_args: 1,
        max_args: ANY,
        options: &[valued("--columns")],
        group: Group::Database,
        summary: "list the records that match; also != < > <= >= {=} {<=} {in} ...",
        action: Action::Database {
            need: need_find,
            run: find,
        },
    },
    Syntax {
        name: "get",
        arguments: "TABLE RECORD [COLUMN[:KEY]]...",
        min_args: 2,
        max_args: ANY,
        options: &[flag("--if-exists"), valued("--id")],
        group: Group::Database,
        summary: "print values of COLUMNs of RECORD",
        action: Action::Database {
            need: need_arguments,
            run: get,
        },
    },
    Syntax {
        name: "set",
        arguments: "TABLE RECORD COLUMN[:KEY]=VALUE...",
        min_args: 3,
        max_args: ANY,
        options: IF_EXISTS,
        group: Group::Database,
        summary: "set COLUMNs of RECORD",
        action: Action::Database {
            need: need_arguments,
            run: set,
        },
    },
    Syntax {
        name: "add",
        arguments: "TABLE RECORD COLUMN [KEY=]VALUE...",
        min_args: 4,
        max_args: ANY,
        options: IF_EXISTS,
        group: Group::Database,
        summary: "add values or key-value pairs to COLUMN of RECORD",
        action: Action::Database {
            need: need_column,
            run: add,
        },
    },
    Syntax {
        name: "remove",
        arguments: "TABLE RECORD COLUMN KEY|VALUE|KEY=VALUE...",
        min_args: 4,
        max_args: ANY,
        options: IF_EXISTS,
        group: Group::Database,
        summary: "remove values, keys or pairs from COLUMN of RECORD",
        action: Action::Database {
            need: need_column,
            run: remove,
        },
    },
    Syntax {
        name: "clear",
        arguments: "TABLE RECORD COLUMN...",
        min_args: 3,
        max_args: ANY,
        options: IF_EXISTS,
        group: Group::Database,
        summary: "empty COLUMNs of RECORD",
        action: Action::Database {
            need: need_columns,
            run: clear,
        },
    },
    Syntax {
        name: CREATE,
        arguments: "TABLE COLUMN[:KEY]=VALUE...",
        min_args: 2,
        max_args: ANY,
        options: &[valued("--id")],
        group: Group::Database,
        summary: "create a record and print its id",
        action: Action::Database {
            need: need_create,
            run: create,
        },
    },
    Syntax {
        name: "destroy",
        arguments: "TABLE [RECORD]...",
        min_args: 1,
        max_args: ANY,
        options: &[flag("--if-exists"), flag("--all")],
        group: Group::Database,
        summary: "delete RECORDs of TABLE",
        action: Action::Database {
            need: need_destroy,
            run: destroy,
        },
    },
    Syntax {
        name: "wait-until",
        arguments: "TABLE RECORD [COLUMN[:KEY]=VALUE]...",
        min_args: 2,
        max_args: ANY,
        options: &[],
        group: Group::Database,
        summary: "wait until RECORD exists and matches",
        action: Action::Database {
            need: need_arguments,
            run: wait_until,
        },
    },
];

fn is_row_id(arg: &str) -> bool {
    arg.eq_ignore_ascii_case("_uuid") || arg.eq_ignore_ascii_case("-uuid")
}

/// The table that the first argument names.
fn table_of<'v>(cmd: &Command, ctx: &Context<'v>) -> Result<&'v Arc<TableSchema>, Error> {
    schema::table(ctx.txn.view().schema(), cmd.arg(0))
}

/// The type of a map column's values.
fn map_value_type<'a>(column: &'a ColumnSchema, verb: &'static str) -> Result<&'a BaseType, Error> {
    let not_a_map = || Error::NotAMap {
        verb,
        column: column.name.to_string(),
    };
    column.ty.value.as_ref().ok_or_else(not_a_map)
}
