//! The log, compared with that of the real tool.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use tempfile::TempDir;

use super::lab::without_ids;
use super::server::{Server, need};
use super::words::split;

struct Site {
    dir: TempDir,
    server: Server,
    ours: PathBuf,
}

impl Site {
    fn start() -> Site {
        let dir = TempDir::new().unwrap();
        let ours = dir.path().join("ovs-vsctl");
        symlink(env!("CARGO_BIN_EXE_vsctl"), &ours).unwrap();
        let server = Server::start(&dir.path().join("run"));
        Site { dir, server, ours }
    }

    fn run(&self, program: &Path, line: &str) -> Output {
        Command::new(program)
            .env("OVS_SYSLOG_METHOD", "null")
            .args(["--no-wait", "--db", &self.server.remote])
            .args(split(line))
            .output()
            .unwrap()
    }

    /// What a program logs to a file, without times.
    fn logged(&self, program: &Path, line: &str) -> String {
        let file = self.dir.path().join("log");
        let _ = std::fs::remove_file(&file);
        self.run(program, &format!("--log-file={} {line}", file.display()));
        let text = std::fs::read_to_string(&file).unwrap();
        let untimed = |line: &str| {
            let (time, rest) = line.split_once('|').unwrap();
            assert!(time.len() == 24 && time.ends_with('Z'), "{line}");
            format!("{rest}\n")
        };
        text.lines().map(untimed).collect()
    }
}

#[test]
fn the_log_file_is_the_same() {
    let site = Site::start();
    let reference = need("ovs-vsctl");
    for line in [
        "init",
        "--may-exist add-br br0",
        "set Open_vSwitch . external_ids:a='\"x y\"'",
        "list-br",
        "get Open_vSwitch . nope",
        "--no-syslog del-br nope",
        "-vvsctl:file:warn --if-exists del-br nope",
        "set Bridge br0 mirrors=00000000-0000-0000-0000-000000000001",
        "create Mirror name=m",
    ] {
        let expected = site.logged(&reference, line);
        let found = site.logged(&site.ours, line);
        let found = found.replace(&*site.ours.to_string_lossy(), &reference.to_string_lossy());
        assert_eq!(without_ids(&found), without_ids(&expected), "{line}");
    }
}

#[test]
fn changes_go_to_the_system_log() {
    let site = Site::start();
    let path = site.dir.path().join("devlog");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let method = format!("--syslog-method=unix:{}", path.display());
    for line in [
        "list-br",
        "--no-syslog --may-exist add-br br0",
        "add-br br1",
    ] {
        assert!(
            site.run(&site.ours, &format!("{method} {line}"))
                .status
                .success()
        );
    }
    let mut buffer = [0; 1000];
    let n = socket.recv(&mut buffer).unwrap();
    let text = String::from_utf8_lossy(&buffer[..n]);
    // Of the three only the last is told: daemon.info.
    assert!(text.starts_with("<30>"), "{text}");
    assert!(
        text.contains(" ovs-vsctl: ovs|00001|vsctl|INFO|Called as /"),
        "{text}"
    );
    assert!(text.ends_with(" add-br br1"), "{text}");
    socket.set_nonblocking(true).unwrap();
    assert!(socket.recv(&mut buffer).is_err());
}

#[test]
fn a_log_file_that_cannot_be_written_ends_the_program() {
    let output = Command::new(env!("CARGO_BIN_EXE_vsctl"))
        .args(["--log-file=/nonexistent/log", "list-br"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        said.contains("/nonexistent/log") && said.contains("No such file"),
        "{said}"
    );
}

#[test]
fn complaints_that_nobody_reads_change_nothing() {
    let dir = TempDir::new().unwrap();
    let ours = dir.path().join("ovs-vsctl");
    symlink(env!("CARGO_BIN_EXE_vsctl"), &ours).unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut command = Command::new(ours);
    command
        .env("OVS_SYSLOG_METHOD", "null")
        .arg("no-such-command");
    assert_eq!(command.stderr(writer).status().unwrap().code(), Some(1));
}
