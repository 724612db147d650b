//! The sockets: JSON-RPC 1.0, one string back.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io};

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::Commands;
use crate::control::Request;
use crate::coverage;

/// Longest request, in bytes.
const MAX_REQUEST: usize = 64 << 10;
/// So many may be connected to a socket at a time.
const MAX_CONNECTIONS: usize = 64;
/// A client that doesn't read its answer for so long is given up.
const PATIENCE: Duration = Duration::from_secs(30);

/// A control socket; its file goes away with the value.
#[derive(Debug)]
pub struct ControlSocket(PathBuf);

impl Drop for ControlSocket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

/// Where clients look for the socket of a daemon of that name: `DIR/NAME.PID.ctl`.
pub fn socket_path(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.{}.ctl", std::process::id()))
}

/// Listens on a path and answers until the runtime ends.
///
/// # Errors
/// If the socket can't be had.
pub fn serve(path: &Path, commands: Commands) -> io::Result<ControlSocket> {
    let listener = listen(path)?;
    tokio::spawn(accept(
        listener,
        commands,
        Arc::new(Semaphore::new(MAX_CONNECTIONS)),
    ));
    Ok(ControlSocket(path.to_owned()))
}

async fn accept(listener: UnixListener, commands: Commands, places: Arc<Semaphore>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                warn!("cannot accept on a control socket: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            refuse(&stream);
            continue;
        };
        let commands = commands.clone();
        tokio::spawn(async move {
            if let Err(error) = converse(stream, &commands).await {
                debug!("control connection ended: {error}");
            }
            drop(place);
        });
    }
}

/// Says why the connection is closed, if that needs no waiting.
fn refuse(stream: &UnixStream) {
    coverage::CONNECTION_REFUSED.hit();
    let words = format!("too many connections: {MAX_CONNECTIONS} are open already\n");
    let reply = json!({"id": 0, "result": null, "error": words}).to_string();
    let _ = stream.try_write(reply.as_bytes());
}

/// A stream socket at a path, for its owner alone; one left by an earlier process is replaced.
///
/// # Errors
/// If it can't be had.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

#[derive(Deserialize)]
struct Call {
    method: String,
    #[serde(default)]
    params: Vec<String>,
    id: Value,
}

/// Serves one connection until the peer closes it or sends what isn't a request.
async fn converse(mut stream: UnixStream, commands: &Commands) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let mut calls = serde_json::Deserializer::from_slice(&buffer).into_iter::<Call>();
        let call = match calls.next() {
            Some(Ok(call)) => Some(call),
            Some(Err(e)) if !e.is_eof() || buffer.len() > MAX_REQUEST => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, e));
            }
            _ => None,
        };
        let used = calls.byte_offset();
        match call {
            Some(call) => {
                buffer.drain(..used);
                answer(&mut stream, commands, call).await?;
            }
            None => {
                if stream.read_buf(&mut buffer).await? == 0 {
                    return Ok(());
                }
            }
        }
    }
}

async fn answer(stream: &mut UnixStream, commands: &Commands, call: Call) -> io::Result<()> {
    let result = commands.run(&call.method, &call.params).await;
    let ends = call.method == "exit" && result.is_ok();
    let reply = match result {
        Ok(text) => json!({"id": call.id, "result": text, "error": null}),
        Err(text) => json!({"id": call.id, "result": null, "error": text}),
    };
    let reply = reply.to_string();
    let written = timeout(PATIENCE, stream.write_all(reply.as_bytes())).await;
    if ends {
        // Only now, so that the reply gets through.
        let _ = commands.control.ask(Request::End).await;
    }
    written?
}
