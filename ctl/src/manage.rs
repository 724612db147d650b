//! Asks the running switch through its management API (JSON-RPC 2.0 on a unix socket).

use std::path::{Path, PathBuf};
use std::time::Duration;

use aorta_api::{ERROR_NO_BRIDGE, FdbEntry, METHOD_FDB, METHOD_STATUS, SOCKET_NAME, Status};
use jsonrpsee_core::ClientError;
use jsonrpsee_core::client::ClientT;
use jsonrpsee_core::rpc_params;
use jsonrpsee_ws_client::WsClientBuilder;
use serde_json::Value;
use thiserror::Error;

use crate::args::Command;
use crate::commands::switch::{Colour, Query, fdb_text, status_text};
use crate::table::pretty;

/// How long to wait for an answer if no timeout was asked for.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// The switch could not be asked, or has no answer.
#[derive(Debug, Error)]
pub enum ManageError {
    /// Nothing listens.
    #[error("{}: cannot ask the switch ({cause}); vswitchd must be running", path.display())]
    Connect {
        /// The socket tried.
        path: PathBuf,
        /// Why.
        cause: std::io::Error,
    },
    /// No bridge of that name is running.
    #[error("no bridge named {name}")]
    NoBridge {
        /// The name.
        name: String,
    },
    /// The question failed.
    #[error("{}: {cause}", path.display())]
    Call {
        /// The socket.
        path: PathBuf,
        /// Why.
        cause: ClientError,
    },
    /// The answer isn't what it should be.
    #[error("the switch gave an answer that can't be read ({0})")]
    Answer(#[from] serde_json::Error),
    /// There was no answer in time.
    #[error("timed out")]
    TimedOut,
    /// This program could not be set up for asking.
    #[error("cannot start the event loop ({0})")]
    Runtime(std::io::Error),
}

/// How the answer is to be printed.
#[derive(Debug, Clone, Copy)]
pub struct Manner {
    /// As JSON.
    pub json: bool,
    /// Indented, if as JSON.
    pub pretty: bool,
    /// With colours.
    pub colour: Colour,
    /// Longest time to wait.
    pub timeout: Option<Duration>,
}

/// Carries out one command; answers what it prints.
pub fn ask(
    rundir: &Path,
    query: Query,
    command: &Command,
    manner: Manner,
) -> Result<String, ManageError> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(ManageError::Runtime)?;
    let limit = manner.timeout.unwrap_or(DEFAULT_TIMEOUT);
    let asked = runtime.block_on(async {
        tokio::time::timeout(limit, request(&rundir.join(SOCKET_NAME), query, command)).await
    });
    let answer = asked.map_err(|_| ManageError::TimedOut)??;
    if manner.json {
        let text = if manner.pretty {
            pretty(&answer)
        } else {
            answer.to_string()
        };
        return Ok(text + "\n");
    }
    Ok(match query {
        Query::Status => status_text(&serde_json::from_value::<Status>(answer)?, manner.colour),
        Query::Fdb => fdb_text(&serde_json::from_value::<Vec<FdbEntry>>(answer)?),
    })
}

async fn request(path: &Path, query: Query, command: &Command) -> Result<Value, ManageError> {
    let path = path.to_owned();
    let stream = match tokio::net::UnixStream::connect(&path).await {
        Ok(stream) => stream,
        Err(cause) => return Err(ManageError::Connect { path, cause }),
    };
    let failed = |cause| ManageError::Call {
        path: path.clone(),
        cause,
    };
    let client = WsClientBuilder::default();
    let client = client
        .build_with_stream("ws://localhost/", stream)
        .await
        .map_err(failed)?;
    let answer = match query {
        Query::Status => client.request(METHOD_STATUS, rpc_params![]).await,
        Query::Fdb => {
            client
                .request(METHOD_FDB, rpc_params![command.arg(0)])
                .await
        }
    };
    answer.map_err(|cause| match cause {
        ClientError::Call(error) if error.code() == ERROR_NO_BRIDGE => ManageError::NoBridge {
            name: command.arg(0).to_owned(),
        },
        cause => failed(cause),
    })
}
