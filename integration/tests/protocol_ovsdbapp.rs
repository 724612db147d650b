//! ovsdbapp, the library through which Neutron, os-vif and others manage a switch.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use aorta_integration::lab::python;
use common::python::Served;

/// Cases of rows and columns.
const ROWS: &str = "ovsdbapp_rows.py";
/// Cases of what users do.
const FLOWS: &str = "ovsdbapp_flows.py";

/// Runs a case by the socket and by TCP, each with a switch of its own.
fn case(script: &str, name: &str) {
    let python = python().unwrap();
    for at in 0..2 {
        let served = Served::new(name);
        served.run(&python, script, &[name, &served.remotes()[at]]);
    }
}

macro_rules! cases {
    ($script:ident: $($name:ident)*) => {
        $(#[test]
        fn $name() {
            case($script, stringify!($name));
        })*
    };
}

cases! { ROWS: bridges ports values free_rows external_ids controllers errors }
cases! { FLOWS: waits events concurrent clean_up os_vif locks }

#[test]
fn crowd() {
    let python = python().unwrap();
    let served = Served::new("crowd");
    let taps = "for n in $(seq 0 199); do ip tuntap add dev v$n mode tap && ip link set v$n up \
                || exit 1; done";
    served.ns.run(&["sh", "-c", taps]).unwrap().ok().unwrap();
    served.run(&python, FLOWS, &["crowd", &served.socket()]);
}

#[test]
fn restarts() {
    let python = python().unwrap();
    for at in 0..2 {
        let mut served = Served::new("restarts");
        let words = ["restarts", &served.remotes()[at]];
        let mut command = served.case(&python, FLOWS, &words);
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut script = piped.spawn().unwrap();
        let mut lines = BufReader::new(script.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), "restart");
        served.switch.restart().unwrap();
        let mut answer = script.stdin.take().unwrap();
        answer.write_all(b"restarted\n").unwrap();
        assert_eq!(lines.next().unwrap().unwrap(), "done");
        assert!(script.wait().unwrap().success());
    }
}
