//! The syntax of values on the command line (ovs-vsctl(8), Database Values).

mod condition;
mod parse;
mod print;
mod token;
mod unescape;

pub use condition::{Operator, holds};
pub use parse::{atom, datum, split_argument, split_condition};
pub use print::{atom_bare, atom_string, cell, datum_bare, datum_string};
pub use token::{ColumnArg, column_name};
