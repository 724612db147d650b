//! `vsctl`: the command-line tool of the switch, with the commands and the syntax of
//! ovs-vsctl(8).
//!
//! Levels: [`args`] reads the command line; [`plan`](mod@plan) runs the [`commands`] against a
//! [`view`] of the database and makes one transaction of them, without any I/O; [`run`] connects,
//! sends it, waits for the switch and prints. Commands about flow tables have the syntax of
//! ovs-ofctl(8): [`flows`] reads and prints without asking anybody, [`manage`] asks.
#![forbid(unsafe_code)]

// Its macros are for the modules below it.
#[macro_use]
mod stderr;

pub mod appctl;
pub mod args;
pub mod commands;
pub mod complete;
pub mod context;
pub mod error;
pub mod flows;
pub mod fuzz;
pub mod getopt;
pub mod help;
pub mod log;
pub mod manage;
pub mod model;
pub mod names;
pub mod ofctl;
pub mod ops;
pub mod output;
pub mod plan;
pub mod records;
pub mod run;
pub mod schema;
pub mod session;
pub mod symbols;
pub mod table;
pub mod top;
pub mod txn;
pub mod value;
pub mod view;
