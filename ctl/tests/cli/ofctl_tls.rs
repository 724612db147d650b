//! `vsctl` as `ovs-ofctl` over TLS, with Open vSwitch's own switch on the other side.

use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::real_switch::RealSwitch;
use super::remotes::Ca;
use super::server::need;

/// A port that nobody listens on.
fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    listener.local_addr().unwrap().port()
}

/// The real switch that listens with these files: key, certificate, CA's certificate.
struct Listening {
    switch: RealSwitch,
    target: String,
}

impl Listening {
    fn start(dir: &Path, files: &[String; 3]) -> Listening {
        let switch = RealSwitch::start(dir);
        let port = free_port();
        let [key, certificate, ca] = files.each_ref().map(String::as_str);
        switch.configure(&["--no-wait", "set-ssl", key, certificate, ca]);
        let controller = format!("pssl:{port}:127.0.0.1");
        switch.configure(&["--no-wait", "set-controller", "br0", &controller]);
        let start = Instant::now();
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            assert!(start.elapsed() < Duration::from_secs(60), "{controller}");
            std::thread::yield_now();
        }
        Listening {
            switch,
            target: format!("ssl:127.0.0.1:{port}"),
        }
    }

    fn run(&self, program: &Path, options: &[String]) -> Output {
        Command::new(program)
            .env("OVS_RUNDIR", &self.switch.dir)
            .env("OVS_SYSLOG_METHOD", "null")
            .args(["--timeout=20", "-O", "OpenFlow13"])
            .args(options)
            .args(["dump-tables", &self.target])
            .output()
            .unwrap()
    }
}

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn programs(dir: &Path) -> [PathBuf; 2] {
    let ours = dir.join("ovs-ofctl");
    symlink(env!("CARGO_BIN_EXE_vsctl"), &ours).unwrap();
    [need("ovs-ofctl"), ours]
}

fn options([key, certificate, ca]: &[String; 3]) -> Vec<String> {
    vec![
        format!("--private-key={key}"),
        format!("--certificate={certificate}"),
        format!("--ca-cert={ca}"),
    ]
}

#[test]
fn who_has_a_certificate_of_the_right_ca_is_served_and_all_others_hear_why_not() {
    let dir = TempDir::new().unwrap();
    let programs = programs(dir.path());
    let (ca, stranger) = (Ca::new(dir.path(), "ca"), Ca::new(dir.path(), "stranger"));
    let switch = Listening::start(&dir.path().join("run"), &ca.files("switch"));
    let fine = ca.files("client");
    let strange = stranger.files("client");
    let [expected, found] = programs.each_ref().map(|p| switch.run(p, &options(&fine)));
    assert!(expected.status.success(), "{}", told(&expected));
    assert_eq!(
        (
            found.status.code(),
            String::from_utf8(found.stdout).unwrap()
        ),
        (Some(0), String::from_utf8(expected.stdout).unwrap())
    );
    // Our certificate is another CA's: it is the switch that refuses.
    let unknown = [strange[0].clone(), strange[1].clone(), fine[2].clone()];
    // The switch's is.
    let mistrusted = [fine[0].clone(), fine[1].clone(), strange[2].clone()];
    let expired = ca.expired_files("late");
    let missing = [
        fine[0].clone(),
        "/nonexistent.pem".to_owned(),
        fine[2].clone(),
    ];
    for (what, options, words) in [
        ("no certificate", Vec::new(), "--private-key"),
        (
            "a certificate that isn't there",
            options(&missing),
            "/nonexistent.pem",
        ),
        (
            "another CA's certificate",
            options(&unknown),
            "refuses our certificate",
        ),
        (
            "a switch of another CA",
            options(&mistrusted),
            "UnknownIssuer",
        ),
        (
            "a certificate whose time is over",
            options(&expired),
            "refuses our certificate",
        ),
    ] {
        let [expected, found] = programs.each_ref().map(|p| switch.run(p, &options));
        assert_eq!(
            expected.status.code(),
            Some(1),
            "{what}: {}",
            told(&expected)
        );
        assert_eq!(found.status.code(), Some(1), "{what}: {}", told(&found));
        assert!(told(&found).contains(words), "{what}: {}", told(&found));
    }
}

#[test]
fn a_switch_whose_certificate_has_expired_is_not_spoken_with() {
    let dir = TempDir::new().unwrap();
    let programs = programs(dir.path());
    let ca = Ca::new(dir.path(), "ca");
    let switch = Listening::start(&dir.path().join("run"), &ca.expired_files("switch"));
    let client = options(&ca.files("client"));
    let [expected, found] = programs.each_ref().map(|p| switch.run(p, &client));
    assert_eq!(expected.status.code(), Some(1), "{}", told(&expected));
    assert_eq!(found.status.code(), Some(1), "{}", told(&found));
    assert!(told(&found).contains("xpired"), "{}", told(&found));
}
