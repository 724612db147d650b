//! The ways to a server: TLS, servers that connect to us, and connections that are lost.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::server::{Server, need};

/// A certificate authority's files in a directory.
pub struct Ca {
    dir: PathBuf,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub fn new(dir: &Path, name: &str) -> Ca {
        let dir = dir.join(name);
        std::fs::create_dir(&dir).unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(dir.join("ca.pem"), certificate.pem()).unwrap();
        let issuer = Issuer::new(params, key);
        Ca { dir, issuer }
    }

    /// Options that name a new key and certificate, and this CA.
    pub fn options(&self, name: &str) -> Vec<String> {
        let params = CertificateParams::new(Vec::new()).unwrap();
        let [key, certificate, ca] = self.sign(name, params);
        vec![
            format!("--private-key={key}"),
            format!("--certificate={certificate}"),
            format!("--ca-cert={ca}"),
        ]
    }

    /// Files with a new key, a certificate and this CA's.
    pub fn files(&self, name: &str) -> [String; 3] {
        self.sign(name, CertificateParams::new(Vec::new()).unwrap())
    }

    /// The same, of a certificate whose time is over.
    pub fn expired_files(&self, name: &str) -> [String; 3] {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2021, 1, 1);
        self.sign(name, params)
    }

    fn sign(&self, name: &str, mut params: CertificateParams) -> [String; 3] {
        let key = KeyPair::generate().unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let file = |end: &str| self.dir.join(format!("{name}-{end}.pem"));
        std::fs::write(file("key"), key.serialize_pem()).unwrap();
        std::fs::write(file("cert"), certificate.pem()).unwrap();
        let files = [file("key"), file("cert"), self.dir.join("ca.pem")];
        files.map(|file| file.display().to_string())
    }
}

