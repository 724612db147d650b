//! What is done as asked, but hardly meant.

use thiserror::Error;

/// Something the user should know.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Warning {
    /// Nothing can refer to the new row, so the server deletes it at once.
    #[error("applying \"create\" command to table {table} without --id option will have no effect")]
    CreateInVain {
        /// The table.
        table: String,
    },
    /// A row was given a name that nothing uses, so the server deletes it at once.
    #[error(
        "row id \"{id}\" was created but no reference to it was inserted, so it will not actually \
         appear in the database"
    )]
    Unreferenced {
        /// The name.
        id: String,
    },
    /// `destroy` without anything to destroy.
    #[error("either --all or records argument should be specified")]
    NothingToDestroy,
    /// Rows of the table live as long as something refers to them.
    #[error("rows of table {table} are deleted when nothing refers to them; destroy has no effect")]
    DestroyInVain {
        /// The table.
        table: String,
    },
    /// The switch may not be able to connect there.
    #[error("target type \"{target}\" is possibly erroneous")]
    UnusualTarget {
        /// The target.
        target: String,
    },
}

impl Warning {
    /// The module that Open vSwitch's log names with it.
    pub fn module(&self) -> &'static str {
        match self {
            Warning::Unreferenced { .. } | Warning::UnusualTarget { .. } => "vsctl",
            _ => "db_ctl_base",
        }
    }
}
