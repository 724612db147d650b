//! One call over a control socket: JSON-RPC 1.0 with texts for arguments and answer.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::error::AppctlError;

/// What a target said: an answer, or a refusal.
pub type Answer = Result<String, String>;

/// Runs a command and waits for what comes of it.
///
/// # Errors
/// If the target doesn't listen, doesn't answer, or the time is over.
pub fn call(
    socket: &Path,
    target: &str,
    command: &str,
    arguments: &[String],
    limit: Option<Duration>,
) -> Result<Answer, AppctlError> {
    let socket_name = socket.display().to_string();
    let mut stream = UnixStream::connect(socket).map_err(|cause| AppctlError::Connect {
        target: target.to_owned(),
        socket: socket_name.clone(),
        cause,
    })?;
    let request = json!({"id": 0, "method": command, "params": arguments}).to_string();
    let deadline = limit.map(|limit| Instant::now() + limit);
    converse(&mut stream, &request, deadline).map_err(|fault| match fault {
        Fault::Io(cause) if is_timeout(&cause) => AppctlError::TimedOut,
        fault => AppctlError::Transaction {
            target: target.to_owned(),
            socket: socket_name,
            reason: fault.reason(),
            answer: fault.answer(),
        },
    })
}

/// What goes wrong in a conversation.
enum Fault {
    Io(io::Error),
    Ended,
    Answer(String),
}

impl Fault {
    fn reason(&self) -> String {
        match self {
            Fault::Io(cause) => crate::log::plain(cause),
            Fault::Ended => "End of file".to_owned(),
            Fault::Answer(_) => "Protocol error".to_owned(),
        }
    }

    fn answer(&self) -> Option<String> {
        match self {
            Fault::Answer(fault) => Some(fault.clone()),
            Fault::Io(_) | Fault::Ended => None,
        }
    }
}

fn is_timeout(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn converse(
    stream: &mut UnixStream,
    request: &str,
    deadline: Option<Instant>,
) -> Result<Answer, Fault> {
    stream
        .set_write_timeout(left(deadline)?)
        .map_err(Fault::Io)?;
    stream.write_all(request.as_bytes()).map_err(Fault::Io)?;
    let mut bytes = Vec::new();
    let mut piece = [0; 64 << 10];
    loop {
        stream
            .set_read_timeout(left(deadline)?)
            .map_err(Fault::Io)?;
        match stream.read(&mut piece) {
            Ok(0) => return Err(Fault::Ended),
            Ok(len) => bytes.extend_from_slice(&piece[..len]),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => continue,
            Err(cause) => return Err(Fault::Io(cause)),
        }
        if let Some(answer) = answer(&bytes)? {
            return Ok(answer);
        }
    }
}

/// How long may still be waited.
fn left(deadline: Option<Instant>) -> Result<Option<Duration>, Fault> {
    let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
    match left {
        Some(Duration::ZERO) => Err(Fault::Io(ErrorKind::TimedOut.into())),
        left => Ok(left),
    }
}

/// The answer to the call, once it is complete among what came; requests of the target are passed
/// over.
fn answer(bytes: &[u8]) -> Result<Option<Answer>, Fault> {
    // Answers may be larger than the pieces in which they come: each is read when it can be whole.
    let first = bytes.iter().find(|byte| !byte.is_ascii_whitespace());
    if first == Some(&b'{') && bytes.last() != Some(&b'}') {
        return Ok(None);
    }
    // A text may have bytes of other encodings, such as a name of a device.
    let text = String::from_utf8_lossy(bytes);
    for value in serde_json::Deserializer::from_str(&text).into_iter::<Value>() {
        let value = match value {
            Ok(value) => value,
            Err(fault) if fault.is_eof() => return Ok(None),
            Err(fault) => return Err(Fault::Answer(format!("error parsing stream: {fault}"))),
        };
        if let Some(answer) = answered(&value)? {
            return Ok(Some(answer));
        }
    }
    Ok(None)
}

fn answered(value: &Value) -> Result<Option<Answer>, Fault> {
    if value.get("method").is_some() || value.get("id") != Some(&json!(0)) {
        return Ok(None);
    }
    match (&value["result"], &value["error"]) {
        (Value::String(text), Value::Null) => Ok(Some(Ok(text.clone()))),
        (Value::Null, Value::String(text)) => Ok(Some(Err(text.clone()))),
        _ => {
            let fault = format!("received bad JSON-RPC message: {value} has no text for an answer");
            Err(Fault::Answer(fault))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_once_it_is_whole() {
        let told = |text: &str| answer(text.as_bytes()).ok().flatten();
        assert_eq!(told("{\"id\":0,\"result\":\"a}"), None);
        let whole =
            "{\"method\":\"x\",\"params\":[],\"id\":0}{\"id\":0,\"result\":\"a}\",\"error\":null}";
        assert_eq!(told(whole), Some(Ok("a}".to_owned())));
        let refusal = "{\"id\":0,\"result\":null,\"error\":\"no\"}";
        assert_eq!(told(refusal), Some(Err("no".to_owned())));
        assert!(answer(b"{\"id\":0,\"result\":1}").is_err());
        assert!(answer(b"]}").is_err());
    }
}
