//! Asks the running switch through its management API (JSON-RPC 2.0 on a unix socket).

mod client;
mod error;
mod explain;
mod flow;
mod group;
mod input;
mod top;

pub use error::ManageError;

use std::path::Path;
use std::time::Duration;

use aorta_api::{FdbEntry, METHOD_FDB, METHOD_STATUS, Status};
use jsonrpsee_core::rpc_params;
use serde_json::Value;

use crate::args::Command;
use crate::commands::switch::{Colour, Query, fdb_text, status_text};
use crate::table::pretty;
use client::Client;

/// How long to wait for an answer if no timeout was asked for.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);
/// The same for flow tables, which may be large.
const FLOWS_TIMEOUT: Duration = Duration::from_secs(300);

/// How the answer is to be printed.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// As JSON.
    pub json: bool,
    /// Indented, if as JSON.
    pub pretty: bool,
    /// With colours.
    pub colour: Colour,
    /// Whether a person reads it.
    pub terminal: bool,
    /// Longest time to wait.
    pub timeout: Option<Duration>,
}

/// What a command prints, and the exit status.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// For standard output.
    pub text: String,
    /// 0, but for comparisons that find a difference.
    pub status: i32,
}

/// What a command has to tell, for programs and for people.
struct Told {
    json: Value,
    text: String,
    status: i32,
}

impl Told {
    fn new(json: Value, text: String) -> Told {
        let status = 0;
        Told { json, text, status }
    }
}

/// Carries out one command.
///
/// # Errors
/// If the switch can't be asked, or refuses.
pub fn ask(
    rundir: &Path,
    query: Query,
    command: &Command,
    manner: Manner,
) -> Result<Answer, ManageError> {
    let default = match query {
        Query::Status | Query::Fdb | Query::Top => DEFAULT_TIMEOUT,
        Query::Flow(_) | Query::Group(_) => FLOWS_TIMEOUT,
    };
    let limit = manner.timeout.unwrap_or(default);
    if query == Query::Top {
        return top::run(rundir, command, manner, limit);
    }
    let client = Client::new(rundir, limit)?;
    let told = match query {
        Query::Status => {
            let answer: Value = client.call(METHOD_STATUS, "", rpc_params![])?;
            let status: Status = serde_json::from_value(answer.clone())?;
            Told::new(answer, status_text(&status, manner.colour))
        }
        // Done above: it asks more than once.
        Query::Top => Told::new(Value::Null, String::new()),
        Query::Fdb => {
            let bridge = command.arg(0);
            let answer: Value = client.call(METHOD_FDB, bridge, rpc_params![bridge])?;
            let entries: Vec<FdbEntry> = serde_json::from_value(answer.clone())?;
            Told::new(answer, fdb_text(&entries))
        }
        Query::Flow(verb) => flow::run(&client, verb, command, manner)?,
        Query::Group(verb) => group::run(&client, verb, command, manner)?,
    };
    let text = match (manner.json, manner.pretty) {
        (false, _) => told.text,
        (true, true) => pretty(&told.json) + "\n",
        (true, false) => told.json.to_string() + "\n",
    };
    Ok(Answer {
        text,
        status: told.status,
    })
}