fn spawn(program: &Path, words: &[String]) -> Child {
    Command::new(program)
        .env("OVS_SYSLOG_METHOD", "null")
        .args(["--no-wait", "--timeout=60"])
        .args(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

fn run(words: &[String]) -> Output {
    let program = Path::new(env!("CARGO_BIN_EXE_vsctl"));
    spawn(program, words).wait_with_output().unwrap()
}

fn words(options: &[String], line: &str) -> Vec<String> {
    let rest = line.split_whitespace().map(str::to_owned);
    options.iter().cloned().chain(rest).collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Reads lines until one tells the port that a program listens on.
fn listening_port(lines: impl std::io::Read) -> (u16, impl BufRead) {
    let mut lines = BufReader::new(lines);
    loop {
        let mut line = String::new();
        assert!(lines.read_line(&mut line).unwrap() > 0, "no port was told");
        if let Some((_, port)) = line.split_once("listening on port ") {
            return (port.trim().parse().unwrap(), lines);
        }
    }
}

#[test]
fn connections_can_be_encrypted() {
    let dir = TempDir::new().unwrap();
    let (ca, stranger) = (Ca::new(dir.path(), "ca"), Ca::new(dir.path(), "stranger"));
    let mut options = ca.options("server");
    options.extend([
        "--remote=pssl:0:127.0.0.1".to_owned(),
        "-vconsole:info".to_owned(),
    ]);
    let (server, told) = Server::start_with(&dir.path().join("run"), &options);
    let (port, _told) = listening_port(told);
    let db = format!("--db=ssl:127.0.0.1:{port} add-br br0 -- list-br");

    let fine = run(&words(&ca.options("client"), &db));
    assert_eq!(
        (fine.status.code(), &*fine.stdout),
        (Some(0), &b"br0\n"[..]),
        "{}",
        said(&fine)
    );
    let unnamed = run(&words(&[], &db));
    assert_eq!(unnamed.status.code(), Some(1));
    assert!(
        said(&unnamed).contains("--private-key"),
        "{}",
        said(&unnamed)
    );
    let strange = run(&words(&stranger.options("client"), &db));
    assert_eq!(strange.status.code(), Some(1), "{}", said(&strange));
    assert!(
        said(&strange).contains("database connection failed"),
        "{}",
        said(&strange)
    );
    let unchecked = run(&words(
        &ca.options("client"),
        &format!("--ca-cert=none {db}"),
    ));
    assert!(
        said(&unchecked).contains("is refused"),
        "{}",
        said(&unchecked)
    );
    drop(server);
}

#[test]
fn the_first_connection_may_bring_the_ca() {
    let dir = TempDir::new().unwrap();
    let ca = Ca::new(dir.path(), "ca");
    let mut options = ca.options("server");
    let authority = ca.dir.join("ca.pem").display().to_string();
    options.push(format!("--peer-ca-cert={authority}"));
    options.extend([
        "--remote=pssl:0:127.0.0.1".to_owned(),
        "-vconsole:info".to_owned(),
    ]);
    let (_server, told) = Server::start_with(&dir.path().join("run"), &options);
    let (port, _told) = listening_port(told);
    let kept = dir.path().join("kept.pem");
    let line = format!(
        "--bootstrap-ca-cert={} --db=ssl:127.0.0.1:{port} init",
        kept.display()
    );
    for _ in 0..2 {
        let output = run(&words(&ca.options("client"), &line));
        assert_eq!(output.status.code(), Some(0), "{}", said(&output));
        assert!(kept.exists());
    }
}

#[test]
fn servers_may_connect_to_us() {
    let dir = TempDir::new().unwrap();
    let program = dir.path().join("ovs-vsctl");
    symlink(env!("CARGO_BIN_EXE_vsctl"), &program).unwrap();
    let ca = Ca::new(dir.path(), "ca");
    for (n, method) in ["ptcp:0:127.0.0.1", "pssl:0:127.0.0.1"]
        .into_iter()
        .enumerate()
    {
        let line = format!("--db={method} -vconsole:info add-br br0 -- list-br");
        let mut waiting = spawn(&program, &words(&ca.options("client"), &line));
        let (port, _told) = listening_port(waiting.stderr.take().unwrap());
        let way = if method.starts_with("pssl") {
            "ssl"
        } else {
            "tcp"
        };
        let mut options = ca.options("server");
        options.push(format!("--remote={way}:127.0.0.1:{port}"));
        let _server = Server::start_with(&dir.path().join(n.to_string()), &options);
        let output = waiting.wait_with_output().unwrap();
        assert_eq!(
            (output.status.code(), &*output.stdout),
            (Some(0), &b"br0\n"[..]),
            "{method}"
        );
    }
    let socket = dir.path().join("waits.sock");
    // What an earlier program left behind is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    let line = format!("--db=punix:{} list-br", socket.display());
    let waiting = spawn(&program, &words(&[], &line));
    let options = [format!("--remote=unix:{}", socket.display())];
    let _server = Server::start_with(&dir.path().join("unix"), &options);
    let output = waiting.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(!socket.exists());
}

#[test]
fn several_servers_are_tried_in_turn() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("run"));
    let line = format!("--db=unix:/nonexistent,{} init", server.remote);
    assert_eq!(run(&words(&[], &line)).status.code(), Some(0));
}

#[test]
fn a_lost_connection_is_made_anew_if_asked_for() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(&dir.path().join("run"));
    let program = Path::new(env!("CARGO_BIN_EXE_vsctl"));
    let line = format!(
        "--db={} init -- wait-until Bridge br0 -- list-br",
        server.remote
    );
    let patient = spawn(program, &words(&["--retry".to_owned()], &line));
    let plain = spawn(program, &words(&[], &line));
    server.wait_for_clients(2);
    let server = server.restart();
    let lost = plain.wait_with_output().unwrap();
    assert_eq!(lost.status.code(), Some(1));
    assert!(
        said(&lost).contains("connection to the database lost"),
        "{}",
        said(&lost)
    );
    let change = format!("--db={} add-br br0", server.remote);
    assert_eq!(run(&words(&[], &change)).status.code(), Some(0));
    let output = patient.wait_with_output().unwrap();
    assert_eq!(
        (output.status.code(), &*output.stdout),
        (Some(0), &b"br0\n"[..]),
        "{}",
        said(&output)
    );
}

/// Under Open vSwitch's name the alarm clock ends the program, which callers see as a signal.
#[test]
fn the_timeout_is_a_signal_under_the_other_name() {
    use std::os::unix::process::ExitStatusExt;
    let dir = TempDir::new().unwrap();
    let ours = dir.path().join("ovs-vsctl");
    symlink(env!("CARGO_BIN_EXE_vsctl"), &ours).unwrap();
    let server = Server::start(&dir.path().join("run"));
    let line = format!("--timeout=1 --db={} wait-until Bridge br0", server.remote);
    for program in [need("ovs-vsctl"), ours] {
        let output = spawn(&program, &words(&[], &line))
            .wait_with_output()
            .unwrap();
        assert_eq!(output.status.signal(), Some(14), "{}", program.display());
        assert!(
            said(&output).contains("terminating with signal 14"),
            "{}",
            said(&output)
        );
    }
}
