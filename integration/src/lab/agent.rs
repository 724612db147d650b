//! The host's end of a guest's control port (the guest's end is `vm-images/guest/agent.sh`).

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{LabError, Output};

/// How much longer than the command the answer may take: encoding and a slow serial line.
const GRACE: Duration = Duration::from_secs(20);

/// A connection to the agent of one guest. One command runs at a time.
pub(super) struct Agent {
    stream: BufReader<UnixStream>,
    partial: Vec<u8>,
    next_id: u64,
}

impl Agent {
    pub(super) fn new(stream: UnixStream) -> Agent {
        Agent {
            stream: BufReader::new(stream),
            partial: Vec::new(),
            next_id: 1,
        }
    }

    /// Waits for the guest's first word.
    pub(super) fn wait_ready(&mut self, limit: Duration) -> Result<(), LabError> {
        let end = Instant::now() + limit;
        while self.line("guest boots", limit, end)? != "aorta ready" {}
        Ok(())
    }

    /// Runs a shell command and returns what came of it. When it takes longer than `limit`
    /// (whole seconds, at least one) the guest kills it, and its status is 137.
    pub(super) fn run(&mut self, command: &str, limit: Duration) -> Result<Output, LabError> {
        let id = self.next_id;
        self.next_id += 1;
        let seconds = limit.as_secs().max(1);
        let request = format!("run {id} {seconds} {}\n", STANDARD.encode(command));
        self.stream
            .get_mut()
            .write_all(request.as_bytes())
            .map_err(LabError::system("write to the guest's agent"))?;
        let wait = Duration::from_secs(seconds) + GRACE;
        let end = Instant::now() + wait;
        loop {
            let line = self.line(command, wait, end)?;
            // Answers to a command that an earlier caller gave up on are skipped.
            if let Some(output) = parse_done(&line, id, command)? {
                return Ok(output);
            }
        }
    }

    fn line(&mut self, what: &str, limit: Duration, end: Instant) -> Result<String, LabError> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(LabError::Timeout {
                    what: what.to_owned(),
                    limit,
                    detail: String::new(),
                });
            }
            self.stream
                .get_ref()
                .set_read_timeout(Some(left))
                .map_err(LabError::system("set a time limit"))?;
            match self.stream.read_until(b'\n', &mut self.partial) {
                Ok(0) => return Err(LabError::Agent("the port was closed".to_owned())),
                Ok(_) if self.partial.ends_with(b"\n") => {
                    let line = String::from_utf8_lossy(&self.partial).trim_end().to_owned();
                    self.partial.clear();
                    return Ok(line);
                }
                Ok(_) => {}
                // What was read stays in `partial`.
                Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(LabError::system("read from the guest's agent")(e)),
            }
        }
    }
}

/// The answer to command `id`, if the line is one.
fn parse_done(line: &str, id: u64, command: &str) -> Result<Option<Output>, LabError> {
    let parts: Vec<&str> = line.split(' ').collect();
    let ["aorta", "done", answered, status, stdout, stderr] = parts[..] else {
        return Ok(None);
    };
    if answered != id.to_string() {
        return Ok(None);
    }
    let bad = |what: &str| LabError::Agent(format!("bad {what} in {line:?}"));
    Ok(Some(Output {
        command: command.to_owned(),
        status: status.parse().map_err(|_| bad("status"))?,
        stdout: decode(stdout).ok_or_else(|| bad("stdout"))?,
        stderr: decode(stderr).ok_or_else(|| bad("stderr"))?,
    }))
}

fn decode(text: &str) -> Option<String> {
    if text == "-" {
        return Some(String::new());
    }
    Some(String::from_utf8_lossy(&STANDARD.decode(text).ok()?).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent whose guest says `lines` at once.
    fn agent_hearing(lines: &str) -> (Agent, UnixStream) {
        let (host, mut guest) = UnixStream::pair().unwrap();
        guest.write_all(lines.as_bytes()).unwrap();
        (Agent::new(host), guest)
    }

    #[test]
    fn noise_and_late_answers_are_skipped() {
        let (mut agent, guest) =
            agent_hearing("[ 1.0] noise\naorta done 0 0 - -\naorta done 1 3 b3V0 -\naorta ready\n");
        let output = agent.run("false", Duration::from_secs(1)).unwrap();
        assert_eq!(
            (
                output.status,
                output.stdout.as_str(),
                output.stderr.as_str()
            ),
            (3, "out", "")
        );
        agent.wait_ready(Duration::from_secs(5)).unwrap();
        let mut request = String::new();
        BufReader::new(guest).read_line(&mut request).unwrap();
        assert_eq!(request, "run 1 1 ZmFsc2U=\n");
    }

    #[test]
    fn damaged_answer_is_an_error() {
        let (mut agent, _guest) = agent_hearing("aorta done 1 0 *** -\n");
        let error = agent.run("true", Duration::from_secs(1)).unwrap_err();
        assert!(matches!(error, LabError::Agent(_)), "{error}");
    }

    #[test]
    fn silent_guest_is_a_timeout_and_a_closed_port_an_error() {
        let (mut agent, guest) = agent_hearing("aorta rea");
        let error = agent.wait_ready(Duration::from_millis(20)).unwrap_err();
        assert!(matches!(error, LabError::Timeout { .. }), "{error}");
        drop(guest);
        let error = agent.wait_ready(Duration::from_secs(5)).unwrap_err();
        assert!(!matches!(error, LabError::Timeout { .. }), "{error}");
    }
}
