//! Running programs to their end.

use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::JoinHandle;
use std::time::Duration;

use super::{LabError, wait_for};

/// How long a program may take unless the caller says otherwise.
const DEFAULT_LIMIT: Duration = Duration::from_secs(60);

/// What a program left behind, on the host or in a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The command line.
    pub command: String,
    /// Exit status, or 128 plus the signal that ended it, as shells count.
    pub status: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// The output itself if the program ended with status 0.
    ///
    /// # Errors
    /// [`LabError::Status`] with everything the program wrote.
    pub fn ok(self) -> Result<Output, LabError> {
        if self.status == 0 {
            return Ok(self);
        }
        Err(LabError::Status {
            command: self.command,
            status: self.status,
            stdout: self.stdout,
            stderr: self.stderr,
        })
    }
}

/// Runs a program with empty standard input, for a minute at most.
///
/// # Errors
/// When it can't be started or doesn't end in time (it is killed then). A bad status is no
/// error: see [`Output::ok`].
pub fn run(command: &mut Command) -> Result<Output, LabError> {
    run_within(command, DEFAULT_LIMIT)
}

/// [`run`] with another time limit.
///
/// # Errors
/// As [`run`].
pub fn run_within(command: &mut Command, limit: Duration) -> Result<Output, LabError> {
    let line = command_line(command);
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|source| LabError::Start {
            command: line.clone(),
            source,
        })?;
    let stdout = collect(child.stdout.take());
    let stderr = collect(child.stderr.take());
    let status = wait_child(&mut child, &line, limit)?;
    Ok(Output {
        command: line,
        status: shell_status(status),
        stdout: joined(stdout),
        stderr: joined(stderr),
    })
}

/// Waits for a child; kills it when it takes too long.
pub(super) fn wait_child(
    child: &mut Child,
    what: &str,
    limit: Duration,
) -> Result<ExitStatus, LabError> {
    let mut failure = None;
    let waited = wait_for(what, limit, || match child.try_wait() {
        Ok(status) => status.map(Some),
        Err(error) => {
            failure = Some(error);
            Some(None)
        }
    });
    match (waited, failure) {
        (Ok(Some(status)), _) => Ok(status),
        (_, Some(error)) => Err(LabError::system("wait for a child")(error)),
        (other, None) => {
            // It may have ended by itself meanwhile; either way it must not stay.
            let _ = child.kill();
            let _ = child.wait();
            Err(other.err().unwrap_or_else(|| LabError::Timeout {
                what: what.to_owned(),
                limit,
                detail: String::new(),
            }))
        }
    }
}

fn collect<R: Read + Send + 'static>(pipe: Option<R>) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        if let Some(mut pipe) = pipe {
            // What was read before a failure is still worth showing.
            let _ = pipe.read_to_end(&mut bytes);
        }
        bytes
    })
}

fn joined(reader: JoinHandle<Vec<u8>>) -> String {
    String::from_utf8_lossy(&reader.join().unwrap_or_default()).into_owned()
}

fn shell_status(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|s| 128 + s))
        .unwrap_or(-1)
}

/// The command as a person would type it, roughly.
pub fn command_line(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|part| part.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[test]
    fn outputs_and_status_come_back() {
        let output = run(&mut sh("echo out; echo err >&2; exit 7")).unwrap();
        assert_eq!(
            (
                output.status,
                output.stdout.as_str(),
                output.stderr.as_str()
            ),
            (7, "out\n", "err\n")
        );
        let error = output.ok().unwrap_err().to_string();
        assert!(
            error.contains("status 7") && error.contains("err"),
            "{error}"
        );
    }

    #[test]
    fn signals_count_from_128() {
        assert_eq!(run(&mut sh("kill -9 $$")).unwrap().status, 137);
    }

    #[test]
    fn too_slow_is_killed() {
        let error = run_within(&mut sh("exec sleep 60"), Duration::from_millis(50)).unwrap_err();
        assert!(matches!(error, LabError::Timeout { .. }), "{error}");
    }
}
