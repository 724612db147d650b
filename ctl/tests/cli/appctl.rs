//! `vsctl` as `ovs-appctl`: the same command lines through both, against a real daemon and against
//! answers that no daemon gives.

use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::server::{Server, need};
use super::words::split;

/// Both programs, and a directory for what they ask.
struct Site {
    dir: TempDir,
    ours: PathBuf,
    reference: PathBuf,
}

impl Site {
    fn new() -> Site {
        let dir = TempDir::new().unwrap();
        let ours = dir.path().join("ovs-appctl");
        symlink(env!("CARGO_BIN_EXE_vsctl"), &ours).unwrap();
        Site {
            ours,
            reference: need("ovs-appctl"),
            dir,
        }
    }

    /// Status, output and messages of one program; the times of messages are left out.
    fn run(&self, program: &Path, words: &[String]) -> (String, String, String) {
        let output = Command::new(program)
            .env("OVS_RUNDIR", self.dir.path())
            .env("OVS_SYSLOG_METHOD", "null")
            .args(words)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        let told = told.replace(&*program.to_string_lossy(), "PROGRAM");
        let untimed = |line: &str| match line.split_once("Z|") {
            Some((time, rest)) if time.len() == 19 => format!("TIME|{rest}\n"),
            _ => format!("{line}\n"),
        };
        let status = match output.status.signal() {
            Some(signal) => format!("signal {signal}"),
            None => format!("{:?}", output.status.code()),
        };
        let out = String::from_utf8(output.stdout).unwrap();
        (status, out, told.lines().map(untimed).collect())
    }

    fn compare(&self, line: &str) {
        let words = split(line);
        let expected = self.run(&self.reference, &words);
        assert_eq!(self.run(&self.ours, &words), expected, "{line}");
    }

    /// Both programs ask a socket that gives this answer; what the reference got, and ours.
    fn answered(&self, answer: &str) -> [(String, String, String); 2] {
        let path = self.dir.path().join("fake.ctl");
        let words = split(&format!("-t {} words 'a \"b' é", path.display()));
        [&self.reference, &self.ours].map(|program| {
            let listener = UnixListener::bind(&path).unwrap();
            let answer = answer.to_owned();
            let served = std::thread::spawn(move || {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 1000];
                let len = stream.read(&mut request).unwrap();
                stream.write_all(answer.as_bytes()).unwrap();
                String::from_utf8(request[..len].to_vec()).unwrap()
            });
            let done = self.run(program, &words);
            let asked = served.join().unwrap();
            std::fs::remove_file(&path).unwrap();
            let expected = "{\"id\":0,\"method\":\"words\",\"params\":[\"a \\\"b\",\"é\"]}";
            assert_eq!(asked, expected, "{}", program.display());
            done
        })
    }
}

#[test]
fn a_daemon_is_asked_as_by_the_reference() {
    let site = Site::new();
    let pidfile = site.dir.path().join("ovsdb-server.pid");
    let socket = site.dir.path().join("named.ctl");
    let options = [
        format!("--pidfile={}", pidfile.display()),
        format!("--unixctl={}", socket.display()),
    ];
    let (_server, _told) = Server::start_with(&site.dir.path().join("db"), &options);
    let pid = std::fs::read_to_string(&pidfile).unwrap();
    let default = site
        .dir
        .path()
        .join(format!("ovsdb-server.{}.ctl", pid.trim()));
    symlink(&socket, default).unwrap();
    // Left behind by processes that are gone, or that never were.
    std::fs::write(site.dir.path().join("stale.pid"), pid).unwrap();
    std::fs::write(site.dir.path().join("empty.pid"), "").unwrap();
    let socket = socket.display();
    for line in [
        "-t ovsdb-server version",
        "-t ovsdb-server list-commands",
        "--target=ovsdb-server vlog/list",
        "-t ovsdb-server vlog/set jsonrpc:file:dbg",
        "-t ovsdb-server vlog/set no such thing",
        "-t ovsdb-server nothing-like-it -x --yz",
        "-t ovsdb-server -T 5 ovsdb-server/list-dbs",
        "-t ovsdb-server ovsdb-server/list-remotes too many",
        "version",
        "-t stale version",
        "-t empty version",
        "-t none version",
        "-t /nowhere/at.ctl version",
        "-V",
        "--tim",
        "-T x version",
        "-t a -t b version",
        "-t",
        "--bad",
        "-y",
        "",
    ] {
        site.compare(line);
    }
    site.compare(&format!("-t {socket} version"));
    site.compare(&format!("-t {socket} nothing-like-it"));
}

#[test]
fn answers_are_taken_as_the_reference_takes_them() {
    let site = Site::new();
    for answer in [
        "{\"id\":0,\"result\":\"no end of line\",\"error\":null}",
        "{\"id\":0,\"result\":null,\"error\":\"refused\\n\"}",
        "{\"id\":3,\"method\":\"m\",\"params\":[]}{\"id\":0,\"result\":\"\",\"error\":null}",
        "{\"id\":7,\"result\":\"of another\",\"error\":null}",
        "",
        "{\"id\":0,",
    ] {
        let [expected, found] = site.answered(answer);
        assert_eq!(found, expected, "{answer}");
    }
    // What is wrong with an answer is told in words of its own.
    for answer in ["{\"id\":0,\"result\":7,\"error\":null}", "\u{1}\u{2}"] {
        let [expected, found] = site.answered(answer);
        assert_eq!((&found.0, &found.1), (&expected.0, &expected.1), "{answer}");
    }
}

#[test]
fn a_daemon_that_does_not_answer_is_given_up() {
    let site = Site::new();
    let path = site.dir.path().join("silent.ctl");
    let _listener = UnixListener::bind(&path).unwrap();
    site.compare(&format!("-T 1 -t {} version", path.display()));
}
