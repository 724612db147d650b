//! Connections of OpenFlow with Open vSwitch's own tools at the other end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aorta_integration::lab::{Netns, Output, Switch, SwitchOptions, run};
use common::pki::Pki;
use common::real_switch::RealSwitch;
use common::{column, done, eventually};

/// A switch that says nothing for so long has said all; the second is for one that had no time.
const QUIET: [Duration; 2] = [Duration::from_millis(100), Duration::from_secs(2)];

const VERSIONS: [&str; 6] = [
    "OpenFlow10",
    "OpenFlow11",
    "OpenFlow12",
    "OpenFlow13",
    "OpenFlow14",
    "OpenFlow15",
];

/// A switch with the bridge br0, in memory, in a namespace of its own. Dropped, the switch goes first.
fn switch(label: &str) -> (Netns, Switch) {
    let ns = Netns::new(label).unwrap();
    let options = SwitchOptions {
        args: vec!["--datapath=sim".to_owned()],
        ..Default::default()
    };
    let switch = Switch::start_with(Some(&ns), options).unwrap();
    done(&switch, "add-br br0");
    (ns, switch)
}

/// Runs ovs-ofctl with words separated by blanks.
fn ofctl(switch: &Switch, words: &str) -> Output {
    let words: Vec<&str> = words.split_whitespace().collect();
    switch.client("ovs-ofctl", &words).unwrap()
}

/// A tool in the background; killed with the value.
struct Background(Child);

impl Background {
    fn start(command: &mut Command) -> Background {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null());
        Background(command.stderr(Stdio::null()).spawn().unwrap())
    }

    /// The controller of Open vSwitch's tests, listening there.
    fn controller(ns: &Netns, target: &str, options: &[String]) -> Background {
        let mut command = ns.command("ovs-testcontroller");
        command.args(["--unixctl=none", "-voff", target]);
        Background::start(command.args(options))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Waits until a column of the only controller is as `get` would print it.
fn wait_controller(switch: &Switch, name: &str, value: &str) {
    let id = done(switch, "--bare --columns=_uuid list Controller");
    let read = || column(switch, "Controller", &id, name);
    eventually(&format!("{name} is {value}"), || read() == value);
}

#[test]
fn every_version_is_spoken_unless_the_bridge_has_others() {
    let (_ns, switch) = switch("ofver");
    for version in VERSIONS {
        let probed = ofctl(&switch, &format!("-O {version} probe br0"));
        assert_eq!(probed.status, 0, "{version}: {}", probed.stderr);
    }
    done(&switch, "set Bridge br0 protocols=OpenFlow10,OpenFlow13");
    for version in VERSIONS {
        let probed = ofctl(&switch, &format!("-O {version} probe br0"));
        let spoken = ["OpenFlow10", "OpenFlow13"].contains(&version);
        assert_eq!(probed.status == 0, spoken, "{version}: {}", probed.stderr);
        if !spoken {
            let words = "version negotiation failed";
            assert!(probed.stderr.contains(words), "{}", probed.stderr);
            assert!(probed.stderr.contains("peer supports versions 0x01, 0x04"));
        }
    }
    // The highest that both have, of several.
    let several = ofctl(
        &switch,
        "-O OpenFlow10,OpenFlow11,OpenFlow13,OpenFlow15 probe br0",
    );
    assert_eq!(several.status, 0, "{}", several.stderr);
}

#[test]
fn long_echoes_come_back() {
    let (_ns, switch) = switch("ofecho");
    let pinged = ofctl(&switch, "ping br0 20000").ok().unwrap();
    assert!(
        pinged.stdout.contains("20000 bytes from br0"),
        "{}",
        pinged.stdout
    );
}

#[test]
fn controllers_reach_the_switch_and_the_switch_reaches_controllers() {
    let (ns, switch) = switch("ofways");
    let pki = Pki::new();
    done(&switch, &pki.set_ssl(&pki.ca()));
    let own = switch.rundir().join("br0.own").display().to_string();
    let passive = format!("ptcp:6653:127.0.0.1 pssl:6654:127.0.0.1 punix:{own}");
    done(&switch, &format!("set-controller br0 {passive}"));
    let options = pki.options().join(" ");
    for target in [
        "tcp:127.0.0.1",
        "ssl:127.0.0.1:6654",
        &format!("unix:{own}"),
    ] {
        eventually(target, || {
            let mut command = ns.command("ovs-ofctl");
            let words = format!("{options} -O OpenFlow13 probe {target}");
            run(command.args(words.split(' '))).unwrap().status == 0
        });
    }
    for (passive, active, options) in [
        ("ptcp:6660:127.0.0.1", "tcp:127.0.0.1:6660", vec![]),
        (
            "pssl:6661:127.0.0.1",
            "ssl:127.0.0.1:6661",
            pki.options().to_vec(),
        ),
        (&*format!("punix:{own}"), &*format!("unix:{own}"), vec![]),
    ] {
        done(&switch, "del-controller br0");
        let controller = Background::controller(&ns, passive, &options);
        done(&switch, &format!("set-controller br0 {active}"));
        wait_controller(&switch, "is_connected", "true");
        wait_controller(&switch, "role", "other");
        wait_controller(&switch, "status:state", "ACTIVE");
        drop(controller);
        wait_controller(&switch, "is_connected", "false");
        wait_controller(&switch, "role", "[]");
        // The socket is there, and nobody behind it.
        let _ = std::fs::remove_file(&own);
    }
}

#[test]
fn who_watches_sees_what_a_controller_and_the_switch_say() {
    let (ns, switch) = switch("ofsnoop");
    done(
        &switch,
        "set-controller br0 tcp:127.0.0.1:6653 -- set Controller br0 max_backoff=1000",
    );
    let seen = switch.rundir().join("seen");
    let mut command = ns.command("ovs-ofctl");
    let arguments = ["-O", "OpenFlow15", "snoop"];
    // The tool has a control socket of its own, in the rundir.
    command.env("OVS_RUNDIR", switch.rundir());
    command.args(arguments).arg("br0");
    let output = std::fs::File::create(&seen).unwrap();
    command
        .stdin(Stdio::null())
        .stdout(output.try_clone().unwrap());
    let _watcher = Background(command.stderr(output).spawn().unwrap());
    let _controller = Background::controller(&ns, "ptcp:6653:127.0.0.1", &[]);
    eventually("both sides are seen", || {
        let seen = std::fs::read_to_string(&seen).unwrap();
        [
            "OFPT_FEATURES_REQUEST",
            "OFPT_FEATURES_REPLY",
            "OFPT_SET_CONFIG",
        ]
        .iter()
        .all(|message| seen.contains(message))
    });
}

#[test]
fn a_target_that_leads_nowhere_says_so() {
    let (_ns, switch) = switch("ofwrong");
    done(&switch, "set-controller br0 punix:/tmp/elsewhere");
    let id = done(&switch, "--bare --columns=_uuid list Controller");
    eventually("the reason is told", || {
        column(&switch, "Controller", &id, "status").contains("br0.mgmt is always there")
    });
    assert!(!std::path::Path::new("/tmp/elsewhere").exists());
    done(&switch, "set-controller br0 tcp:127.0.0.1:1");
    let id = done(&switch, "--bare --columns=_uuid list Controller");
    eventually("the reason is told", || {
        column(&switch, "Controller", &id, "status").contains("Connection refused")
    });
}

#[test]
fn connections_are_made_anew_when_somebody_says_so() {
    let (ns, switch) = switch("ofagain");
    done(&switch, "set-controller br0 tcp:127.0.0.1:6653");
    ns.enter().unwrap();
    let listener = TcpListener::bind("127.0.0.1:6653").unwrap();
    let closed = |stream: TcpStream| {
        let mut bytes = [0; 64];
        let read = || (&stream).read(&mut bytes);
        std::iter::repeat_with(read).any(|read| read.unwrap_or(0) == 0)
    };
    let (first, _) = listener.accept().unwrap();
    let reconnected = switch.client("ovs-appctl", &["bridge/reconnect", "br0"]);
    reconnected.unwrap().ok().unwrap();
    assert!(closed(first));
    let _second = listener.accept().unwrap();
    let unknown = switch
        .client("ovs-appctl", &["bridge/reconnect", "br9"])
        .unwrap();
    assert_eq!(
        (unknown.status, unknown.stderr.contains("Unknown bridge")),
        (2, true)
    );
}

/// What a switch answers to bytes, the number of its HELLO left out, and whether it hangs up.
fn answer(socket: &Path, bytes: &[u8], quiet: Duration) -> (Vec<u8>, bool) {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.write_all(bytes).unwrap();
    stream.set_read_timeout(Some(quiet)).unwrap();
    let (mut said, mut buffer) = (Vec::new(), [0; 4096]);
    let hangs_up = loop {
        match stream.read(&mut buffer) {
            Ok(0) => break true,
            Ok(count) => said.extend(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::WouldBlock => break false,
            Err(_) => break true,
        }
    };
    said[4..8].fill(0);
    (said, hangs_up)
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits: Vec<u8> = hex.bytes().filter(|b| *b != b' ').collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

#[test]
fn first_messages_and_broken_ones_are_answered_as_by_the_real_switch() {
    let real = RealSwitch::start(&[]);
    let (_ns, switch) = switch("ofbytes");
    let protocols = "OpenFlow10,OpenFlow13,OpenFlow14,OpenFlow15";
    done(&switch, &format!("set Bridge br0 protocols={protocols}"));
    let sockets = [real.path("br0.mgmt"), switch.rundir().join("br0.mgmt")];
    const HELLO: &str = "0400 0008 00000001";
    const BARRIER: &str = "0414 0008 00000002";
    for (what, said) in [
        (
            "another version",
            format!("{HELLO} 0105 0008 00000002 {BARRIER}"),
        ),
        (
            "too short for a header",
            format!("{HELLO} 0405 0007 00000002"),
        ),
        ("no greeting", BARRIER.to_owned()),
        ("an echo for a greeting", "0402 0008 00000001".to_owned()),
        ("a later version", "0900 0008 00000001".to_owned()),
        (
            "a version without a bitmap that is none of ours",
            "0300 0008 00000001".to_owned(),
        ),
        (
            "no common version",
            "0900 0010 00000001 0001 0008 00000200".to_owned(),
        ),
        (
            "a version between",
            "0300 0010 00000001 0001 0008 0000000c".to_owned(),
        ),
        ("version 0", "0000 0008 00000001".to_owned()),
        ("an echo", format!("{HELLO} 0402 000b 00000002 aabbcc")),
        (
            "an echo of another version",
            format!("{HELLO} 0102 000b 00000002 aabbcc"),
        ),
        (
            "an unknown type",
            format!("{HELLO} 0463 0008 00000002 {BARRIER}"),
        ),
        (
            "more than there should be",
            format!("{HELLO} 0405 0009 00000002 aa"),
        ),
        (
            "an answer to nothing",
            format!("{HELLO} 0403 0008 00000002 {BARRIER}"),
        ),
        (
            "a second greeting",
            format!("{HELLO} 0400 0008 00000009 {BARRIER}"),
        ),
        (
            "a greeting that is damaged",
            format!("0400 000c 00000001 00010002 {BARRIER}"),
        ),
    ] {
        let both = |quiet| {
            let said = bytes(&said);
            sockets
                .each_ref()
                .map(|socket| answer(socket, &said, quiet))
        };
        let [theirs, ours] = match both(QUIET[0]) {
            [theirs, ours] if theirs != ours => both(QUIET[1]),
            same => same,
        };
        assert_eq!(ours, theirs, "{what}");
    }
}
